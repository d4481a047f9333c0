//! The profiles that are part of the program.

/// Names and texts of all shipped profiles, by name: the files of `agent/profiles`.
#[must_use]
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    include!(concat!(env!("OUT_DIR"), "/shipped.rs"))
}
