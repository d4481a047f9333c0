//! Problems as text, in the form compilers have made known.

use annotate_snippets::renderer::DEFAULT_TERM_WIDTH;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::problem::{Finding, Invalid};

/// How much of a line is shown on either side of where the problem starts, in bytes. Only lines
/// longer than that are cut: someone's data in one line, or an attack.
const WINDOW_BYTES: usize = 2 * DEFAULT_TERM_WIDTH;

pub(crate) fn render(invalid: &Invalid, color: bool) -> String {
    let renderer = if color { Renderer::styled().hyperlink(false) } else { Renderer::plain() };
    let mut out = String::new();
    for finding in invalid.problems() {
        out.push_str(&one(finding, &renderer));
        out.push_str("\n\n");
    }
    out.push_str(&summary(invalid));
    out
}

fn one(finding: &Finding, renderer: &Renderer) -> String {
    let text = finding.source.text();
    let line = finding.source.line_range(finding.line);
    // Only what is within the first line is underlined: more would print whole sections.
    let start = text.floor_char_boundary(finding.span.start).clamp(line.start, line.end);
    let end = text.ceil_char_boundary(finding.span.end).clamp(start, line.end);

    let from = text.floor_char_boundary(line.start.max(start.saturating_sub(WINDOW_BYTES)));
    let to = text.ceil_char_boundary(line.end.min(start.saturating_add(WINDOW_BYTES)));
    let (start, end) = (start - from, end.min(to) - from);

    let label = Some(&*finding.label).filter(|label| !label.is_empty());
    let carets = AnnotationKind::Primary.span(start..end).label(label);
    let snippet = Snippet::source(&text[from..to]).line_start(finding.line).annotation(carets);
    let title = Level::ERROR.primary_title(&*finding.message);
    let mut group: Group<'_> = if from == line.start {
        title.element(snippet.path(&*finding.file))
    } else {
        // The snippet would count columns from where it was cut.
        let origin = Origin::path(&*finding.file).line(finding.line).char_column(finding.column);
        title.element(origin).element(snippet)
    };
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(&**help));
    }
    renderer.render(&[group])
}

fn summary(invalid: &Invalid) -> String {
    let count = invalid.problems().len() + invalid.left_out();
    let problems = if count == 1 { "problem" } else { "problems" };
    let mut files: Vec<&str> = invalid.problems().iter().map(|f| &*f.file).collect();
    files.dedup();
    let mut out = format!("{count} {problems} in {}", files.join(", "));
    if invalid.left_out() > 0 {
        out.push_str(&format!(", the first {} are shown", invalid.problems().len()));
    }
    out
}
