//! The wall: a page for people who watch all night, at `/`.
//!
//! [`Picture`] is what it shows, made by a pure function once a second and pushed to every open
//! page. The page itself is three files without a build step, compiled in, and so are the runbook
//! pages, at `/runbooks/`.

mod assets;
mod picture;
mod reading;
mod runbooks;

pub use assets::routes;
pub use picture::{Agent, Alert, Gap, Health, Picture, SiteFacts};
pub use runbooks::PAGES as RUNBOOKS;
