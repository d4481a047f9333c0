//! All that a device says of itself by function 43: several questions, one after the other.

use std::collections::BTreeMap;

use crate::answer::{Identification, Object};
use crate::request::{Category, Request};

/// Objects have ids of one byte, so that an honest device is done after as many questions.
const MAX_QUESTIONS: u32 = 3 * 256;

/// A device's identification as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// All objects, by id.
    pub objects: Vec<Object>,
    /// What the device says it can tell: 1 basic, 2 regular, 3 extended; 0x80 on top when also
    /// one object by one. None when it never answered.
    pub conformity: Option<u8>,
}

impl Identity {
    /// The text of the object `id`.
    #[must_use]
    pub fn object(&self, id: u8) -> Option<&str> {
        self.objects.iter().find(|object| object.id == id).map(|object| object.text.as_str())
    }
}

/// The questions that bring it: basic, then regular and extended as far as the device conforms.
#[derive(Clone, Debug)]
pub struct Survey {
    category: Category,
    object: u8,
    done: bool,
    questions: u32,
    objects: BTreeMap<u8, String>,
    conformity: Option<u8>,
}

impl Default for Survey {
    fn default() -> Self {
        Self {
            category: Category::Basic,
            object: 0,
            done: false,
            questions: 0,
            objects: BTreeMap::new(),
            conformity: None,
        }
    }
}

impl Survey {
    /// What to ask next; none when all is known.
    #[must_use]
    pub fn request(&self) -> Option<Request> {
        let (category, object) = (self.category, self.object);
        (!self.done).then_some(Request::Identify { category, object })
    }

    /// Goes on with the answer; none for an exception, which ends the survey with what is known.
    pub fn answered(&mut self, part: Option<&Identification>) {
        self.questions += 1;
        let Some(part) = part.filter(|_| self.questions < MAX_QUESTIONS) else {
            self.done = true;
            return;
        };
        let level = part.conformity & 0x0f;
        self.conformity = self.conformity.max(Some(part.conformity));
        for object in &part.objects {
            self.objects.entry(object.id).or_insert_with(|| object.text.clone());
        }
        match part.next {
            // A device that points back would go on for ever.
            Some(next) if next > self.object => self.object = next,
            _ => {
                self.object = 0;
                match self.category {
                    Category::Basic if level >= 2 => self.category = Category::Regular,
                    Category::Regular if level >= 3 => self.category = Category::Extended,
                    _ => self.done = true,
                }
            }
        }
    }

    /// What has been found.
    #[must_use]
    pub fn finish(self) -> Identity {
        let objects = self.objects.into_iter().map(|(id, text)| Object { id, text }).collect();
        Identity { objects, conformity: self.conformity }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(conformity: u8, ids: &[u8], next: Option<u8>) -> Identification {
        let objects = ids.iter().map(|id| Object { id: *id, text: format!("o{id}") }).collect();
        Identification { conformity, objects, next }
    }

    /// Asks until all is known; returns what was asked.
    fn survey(
        mut device: impl FnMut(Category, u8) -> Option<Identification>,
    ) -> (Identity, Vec<(Category, u8)>) {
        let mut survey = Survey::default();
        let mut asked = Vec::new();
        while let Some(Request::Identify { category, object }) = survey.request() {
            asked.push((category, object));
            survey.answered(device(category, object).as_ref());
        }
        (survey.finish(), asked)
    }

    #[test]
    fn all_categories_in_several_rounds() {
        use Category::{Basic, Extended, Regular};
        let (identity, asked) = survey(|category, object| {
            Some(match (category, object) {
                (Basic, 0) => part(0x83, &[0, 1], Some(2)),
                (Basic, _) => part(0x83, &[2], None),
                (Regular, _) => part(0x83, &[0, 1, 2, 3, 6], None),
                (Extended, 0) => part(0x83, &[0x80], Some(0x81)),
                _ => part(0x83, &[0x81], None),
            })
        });
        assert_eq!(asked, [(Basic, 0), (Basic, 2), (Regular, 0), (Extended, 0), (Extended, 0x81)]);
        let ids: Vec<u8> = identity.objects.iter().map(|object| object.id).collect();
        assert_eq!(ids, [0, 1, 2, 3, 6, 0x80, 0x81]);
        assert_eq!((identity.conformity, identity.object(6)), (Some(0x83), Some("o6")));
    }

    #[test]
    fn a_device_is_asked_no_more_than_it_can_tell_and_not_for_ever() {
        let (identity, asked) = survey(|_, _| Some(part(1, &[0], None)));
        assert_eq!((asked.len(), identity.objects.len()), (1, 1));
        let (identity, asked) = survey(|_, _| None);
        assert_eq!((asked.len(), identity), (1, Identity::default()));
        // Always more, always from the start.
        let (_, asked) = survey(|_, _| Some(part(3, &[0], Some(0))));
        assert_eq!(asked.len(), 3);
        let (_, asked) =
            survey(|_, object| Some(part(3, &[object], Some(object.saturating_add(1)))));
        assert_eq!(asked.len(), 3 * 256);
    }
}
