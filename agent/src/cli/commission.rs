//! `commission`: walks through the points of a device; the engineer compares and confirms.

mod report;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use hallwatch_agent::profile::{Inspected, Profile};
use hallwatch_model::Missing;

use super::ask::{Ask, Question};
use super::screen::{Screen, Style, say, warn};
use super::subject::{Choice, Subject};
use super::wire::{Answers, Wire, hint};
use super::{Failed, read, show, time_of_day};
use report::{Checked, Outcome, Report};

/// Walk through every point of a device: compare each value with the device, confirm it or note
/// what is wrong.
///
/// The result is saved as a dated report, in Markdown for people and in JSON for programs. Ends
/// with 0 when every point was confirmed, with 1 otherwise.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    /// Only these points.
    #[arg(value_name = "POINT")]
    points: Vec<String>,
    /// Who compares; asked for when not told.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// The directory for the report.
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    output: PathBuf,
    /// Answers given beforehand: lines such as `by = J. Doe`, `point.charge = ok`, `point.* = ok`.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Print the report as JSON, too.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }
}

/// What an engineer says to a value.
enum Answer {
    Confirm,
    Note(String),
    Again,
    Skip,
    Stop,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, Failed> {
    let screen = Screen::new(arguments.json);
    let subject = arguments.choice.subject(arguments.json)?;
    can_save(&arguments.output)?;
    let mut ask = Ask::new(arguments.answers.as_deref())?;
    if let Some(text) = show::unverified(&subject.modbus.profile) {
        warn(&text);
    }
    let by = match &arguments.by {
        Some(by) => by.clone(),
        None => {
            ask.ask(Question { key: "by", text: "Who compares (name)", default: None }, |by| {
                if by.is_empty() { Err("a report needs a name".into()) } else { Ok(by.to_owned()) }
            })?
        }
    };
    let stopped = super::stopped()
        .map_err(|error| Failed::failure(format!("could not hear Ctrl-C: {error}")))?;
    tokio::pin!(stopped);
    let mut wire = read::wire(&subject)?;
    let profile = read::place(&mut wire, &subject).await?;
    let chosen = chosen(&profile, &arguments.points)?;
    let identity = wire.read(profile.identity_reads(), None).await;
    let mut report =
        Report::new(&subject, &profile, by, profile.identity(&identity), time_of_day());
    head(&report);
    let mut walk = Walk { wire, profile: &profile, ask: Some(ask) };
    let mut failed = None;
    for (name, at) in chosen.iter().zip(1..) {
        let title = format!("[{at}/{}]", chosen.len());
        let checked = tokio::select! {
            checked = walk.point(name, &title) => checked,
            () = &mut stopped => Ok(None),
        };
        // What was compared until then is saved in any case.
        match checked {
            Ok(Some(checked)) => report.points.push(checked),
            Ok(None) => report.is_complete = false,
            Err(error) => {
                report.is_complete = false;
                failed = Some(error);
            }
        }
        if !report.is_complete {
            break;
        }
    }
    report.finished = time_of_day();
    let paths = report.save(&arguments.output)?;
    if let Some(ask) = &walk.ask
        && report.is_complete
    {
        for key in ask.unused() {
            warn(&format!("nobody asked for the answer `{key}`"));
        }
    }
    if screen.json {
        let mut json = report.json();
        if let Some(json) = json.as_object_mut() {
            let saved = paths.iter().map(|path| path.display().to_string());
            json.insert("saved".into(), saved.collect::<Vec<_>>().into());
        }
        screen.print_json(&json);
        if let Some(failed) = failed {
            // One document is enough; why it ended early is for who asked.
            return Ok(failed.tell(false));
        }
    } else {
        let style = if report.is_good() { Style::Good } else { Style::Warning };
        screen.print(&format!("{}\n", screen.paint.paint(style, &report.summary())));
        for path in &paths {
            screen.print(&format!("saved {}\n", path.display()));
        }
    }
    if let Some(failed) = failed {
        return Err(failed);
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(super::FAILURE) })
}

/// Better told before two hours of work than after.
fn can_save(directory: &Path) -> Result<(), Failed> {
    if directory.is_dir() {
        return Ok(());
    }
    let message = format!("there is no directory {} for the report", directory.display());
    Err(Failed::no_input(message).hint("make it, or give another with --output"))
}

/// The points to walk through, in the order of the profile: those that become something.
fn chosen<'p>(profile: &'p Profile, names: &[String]) -> Result<Vec<&'p str>, Failed> {
    let points = profile.points();
    let known: Vec<&str> = points
        .iter()
        .filter(|point| point.is_read && !point.series.is_empty())
        .map(|point| point.name)
        .collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let message = format!("the profile {} makes nothing of a point `{name}`", profile.name);
        let help = hallwatch_config::suggest::help(name, "points", &known);
        return Err(Failed::usage(message).hint(help));
    }
    Ok(known
        .into_iter()
        .filter(|name| names.is_empty() || names.iter().any(|wanted| wanted == name))
        .collect())
}

