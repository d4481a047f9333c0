//! The store as the API reads it.

use hallwatch_model::{Labels, Timestamp};
use hallwatch_promql::{Matchers, SourceError};

use crate::api::Archive;
use crate::store::{Error, Reader};

fn unread(error: Error) -> SourceError {
    SourceError(Box::new(error))
}

impl Archive for Reader {
    fn store(&self) -> Option<&Reader> {
        Some(self)
    }

    fn series(
        &self,
        sets: &[Matchers],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<Labels>, SourceError> {
        let mut found = Self::series(self, sets, start, end).map_err(unread)?;
        found.sort();
        Ok(found)
    }

    fn label_names(
        &self,
        sets: &[Matchers],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<String>, SourceError> {
        let found = Self::label_names(self, sets, start, end).map_err(unread)?;
        Ok(found.iter().map(|name| (**name).to_owned()).collect())
    }

    fn label_values(
        &self,
        name: &str,
        sets: &[Matchers],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<String>, SourceError> {
        let found = Self::label_values(self, name, sets, start, end).map_err(unread)?;
        Ok(found.iter().map(|value| (**value).to_owned()).collect())
    }
}
