//! Names that become part of topics, labels and file names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// The longest [`Id`], in bytes.
pub const MAX_ID_BYTES: usize = 64;

/// A name of a tenant, site, agent, collector or device: 1 to 64 of `a-z`, `0-9` and `-`.
///
/// So strict because it stands in MQTT topics (where `/ + # $ .` have meanings), in labels, in
/// file names and in certificates.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Arc<str>);

impl Id {
    /// Checks `text` and makes it an id.
    ///
    /// # Errors
    /// When it is empty, too long, or has a character that is not allowed.
    pub fn new(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > MAX_ID_BYTES {
            return Err(IdError::TooLong { bytes: text.len() });
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        match text.chars().find(|c| !allowed(*c)) {
            Some(character) => Err(IdError::Character { character }),
            None => Ok(Self(text.into())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(text)
    }
}

impl AsRef<str> for Id {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Why a text is not an [`Id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IdError {
    /// Nothing there.
    #[error("a name is empty")]
    Empty,
    /// More than [`MAX_ID_BYTES`].
    #[error("a name has {bytes} bytes, at most {MAX_ID_BYTES} are allowed")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// Something other than `a-z`, `0-9` and `-`.
    #[error("a name has the character {character:?}, only `a-z`, `0-9` and `-` are allowed")]
    Character {
        /// The first such character.
        character: char,
    },
}

/// Where an agent belongs; its identity on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentPath {
    /// Whose data it is.
    pub tenant: Id,
    /// The site that the agent stands in.
    pub site: Id,
    /// The agent itself, unique in its site.
    pub agent: Id,
}

impl fmt::Display for AgentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tenant, self.site, self.agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_has_a_meaning_in_topics_labels_or_paths() {
        assert_eq!(Id::new("hall-1").map(|id| id.to_string()), Ok("hall-1".into()));
        assert_eq!(Id::new(""), Err(IdError::Empty));
        for bad in ["a/b", "+", "#", "$share", "a.b", "A", "a b", "a\0", "ä", "..", "a\"b", "a\n"]
        {
            assert!(matches!(Id::new(bad), Err(IdError::Character { .. })), "{bad:?}");
        }
        assert_eq!(Id::new(&"a".repeat(65)), Err(IdError::TooLong { bytes: 65 }));
        assert!(Id::new(&"a".repeat(64)).is_ok());
    }
}
