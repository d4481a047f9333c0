//! How much text one expansion may make.

use std::cell::Cell;

use super::{MAX_FILLED, Value};

/// What is left of it, in bytes.
pub(super) struct Budget(Cell<usize>);

impl Budget {
    pub(super) fn of(bytes: usize) -> Self {
        Self(Cell::new(bytes))
    }

    /// To be asked before the bytes are made.
    ///
    /// # Errors
    /// When there is not so much left.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), String> {
        match self.0.get().checked_sub(bytes) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => Err(format!("more than {MAX_FILLED} bytes are filled in")),
        }
    }

    /// A copy of `text`.
    pub(super) fn text(&self, text: &str) -> Result<Value, String> {
        self.spend(text.len())?;
        Ok(Value::Text(text.to_owned()))
    }
}
