//! From a text to what the caller makes of it.

use std::ops::Range;

use toml::de::DeTable;

use crate::desk::Desk;
use crate::mend::Mended;
use crate::outline::{MAX_NESTING, Outline, outline};
use crate::problem::{Invalid, Problem, Problems};
use crate::section::Section;
use crate::source::Source;

/// The longest text that is read; a site of ten thousand devices needs half of it.
pub const MAX_SOURCE_BYTES: usize = 4 << 20;

/// Parses `source` as TOML and lets `check` make a value of it.
///
/// `check` runs even when the syntax is broken, on what could be understood, so that all problems
/// are known at once; what a syntax error explains is not reported a second time.
///
/// # Errors
/// When there is any problem, all of them, whatever `check` returned.
pub fn read<T>(
    source: &Source,
    check: impl FnOnce(&mut Section<'_>) -> Option<T>,
) -> Result<T, Invalid> {
    if source.text().len() > MAX_SOURCE_BYTES {
        let message = format!("more than {} MiB", MAX_SOURCE_BYTES >> 20);
        return Err(refused(source, 0..0, message));
    }
    let Outline { too_deep, flaws, left_out } = outline(source.text());
    if let Some(span) = too_deep {
        let message = format!("nested deeper than {MAX_NESTING} levels");
        return Err(refused(source, span, message));
    }
    let mended = Mended::new(source, &flaws);
    // To close one thing may open another: texts that are broken so badly are not read on.
    let hopeless = left_out > 0 || (!flaws.is_empty() && outline(&mended.text).too_deep.is_some());
    let mut desk = Desk::new(source, mended.insertions, flaws);
    if hopeless {
        return Err(desk.into_problems().into_invalid());
    }
    let (table, errors) = DeTable::parse_recoverable(&mended.text);
    desk.push_parser_errors(errors);
    let value = {
        let mut root = Section::root(table.get_ref(), &desk);
        let value = check(&mut root);
        root.finish();
        value
    };
    match desk.into_problems().into_result(value)? {
        Some(value) => Ok(value),
        None => Err(refused(source, 0..0, "refused without a reason".to_owned())),
    }
}

/// A problem that leaves nothing else to say.
fn refused(source: &Source, span: Range<usize>, message: String) -> Invalid {
    let mut problems = Problems::new(source);
    problems.push(Problem { span, message, label: String::new(), help: None });
    problems.into_invalid()
}
