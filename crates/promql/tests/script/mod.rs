//! Reads scripts in the language of Prometheus' own conformance tests: `load`, `eval`, `expect`,
//! `clear`.

mod series;

pub(crate) use series::Description;

/// One command of a script.
pub(crate) enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

/// Samples to store.
pub(crate) struct Load {
    /// Milliseconds between two samples.
    pub(crate) gap: i64,
    pub(crate) series: Vec<Description>,
    /// Classic histograms also become native ones: those queries are left out.
    pub(crate) with_native: bool,
}

/// A query and what is expected of it.
pub(crate) struct Eval {
    /// Where in the script, from 1.
    pub(crate) line: usize,
    pub(crate) query: String,
    /// Start, end and step in milliseconds; `None` for the step of an instant query.
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) step: Option<i64>,
    pub(crate) fails: Option<Message>,
    pub(crate) ordered: bool,
    pub(crate) annotations: Vec<Annotation>,
    pub(crate) text: Option<String>,
    /// The grid of an expected range vector: start and step.
    pub(crate) range_vector: Option<(i64, i64)>,
    pub(crate) scalar: Option<f64>,
    pub(crate) series: Vec<Description>,
}

pub(crate) enum Message {
    Any,
    Exactly(String),
    Matching(String),
}

pub(crate) enum Annotation {
    Warn(Message),
    Info(Message),
    NoWarn,
    NoInfo,
}

impl Message {
    pub(crate) fn fits(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(expected) => expected == text,
            Self::Matching(pattern) => regex::Regex::new(pattern).is_ok_and(|r| r.is_match(text)),
        }
    }
}

/// Reads a whole script.
pub(crate) fn parse(script: &str) -> Result<Vec<Command>, String> {
    // A comment ends a block, as an empty line does.
    let lines: Vec<&str> = script
        .lines()
        .map(|line| if line.trim_start().starts_with('#') { "" } else { line.trim() })
        .collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let (line, number) = (lines[at], at + 1);
        at += 1;
        let first = line.split_whitespace().next().unwrap_or("");
        if first.is_empty() {
            continue;
        }
        let block: Vec<&str> = lines[at..].iter().copied().take_while(|l| !l.is_empty()).collect();
        let fail = |problem: String| format!("line {number}: {problem}");
        match first {
            "clear" => commands.push(Command::Clear),
            "load" | "load_with_nhcb" => {
                at += block.len();
                let gap = line.split_whitespace().nth(1).and_then(duration);
                let gap = gap.ok_or_else(|| fail("no gap".into()))?;
                let series = block.iter().map(|line| Description::parse(line));
                let series = series.collect::<Result<_, _>>().map_err(fail)?;
                let with_native = first == "load_with_nhcb";
                commands.push(Command::Load(Load { gap, series, with_native }));
            }
            _ if first.starts_with("eval") => {
                at += block.len();
                let eval = eval(line, number, &block).map_err(fail)?;
                commands.push(Command::Eval(Box::new(eval)));
            }
            other => return Err(fail(format!("unknown command {other:?}"))),
        }
    }
    Ok(commands)
}

fn eval(line: &str, number: usize, block: &[&str]) -> Result<Eval, String> {
    let verb = line.split_whitespace().next().unwrap_or("");
    let mut eval = Eval {
        line: number,
        query: String::new(),
        start: 0,
        end: 0,
        step: None,
        fails: (verb == "eval_fail").then_some(Message::Any),
        ordered: verb == "eval_ordered",
        annotations: Vec::new(),
        text: None,
        range_vector: None,
        scalar: None,
        series: Vec::new(),
    };
    match verb {
        "eval_warn" => eval.annotations.push(Annotation::Warn(Message::Any)),
        "eval_info" => eval.annotations.push(Annotation::Info(Message::Any)),
        _ => {}
    }
    let kind = line.split_whitespace().nth(1);
    let consumed = match kind {
        Some("instant") => {
            eval.start = line.split_whitespace().nth(3).and_then(duration).ok_or("no time")?;
            eval.end = eval.start;
            4
        }
        Some("range") => {
            // `range from 0 to 1m step 30s`
            let numbers: Vec<&str> = line.split_whitespace().collect();
            let named = |at: usize| numbers.get(at).copied().and_then(duration).ok_or("no time");
            eval.start = named(3)?;
            eval.end = named(5)?;
            eval.step = Some(named(7)?);
            8
        }
        other => return Err(format!("expected instant or range, found {other:?}")),
    };
    eval.query = after_words(line, consumed).to_owned();
    for line in block {
        match line.strip_prefix("expect ") {
            Some(rest) => expect(&mut eval, rest.trim())?,
            None => match number_of(line) {
                Some(value) if block.len() == 1 => eval.scalar = Some(value),
                _ => eval.series.push(Description::parse(line)?),
            },
        }
    }
    Ok(eval)
}

/// The rest of a line behind so many words.
fn after_words(line: &str, count: usize) -> &str {
    (0..count)
        .fold(line, |rest, _| {
            let rest = rest.trim_start();
            rest.find(char::is_whitespace).map_or("", |end| &rest[end..])
        })
        .trim()
}

fn expect(eval: &mut Eval, what: &str) -> Result<(), String> {
    let (word, rest) = what.split_once(char::is_whitespace).unwrap_or((what, ""));
    let rest = rest.trim();
    let message = || {
        if let Some(text) = rest.strip_prefix("msg:") {
            Message::Exactly(text.trim().into())
        } else if let Some(pattern) = rest.strip_prefix("regex:") {
            Message::Matching(pattern.trim().into())
        } else {
            Message::Any
        }
    };
    match word {
        "fail" => eval.fails = Some(message()),
        "ordered" => eval.ordered = true,
        "warn" => eval.annotations.push(Annotation::Warn(message())),
        "info" => eval.annotations.push(Annotation::Info(message())),
        "no_warn" => eval.annotations.push(Annotation::NoWarn),
        "no_info" => eval.annotations.push(Annotation::NoInfo),
        "string" => eval.text = rest.get(1..rest.len().saturating_sub(1)).map(str::to_owned),
        "range" => {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let named = |at: usize| words.get(at).copied().and_then(duration).ok_or("no time");
            eval.range_vector = Some((named(2)?, named(6)?));
        }
        other => return Err(format!("unknown expectation {other:?}")),
    }
    Ok(())
}

/// Milliseconds of `1m30s`, `10s53ms`, `5` (seconds), `-1m`.
pub(crate) fn duration(text: &str) -> Option<i64> {
    if let Some(positive) = text.strip_prefix('-') {
        return duration(positive).map(|millis| -millis);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Some((seconds * 1000.0).round() as i64);
    }
    let mut total = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit());
        let (unit, after) = match unit_end {
            Some(end) => rest[digits..].split_at(end),
            None => (&rest[digits..], ""),
        };
        total += count
            * match unit {
                "ms" => 1,
                "s" => 1000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 7 * 86_400_000,
                _ => return None,
            };
        rest = after;
    }
    Some(total)
}

/// A float as the scripts write it.
pub(crate) fn number_of(text: &str) -> Option<f64> {
    // Rust also reads "infinity"; no script has it.
    text.parse().ok()
}
