//! What an operator asks of a collector's data on the command line, whether it runs or not.
//!
//! Reading order: `client` (whom to ask), `query` and `table` (samples), `delete`, `copy` (backup,
//! restore, verify), `backfill` (from the peer), `rules`, `backtest`.

use std::io::Write as _;

mod backfill;
mod backtest;
mod client;
mod copy;
mod delete;
mod query;
mod rules;
mod table;

pub(crate) use backfill::backfill;
pub(crate) use copy::{Verify, backup, restore, verify};
pub(crate) use delete::{Delete, delete};
pub(crate) use query::{Query, query};
pub(crate) use rules::{Rules, rules};

/// As wide as a terminal is at least, in columns.
const WIDTH: usize = 80;

/// Text of which the parts are separated by `, `, broken so that its lines fit a terminal; those after
/// the first are indented by `indent` more than the first.
fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut width = 0;
    for (at, part) in text.split(", ").enumerate() {
        let length = part.chars().count();
        if at > 0 {
            // A comma may follow.
            let fits = width + 2 + length < WIDTH;
            out.push_str(if fits { ", " } else { ",\n" });
            width = if fits { width + 2 } else { indent };
            if !fits {
                out.push_str(&" ".repeat(indent));
            }
        }
        out.push_str(part);
        width += length;
    }
    out
}

/// Cannot be written (`EX_IOERR`).
const UNWRITTEN: i32 = 74;

/// A reader that has seen enough, such as `head`, ends nothing. What cannot be written for another
/// reason ends the program: half of an answer must not pass for all of it.
fn print(text: &str) {
    let written = writeln!(std::io::stdout().lock(), "{text}");
    if let Err(error) = written
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        print_error(&format!("error: cannot write to the standard output: {error}"));
        std::process::exit(UNWRITTEN);
    }
}

#[expect(clippy::print_stderr, reason = "this is what the command line is for")]
fn print_error(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_broken_at_their_commas_and_nothing_else() {
        assert_eq!(wrapped("  a, b", 4), "  a, b");
        let long = ["x".repeat(40), "y".repeat(39), "z".repeat(100), "w".to_owned()].join(", ");
        let lines: Vec<String> = wrapped(&long, 2).lines().map(str::to_owned).collect();
        let wanted = [
            "x".repeat(40) + ",",
            format!("  {},", "y".repeat(39)),
            format!("  {},", "z".repeat(100)),
            "  w".into(),
        ];
        assert_eq!(lines, wanted);
    }
}