fn head(report: &Report) {
    say(&format!("{}: {}", report.device, report.place));
    say(&format!("profile {}, trust {}", report.profile, report.confidence));
    for (what, text) in &report.identity {
        say(&super::screen::clean(&format!("{what}: {text}")));
    }
    say("Enter or `ok` confirms, `r` reads again, `s` skips, `q` stops; anything else is a note.");
}

struct Walk<'p> {
    wire: Wire,
    profile: &'p Profile,
    /// Away while it waits for an answer.
    ask: Option<Ask>,
}

impl Walk<'_> {
    /// One point, read as often as the engineer wants; none when it is to end here.
    async fn point(&mut self, name: &str, title: &str) -> Result<Option<Checked>, Failed> {
        loop {
            let answers = self.read(name).await;
            let time = time_of_day();
            let points = self.profile.inspect(&answers, &[]);
            let Some(point) = points.iter().find(|point| point.info.name == name) else {
                return Ok(None);
            };
            self.show(point, title);
            let missing = point.missing();
            let outcome = match self.answer(name).await? {
                Answer::Again => continue,
                Answer::Stop => return Ok(None),
                Answer::Skip => Outcome::Skipped,
                Answer::Note(text) => Outcome::Noted(text),
                // What is not there cannot be right.
                Answer::Confirm
                    if missing.is_some_and(|missing| missing != Missing::NotAvailable) =>
                {
                    Outcome::Missing
                }
                Answer::Confirm => Outcome::Confirmed,
            };
            return Ok(Some(Checked::new(point, outcome, time)));
        }
    }

    async fn read(&mut self, name: &str) -> Answers {
        let (wanted, _) = self.profile.reads_for(&BTreeSet::from([name]));
        self.wire.read(self.profile.reads(), Some(&wanted)).await
    }

    fn show(&mut self, point: &Inspected<'_>, title: &str) {
        let (value, unit) = show::value(point);
        let place = show::place(&point.info);
        say("");
        say(&format!("{title} {}  ({place}, raw {})", point.info.name, show::raw(point)));
        say(&super::screen::clean(&format!("    {value} {unit}")));
        for line in show::states(point, false) {
            say(&format!("    {line}"));
        }
        if let Some(reason) = show::reason(point) {
            say(&format!("    {reason}"));
        }
        for error in std::mem::take(&mut self.wire.errors) {
            say(&format!("    hint: {}", hint(&error)));
        }
    }

    /// Waits for the engineer without holding up the end by Ctrl-C.
    async fn answer(&mut self, name: &str) -> Result<Answer, Failed> {
        let lost = || Failed::failure("could not read the answer");
        let mut ask = self.ask.take().ok_or_else(lost)?;
        let key = format!("point.{name}");
        let waiting = tokio::task::spawn_blocking(move || {
            let question = Question { key: &key, text: "  right?", default: Some("ok") };
            let answer = match &ask {
                Ask::Terminal => ask.text(question),
                // In a file silence is no consent.
                Ask::File { .. } => ask.text(Question { default: None, ..question }),
            };
            (ask, answer)
        });
        let (ask, answer) = waiting.await.map_err(|_| lost())?;
        let is_file = matches!(ask, Ask::File { .. });
        self.ask = Some(ask);
        Ok(match answer?.as_str() {
            "ok" | "" | "y" | "yes" => Answer::Confirm,
            "r" if !is_file => Answer::Again,
            "s" | "skip" => Answer::Skip,
            "q" | "stop" => Answer::Stop,
            note => Answer::Note(note.to_owned()),
        })
    }
}

impl Report {
    fn new(
        subject: &Subject,
        profile: &Profile,
        by: String,
        identity: Vec<(&str, String)>,
        started: String,
    ) -> Self {
        Self {
            device: subject.name.clone(),
            agent: subject.site.clone(),
            place: subject.place(),
            address: subject.modbus.line.endpoint.to_string(),
            unit: subject.modbus.unit,
            profile: profile.name.clone(),
            model: format!("{} {}", profile.manufacturer, profile.model),
            confidence: show::confidence(profile.confidence),
            sources: profile.sources.clone(),
            identity: identity.into_iter().map(|(what, text)| (what.to_owned(), text)).collect(),
            by,
            finished: started.clone(),
            started,
            is_complete: true,
            points: Vec::new(),
        }
    }
}
