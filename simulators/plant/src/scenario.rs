//! A timeline of faults, as TOML:
//!
//! ```toml
//! title = "utility lost, generator takes over"
//!
//! [[step]]
//! at = "10s"
//! cause = ["utility-off"]
//!
//! [[step]]
//! at = "5m"
//! end = ["utility-off"]
//! ```

use std::time::Duration;

use hallwatch_config::{DurationOrZero, Invalid, Section, Source, Spanned, read};

use crate::error::Error;
use crate::fault::Fault;

const BUILT_IN: [(&str, &str); 4] = [
    (
        "utility-lost-generator-fails",
        include_str!("../scenarios/utility-lost-generator-fails.toml"),
    ),
    ("utility-lost-generator-runs", include_str!("../scenarios/utility-lost-generator-runs.toml")),
    ("cooling-lost", include_str!("../scenarios/cooling-lost.toml")),
    ("intruder", include_str!("../scenarios/intruder.toml")),
];

/// What happens at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// After the start of the scenario, in plant time.
    pub at: Duration,
    /// Faults that begin.
    pub cause: Vec<Fault>,
    /// Faults that end, before the others begin.
    pub end: Vec<Fault>,
}

/// A checked timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// What it is about, in one line.
    pub title: String,
    /// In the order of time.
    pub steps: Vec<Step>,
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// Every problem of the text, each with its place.
    pub fn read(source: &Source) -> Result<Self, Invalid> {
        read(source, |root| {
            let title = root.required::<String>("title");
            let mut steps: Vec<Spanned<Step>> = Vec::new();
            let mut sound = true;
            let sections = root.sections("step");
            if sections.is_empty() {
                let help = Some("add `[[step]]` with `at` and `cause`".to_owned());
                root.problem(root.span(), "a scenario without steps", "", help);
            }
            for mut section in sections {
                match step(&mut section) {
                    Some(step) => steps.push(Spanned { value: step, span: section.span() }),
                    None => sound = false,
                }
            }
            for pair in steps.windows(2) {
                if pair[1].at < pair[0].at {
                    let help = Some("write the steps in the order of time".to_owned());
                    let span = pair[1].span.clone();
                    root.problem(span, "this step is earlier than the one before it", "", help);
                }
            }
            let title = title?;
            let steps = steps.into_iter().map(|step| step.value).collect();
            sound.then_some(Self { title, steps })
        })
    }

    /// The built-in scenario called `name`.
    ///
    /// # Errors
    /// [`Error::UnknownScenario`] with the known names; [`Error::Scenario`] never, since a test
    /// reads them all.
    pub fn named(name: &str) -> Result<Self, Error> {
        let Some((name, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) else {
            let known = Self::names().map(str::to_owned).collect();
            return Err(Error::UnknownScenario { name: name.to_owned(), known });
        };
        Ok(Self::read(&Source::new(format!("{name}.toml"), *text))?)
    }

    /// The names of the built-in scenarios.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }
}

fn step(section: &mut Section<'_>) -> Option<Step> {
    let at = section.required::<DurationOrZero>("at");
    let cause = section.optional::<Vec<Spanned<String>>>("cause");
    let end = section.optional::<Vec<Spanned<String>>>("end");
    let (has_cause, has_end) = (section.has("cause"), section.has("end"));
    if !has_cause && !has_end {
        let help = Some("add `cause = [\"…\"]` or `end = [\"…\"]`".to_owned());
        section.problem(section.span(), "a step that neither causes nor ends a fault", "", help);
        return None;
    }
    let cause = faults(section, has_cause, cause);
    let end = faults(section, has_end, end);
    Some(Step { at: at?.0, cause: cause?, end: end? })
}

/// None if a name is unknown, which has then been recorded, or if the list could not be read.
fn faults(
    section: &mut Section<'_>,
    present: bool,
    names: Option<Vec<Spanned<String>>>,
) -> Option<Vec<Fault>> {
    if !present {
        return Some(Vec::new());
    }
    let found: Vec<Option<Fault>> = names?
        .iter()
        .map(|name| {
            let fault = Fault::named(name);
            if fault.is_none() {
                let known: Vec<String> = Fault::all().map(|fault| fault.to_string()).collect();
                section.no_such("fault", name, known.iter().map(String::as_str));
            }
            fault
        })
        .collect();
    found.into_iter().collect()
}

/// A scenario on its way.
#[derive(Clone, Debug)]
pub(crate) struct Player {
    scenario: Scenario,
    started: f64,
    next: usize,
}

impl Player {
    /// Starts at `seconds` of plant time.
    pub(crate) fn new(scenario: Scenario, seconds: f64) -> Self {
        Self { scenario, started: seconds, next: 0 }
    }

    /// Faults to cause and faults to end by now, each once.
    pub(crate) fn due(&mut self, seconds: f64) -> (Vec<Fault>, Vec<Fault>) {
        let (mut cause, mut end) = (Vec::new(), Vec::new());
        while let Some(step) = self.scenario.steps.get(self.next) {
            // Plant time is a sum of steps: a hair's breadth early is in time.
            if self.started + step.at.as_secs_f64() > seconds + 1e-6 {
                break;
            }
            // What one step causes and a later one ends in the same moment never was.
            cause.retain(|fault| !step.end.contains(fault));
            end.extend(&step.end);
            cause.extend(&step.cause);
            self.next += 1;
        }
        (cause, end)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.next >= self.scenario.steps.len()
    }
}
