//! What is found out about a device beside its readings: its SunSpec models, the addresses that it
//! refuses, who it is. Pure.
//!
//! The chain of models is walked before anything else is read: at first, when the device was silent
//! or its connection is a new one, when it refuses a read that it used to answer, and every hour.
//! All else is asked after the poll, a few questions at a time.

use std::sync::Arc;
use std::time::Duration;

use hallwatch_modbus::holes::{ILLEGAL_ADDRESS, Refused, Search};
use hallwatch_modbus::plan::Span;
use hallwatch_modbus::sunspec::{Chain, Step, Walk};
use hallwatch_modbus::{Data, Read, Table};
use hallwatch_model::{Missing, Uptime};

use super::is_answer;
use crate::profile::{Placement, Profile};

/// Devices refuse addresses by exception 2, and some by 3.
const REFUSALS: [u8; 2] = [ILLEGAL_ADDRESS, 3];
/// After so many questions in a row without a useful answer the search is left for a while.
const PATIENCE: u32 = 3;
/// How long it is left; a chain that was walked is believed as long.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// How often points that were refused are tried again.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of one device: plain data, to be kept over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Who the device said it was when this was found; none before it was asked.
    pub identity: Option<Vec<(String, String)>>,
    /// The addresses that it refuses.
    pub refused: Refused,
    /// Its SunSpec models.
    pub chain: Option<Chain>,
}

/// One device, explored in the course of its polls.
#[derive(Debug)]
pub struct Explorer {
    /// As the configuration has it.
    base: Arc<Profile>,
    placement: Placement,
    has_models: bool,
    known: Known,
    is_changed: bool,
    /// The profile with all that is known.
    profile: Arc<Profile>,
    /// To be ended before anything is read.
    walk: Option<Walk>,
    /// The exception by which the device refused a read of it.
    walk_code: u8,
    /// The chain is to be walked again then.
    walk_at: Uptime,
    /// A refused read has led to a walk, which has found the chain as it was.
    is_confirmed: bool,
    /// Whether the device is still the same is to be asked.
    compare: bool,
    task: Task,
    /// The device gives something: it does not refuse all there is, as some do while they start.
    gives: bool,
    /// Questions in a row without a useful answer.
    mute: u32,
    /// No search begins before.
    search_at: Uptime,
    /// Points that were refused are tried again then.
    retry_at: Uptime,
}

#[derive(Debug)]
enum Task {
    None,
    /// The answers so far to the reads of the identity.
    Identity(Vec<Result<Data, Missing>>),
    Search(Search),
    /// What is left to be tried.
    Retry(Vec<Span>),
}

/// What a question brought: an answer, the code of an exception, or nothing.
pub type Outcome<'a> = Result<&'a Data, Option<u8>>;

impl Explorer {
    /// A device of the profile `base`, placed otherwise by `placement`, with what is `known` of it.
    #[must_use]
    pub fn new(
        base: Arc<Profile>,
        placement: Placement,
        known: Option<Known>,
        now: Uptime,
    ) -> Self {
        let has_models = !base.models().is_empty();
        let mut explorer = Self {
            profile: Arc::clone(&base),
            base,
            placement,
            has_models,
            known: known.unwrap_or_default(),
            is_changed: false,
            walk: None,
            walk_code: ILLEGAL_ADDRESS,
            walk_at: now,
            is_confirmed: false,
            compare: false,
            task: Task::None,
            gives: false,
            mute: 0,
            search_at: now,
            retry_at: now + DAY,
        };
        match explorer.place(&explorer.known) {
            Some(profile) => explorer.profile = profile,
            None => explorer.known = Known::default(),
        }
        explorer.away();
        explorer
    }

    /// The profile with all that is known.
    #[must_use]
    pub fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    /// Whether what is read where depends on a walk along a chain of models.
    #[must_use]
    pub const fn has_models(&self) -> bool {
        self.has_models
    }

    /// What is known, once after each change.
    pub fn changed(&mut self) -> Option<&Known> {
        std::mem::take(&mut self.is_changed).then_some(&self.known)
    }

    /// The device was away: it may be another one now.
    pub fn away(&mut self) {
        if self.has_models {
            self.walk = Some(Walk::new(Table::HoldingRegisters));
            self.walk_code = ILLEGAL_ADDRESS;
        }
        self.compare = !self.known.refused.is_empty();
    }

    /// What to ask before the poll; its outcome is for [`Self::walked`].
    #[must_use]
    pub fn before(&self) -> Option<Read> {
        match self.walk.as_ref()?.step() {
            Step::Read(read) => Some(read),
            Step::Found(_) | Step::None => None,
        }
    }

    /// Goes on with the walk.
    ///
    /// # Errors
    /// When the device has no chain or does not say it now: the walk has to begin anew
    /// ([`Self::away`]), and nothing is to be read before.
    pub fn walked(&mut self, outcome: Outcome<'_>, now: Uptime) -> Result<(), Missing> {
        let Some(walk) = &mut self.walk else { return Ok(()) };
        match outcome {
            Ok(data) => walk.answered(Some(data)),
            Err(Some(code @ 1..=3)) => {
                self.walk_code = code;
                walk.answered(None);
            }
            Err(Some(code)) => return Err(Missing::Exception(code)),
            Err(None) => return Err(Missing::Timeout),
        }
        match walk.step() {
            Step::Read(_) => Ok(()),
            Step::Found(chain) if !chain.models.is_empty() => {
                self.walk = None;
                self.walk_at = now + HOUR;
                if self.known.chain.as_ref() != Some(&chain) {
                    // With other models it is another device, or one with another firmware.
                    self.replace(Known { chain: Some(chain), ..Known::default() });
                }
                Ok(())
            }
            Step::Found(_) | Step::None => Err(Missing::Exception(self.walk_code)),
        }
    }

