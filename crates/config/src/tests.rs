//! Whole texts: what is said about bad ones, what is made of good ones, and that hostile ones do
//! no harm.

mod hostile;
mod site;
mod syntax;
mod values;

use crate::{Section, Source, read};

/// What is printed about `text`, which must be wrong.
fn check<T>(text: &str, make: impl FnOnce(&mut Section<'_>) -> Option<T>) -> String {
    match read(&Source::new("agent.toml", text), make) {
        Ok(_) => panic!("nothing found wrong with {text:?}"),
        Err(invalid) => invalid.render(false),
    }
}

/// What `make` makes of `text`, which must be right.
fn accept<T>(text: &str, make: impl FnOnce(&mut Section<'_>) -> Option<T>) -> T {
    match read(&Source::new("agent.toml", text), make) {
        Ok(value) => value,
        Err(invalid) => panic!("{invalid}"),
    }
}
