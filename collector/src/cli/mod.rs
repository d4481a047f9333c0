//! What an operator asks of a collector's data on the command line, whether it runs or not.
//!
//! Reading order: `client` (whom to ask), `query` and `table` (samples), `delete`, `copy` (backup,
//! restore, verify), `backfill` (from the peer), `rules`, `backtest`.

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

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[expect(clippy::print_stdout, reason = "this is what the command line is for")]
fn print(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "this is what the command line is for")]
fn print_error(text: &str) {
    eprintln!("{text}");
}