    /// The poll is over; `answers` are those to the reads of [`Self::profile`].
    pub fn polled(&mut self, answers: &[Result<Data, Missing>], now: Uptime) {
        if !answers.iter().any(is_answer) {
            self.away();
            return;
        }
        if self.has_models && self.walk.is_none() && now >= self.walk_at {
            self.away();
        }
        self.gives = answers.iter().any(Result::is_ok);
        if self.walk.is_some() || !matches!(self.task, Task::None) {
            return;
        }
        let mut reads = self.profile.reads().iter().zip(answers);
        let refused = reads.find_map(|(read, answer)| match answer {
            Err(Missing::Exception(code)) if REFUSALS.contains(code) => Some((*read, *code)),
            _ => None,
        });
        self.mute = 0;
        if self.compare && !self.profile.identity_reads().is_empty() {
            self.task = Task::Identity(Vec::new());
        } else if let Some((read, code)) = refused.filter(|_| now >= self.search_at) {
            if self.has_models && !std::mem::replace(&mut self.is_confirmed, true) {
                self.away();
                return;
            }
            let search = Search::new(read, code, self.profile.spans(), &REFUSALS);
            self.task = Task::Search(search);
            self.advance(now);
        } else if now >= self.retry_at {
            self.retry_at = now + DAY;
            self.task = Task::Retry(self.profile.refused_spans());
        }
    }

    /// What to ask after the poll; its outcome is for [`Self::answered`].
    #[must_use]
    pub fn question(&self) -> Option<Read> {
        match &self.task {
            Task::None => None,
            Task::Identity(answers) => self.profile.identity_reads().get(answers.len()).copied(),
            Task::Search(search) => search.read(),
            Task::Retry(spans) => {
                let span = spans.last()?;
                Read::new(span.table, span.address, span.width).ok()
            }
        }
    }

    /// Goes on with the outcome of that question.
    pub fn answered(&mut self, outcome: Outcome<'_>, now: Uptime) {
        let is_useful = match (&mut self.task, outcome) {
            (Task::None, _) => true,
            (Task::Identity(answers), Ok(data)) => {
                answers.push(Ok(data.clone()));
                true
            }
            (Task::Identity(answers), Err(Some(code @ 1..=3))) => {
                answers.push(Err(Missing::Exception(code)));
                true
            }
            (Task::Search(search), Ok(_)) => {
                self.gives = true;
                search.answered(Ok(()))
            }
            (Task::Search(search), Err(Some(code))) => search.answered(Err(code)),
            (Task::Retry(spans), Ok(_)) => {
                if let Some(span) = spans.pop() {
                    self.given(span);
                }
                true
            }
            (Task::Retry(spans), Err(Some(1..=3))) => spans.pop().is_some(),
            (Task::Identity(_) | Task::Retry(_), Err(Some(_))) | (_, Err(None)) => false,
        };
        self.mute = if is_useful { 0 } else { self.mute.saturating_add(1) };
        if self.mute >= PATIENCE {
            self.task = Task::None;
            self.compare = false;
            self.search_at = now + HOUR;
            return;
        }
        self.advance(now);
    }

    /// Ends what has no more questions.
    fn advance(&mut self, now: Uptime) {
        if self.question().is_some() {
            return;
        }
        match std::mem::replace(&mut self.task, Task::None) {
            Task::None | Task::Retry(_) => {}
            Task::Identity(answers) => self.identified(&answers),
            Task::Search(search) => {
                self.is_confirmed = false;
                let found = search.finish();
                let mut known = self.known.clone();
                known.refused.forbidden.extend(&found.forbidden);
                known.refused.barriers.extend(&found.barriers);
                let placed = self.place(&known).filter(|profile| !profile.reads().is_empty());
                match placed {
                    // One that refuses all there is may just be starting.
                    Some(_) if self.gives && !found.is_empty() => {
                        // Whose refusals these are has to be known, too.
                        self.compare |= known.identity.is_none();
                        self.replace(known);
                    }
                    _ => self.search_at = now + HOUR,
                }
            }
        }
    }

    fn identified(&mut self, answers: &[Result<Data, Missing>]) {
        self.compare = false;
        let said = self.profile.identity(answers).into_iter();
        let said: Vec<_> = said.map(|(what, text)| (what.to_owned(), text)).collect();
        match &self.known.identity {
            Some(before) if *before == said => {}
            None => {
                self.known.identity = Some(said);
                self.is_changed = true;
            }
            Some(_) => {
                let chain = self.known.chain.clone();
                self.replace(Known { chain, ..Known::default() });
                self.away();
            }
        }
    }

    /// A point that was refused is given.
    fn given(&mut self, span: Span) {
        let mut known = self.known.clone();
        known.refused.forbidden.retain(|refusal| !refusal.hole.meets(span));
        self.replace(known);
    }

    fn place(&self, known: &Known) -> Option<Arc<Profile>> {
        let mut placement = self.placement.clone();
        placement.forbidden.extend(&known.refused.forbidden);
        placement.barriers.extend(&known.refused.barriers);
        placement.chain.clone_from(&known.chain);
        self.base.placed(&placement).ok().map(Arc::new)
    }

    fn replace(&mut self, known: Known) {
        // What cannot be placed is not known: the device is read as the profile has it.
        let (known, profile) = match self.place(&known) {
            Some(profile) => (known, profile),
            None => (Known::default(), Arc::clone(&self.base)),
        };
        self.known = known;
        self.profile = profile;
        self.task = match std::mem::replace(&mut self.task, Task::None) {
            Task::Retry(spans) => Task::Retry(spans),
            _ => Task::None,
        };
        self.is_changed = true;
    }
}

#[cfg(test)]
mod tests;
