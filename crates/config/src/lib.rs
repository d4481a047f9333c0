//! TOML to checked values: every problem of a file at once, each with its place, what is wrong
//! there and what would be right. Text in, values or problems out: no file, no exit, no clock.
//!
//! [`read`] parses a [`Source`] and hands the root [`Section`] to the caller's check. The section
//! remembers which keys were asked for; when it goes, every other key is an unknown one.
//!
//! ```
//! use hallwatch_config::{Source, read};
//! use std::time::Duration;
//!
//! let source = Source::new("agent.toml", "id = 'hall-1'\npoll = '5s'\n");
//! let config = read(&source, |root| {
//!     // Ask for everything first and use `?` last, so that one problem does not hide another.
//!     let id = root.required::<String>("id");
//!     let poll = root.or("poll", Duration::from_secs(10));
//!     Some((id?, poll))
//! });
//! assert_eq!(config.unwrap(), ("hall-1".to_owned(), Duration::from_secs(5)));
//! ```
//!
//! Reading order: [`Source`], [`Problem`], [`read`], [`Section`], [`FromValue`].

mod source;

mod problem;
mod render;

mod desk;

mod section;
mod server;
mod subsections;

mod number;
mod value;

mod duration;
mod size;
pub mod suggest;
mod url;

mod mend;
mod outline;
mod read;

pub use duration::{DurationError, DurationOrZero, format_duration, parse_duration};
pub use problem::{Finding, Invalid, MAX_PROBLEMS, Problem, Problems};
pub use read::{MAX_SOURCE_BYTES, read};
pub use section::Section;
pub use server::{LoginPaths, TlsPaths};
pub use size::{Bytes, BytesError};
pub use source::{Position, Source};
pub use url::{Url, UrlError};
pub use value::{FromValue, Ranged, Spanned, Value};

#[cfg(test)]
mod tests;
