//! From the words of a template to its parts.

use std::ops::Range;

use super::TemplateError;
use super::format;
use super::lex::{self, Piece, Word, WordKind, error};
use super::pattern::Pattern;

/// The deepest nesting of `if` and `with`, and of parentheses and pipes.
const MAX_DEPTH: usize = 50;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Text(String),
    Print(Expression),
    If {
        branches: Vec<(Expression, Vec<Part>)>,
        otherwise: Vec<Part>,
    },
    /// Where the expression comes to something, it is `.` within `then`.
    With {
        of: Expression,
        then: Vec<Part>,
        otherwise: Vec<Part>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Number(f64),
    Text(String),
    Truth(bool),
    Value,
    Label(String),
    Labels,
    ExternalUrl,
    /// `.`, within a `with` only.
    Dot,
    Pattern(Pattern),
    Call(Function, Vec<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Humanize,
    Humanize1024,
    HumanizeDuration,
    HumanizePercentage,
    HumanizeTimestamp,
    ToTime,
    ParseDuration,
    ToUpper,
    ToLower,
    Title,
    SafeHtml,
    Match,
    ReReplaceAll,
    StripPort,
    StripDomain,
    ExternalUrl,
    PathPrefix,
    GraphLink,
    TableLink,
    UrlQuery,
    Print,
    Printf,
    Len,
    And,
    Or,
    Not,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Name, function, fewest and most arguments.
const FUNCTIONS: [(&str, Function, usize, usize); 32] = [
    ("humanize", Function::Humanize, 1, 1),
    ("humanize1024", Function::Humanize1024, 1, 1),
    ("humanizeDuration", Function::HumanizeDuration, 1, 1),
    ("humanizePercentage", Function::HumanizePercentage, 1, 1),
    ("humanizeTimestamp", Function::HumanizeTimestamp, 1, 1),
    ("toTime", Function::ToTime, 1, 1),
    ("parseDuration", Function::ParseDuration, 1, 1),
    ("toUpper", Function::ToUpper, 1, 1),
    ("toLower", Function::ToLower, 1, 1),
    ("title", Function::Title, 1, 1),
    ("safeHtml", Function::SafeHtml, 1, 1),
    ("match", Function::Match, 2, 2),
    ("reReplaceAll", Function::ReReplaceAll, 3, 3),
    ("stripPort", Function::StripPort, 1, 1),
    ("stripDomain", Function::StripDomain, 1, 1),
    ("externalURL", Function::ExternalUrl, 0, 0),
    ("pathPrefix", Function::PathPrefix, 0, 0),
    ("graphLink", Function::GraphLink, 1, 1),
    ("tableLink", Function::TableLink, 1, 1),
    ("urlquery", Function::UrlQuery, 1, 1),
    ("print", Function::Print, 1, 32),
    ("printf", Function::Printf, 1, 32),
    ("len", Function::Len, 1, 1),
    ("and", Function::And, 1, 32),
    ("or", Function::Or, 1, 32),
    ("not", Function::Not, 1, 1),
    ("eq", Function::Eq, 2, 32),
    ("ne", Function::Ne, 2, 2),
    ("lt", Function::Lt, 2, 2),
    ("le", Function::Le, 2, 2),
    ("gt", Function::Gt, 2, 2),
    ("ge", Function::Ge, 2, 2),
];

/// What asks the database for more, and what works on its answer.
const QUERYING: [&str; 8] =
    ["query", "first", "value", "label", "strvalue", "sortByLabel", "range", "args"];
/// What else Go's templates have, and Prometheus' console pages.
const UNSUPPORTED: [&str; 7] =
    ["template", "define", "block", "break", "continue", "tmpl", "println"];

pub(super) fn parse(text: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parser = Parser { pieces: lex::pieces(text)?.into_iter(), depth: 0, withs: 0 };
    let (parts, end) = parser.parts()?;
    match end {
        Stop::Text => Ok(parts),
        Stop::Else(_, span) => Err(error(span, "`else` without an `if`")),
        Stop::End(span) => Err(error(span, "`end` without an `if`")),
    }
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    depth: usize,
    /// So many `with` are open, in which there is a `.`.
    withs: usize,
}

/// What ended a list of parts.
enum Stop {
    Text,
    /// With the words after `else`.
    Else(Vec<Word>, Range<usize>),
    End(Range<usize>),
}

impl Parser {
    fn parts(&mut self) -> Result<(Vec<Part>, Stop), TemplateError> {
        let mut parts = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (words, span) = match piece {
                Piece::Text(text) => {
                    parts.push(Part::Text(text));
                    continue;
                }
                Piece::Action(words, span) => (words, span),
            };
            let dot = words.iter().find(|word| word.kind == WordKind::Name(".".into()));
            if let Some(dot) = dot.filter(|_| self.withs == 0) {
                let message = "`.` stands for nothing outside of a `with`";
                return Err(error(dot.span.clone(), message));
            }
            match words.split_first() {
                None => return Err(error(span, "an empty action")),
                Some((word, rest)) => match &word.kind {
                    WordKind::Name(name) if name == "end" && rest.is_empty() => {
                        return Ok((parts, Stop::End(span)));
                    }
                    WordKind::Name(name) if name == "else" => {
                        return Ok((parts, Stop::Else(rest.to_vec(), span)));
                    }
                    WordKind::Name(name) if name == "if" => parts.push(self.branch(rest, &span)?),
                    WordKind::Name(name) if name == "with" => parts.push(self.with(rest, &span)?),
                    _ => parts.push(Part::Print(pipeline(&words, &span)?)),
                },
            }
        }
        Ok((parts, Stop::Text))
    }

    fn branch(&mut self, condition: &[Word], span: &Range<usize>) -> Result<Part, TemplateError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(error(span.clone(), "`if` is nested too deep"));
        }
        let unclosed = || error(span.clone(), "an `if` without an `end`");
        let mut branches = Vec::new();
        let mut condition = pipeline(condition, span)?;
        let otherwise = loop {
            let (then, end) = self.parts()?;
            branches.push((condition, then));
            match end {
                Stop::Text => return Err(unclosed()),
                Stop::End(_) => break Vec::new(),
                Stop::Else(words, at) => match words.split_first() {
                    None => match self.parts()? {
                        (parts, Stop::End(_)) => break parts,
                        (_, Stop::Text) => return Err(unclosed()),
                        (_, Stop::Else(_, again)) => {
                            return Err(error(again, "an `else` after the last `else`"));
                        }
                    },
                    Some((word, rest)) if word.kind == WordKind::Name("if".into()) => {
                        condition = pipeline(rest, &at)?;
                    }
                    Some(_) => return Err(error(at, "only `if` can follow `else`")),
                },
            }
        };
        self.depth -= 1;
        Ok(Part::If { branches, otherwise })
    }

    fn with(&mut self, of: &[Word], span: &Range<usize>) -> Result<Part, TemplateError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(error(span.clone(), "`with` is nested too deep"));
        }
        let of = pipeline(of, span)?;
        let unclosed = || error(span.clone(), "a `with` without an `end`");
        self.withs += 1;
        let (then, end) = self.parts()?;
        self.withs -= 1;
        let otherwise = match end {
            Stop::Text => return Err(unclosed()),
            Stop::End(_) => Vec::new(),
            Stop::Else(words, at) if !words.is_empty() => {
                return Err(error(at, "nothing can follow the `else` of a `with`"));
            }
            Stop::Else(..) => match self.parts()? {
                (parts, Stop::End(_)) => parts,
                (_, Stop::Text) => return Err(unclosed()),
                (_, Stop::Else(_, again)) => {
                    return Err(error(again, "an `else` after the last `else`"));
                }
            },
        };
        self.depth -= 1;
        Ok(Part::With { of, then, otherwise })
    }
}

fn pipeline(words: &[Word], action: &Range<usize>) -> Result<Expression, TemplateError> {
    let mut reader = Reader { words, at: 0, depth: 0 };
    let expression = reader.pipeline(action)?;
    match reader.words.get(reader.at) {
        None => Ok(expression),
        Some(word) => Err(error(word.span.clone(), "a parenthesis that was not opened")),
    }
}

struct Reader<'w> {
    words: &'w [Word],
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn pipeline(&mut self, around: &Range<usize>) -> Result<Expression, TemplateError> {
        let mut piped: Option<(Expression, Word)> = None;
        let outside = self.depth;
        loop {
            let left = piped.as_ref().map(|(expression, _)| expression.clone());
            let blame = piped.as_ref().map_or(around, |(_, pipe)| &pipe.span);
            let what = if piped.is_some() { "nothing after a pipe" } else { "an empty action" };
            let expression = self.command(left, blame, what)?;
            match self.words.get(self.at) {
                Some(word) if word.kind == WordKind::Pipe => {
                    // What is left of it is an argument of what is right of it.
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return Err(error(word.span.clone(), "too many pipes"));
                    }
                    self.at += 1;
                    piped = Some((expression, word.clone()));
                }
                _ => {
                    self.depth = outside;
                    return Ok(expression);
                }
            }
        }
    }

    /// A function with its arguments, or a single operand.
    fn command(
        &mut self,
        piped: Option<Expression>,
        blame: &Range<usize>,
        nothing: &str,
    ) -> Result<Expression, TemplateError> {
        let Some(word) = self.words.get(self.at).cloned() else {
            return Err(error(blame.clone(), nothing));
        };
        let function = match &word.kind {
            WordKind::Name(name) => function(name, &word.span)?,
            _ => None,
        };
        let mut operands = Vec::new();
        if function.is_some() || word.kind == WordKind::Name("index".into()) {
            self.at += 1;
        }
        while let Some(next) = self.words.get(self.at) {
            if matches!(next.kind, WordKind::Pipe | WordKind::Close) {
                break;
            }
            operands.push((self.operand()?, next.span.clone()));
        }
        if word.kind == WordKind::Name("index".into()) {
            return match &operands[..] {
                [(Expression::Labels, _), (Expression::Text(name), _)] if piped.is_none() => {
                    Ok(Expression::Label(name.clone()))
                }
                _ => Err(error(word.span, "`index` takes `$labels` and a label's name")),
            };
        }
        let Some((function, fewest, most)) = function else {
            return match (operands.pop(), operands.is_empty(), piped) {
                (Some((operand, _)), true, None) => Ok(operand),
                (None, ..) => Err(error(blame.clone(), nothing)),
                _ => Err(error(word.span, "this is not a function and takes no arguments")),
            };
        };
        let format = operands.first().cloned();
        let mut arguments: Vec<Expression> = operands.into_iter().map(|(o, _)| o).collect();
        arguments.extend(piped.clone());
        if !(fewest..=most).contains(&arguments.len()) {
            let wants =
                if fewest == most { fewest.to_string() } else { format!("{fewest} or more") };
            let message =
                format!("wrong number of arguments: takes {wants}, {} given", arguments.len());
            return Err(error(word.span, message));
        }
        if let (Function::Printf, Some((Expression::Text(text), span))) = (function, &format) {
            format::check(text, arguments.len() - 1).map_err(|m| error(span.clone(), m))?;
        }
        if let (Function::Match | Function::ReReplaceAll, Some(Expression::Text(text))) =
            (function, arguments.first())
        {
            let pattern = Pattern::new(text).map_err(|message| {
                error(format.map_or_else(|| word.span.clone(), |(_, span)| span), message)
            })?;
            arguments.splice(..1, [Expression::Pattern(pattern)]);
        }
        Ok(Expression::Call(function, arguments))
    }

    fn operand(&mut self) -> Result<Expression, TemplateError> {
        let Some(word) = self.words.get(self.at).cloned() else {
            return Err(error(0..0, "an operand is missing"));
        };
        self.at += 1;
        match &word.kind {
            WordKind::Text(text) => Ok(Expression::Text(text.clone())),
            WordKind::Name(name) => match function(name, &word.span)? {
                Some((function, _, 0)) => Ok(Expression::Call(function, Vec::new())),
                Some(_) => Err(error(word.span, "a function as an argument needs parentheses")),
                None => name_operand(name, &word.span),
            },
            WordKind::Open => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(error(word.span, "parentheses are nested too deep"));
                }
                let expression = self.pipeline(&word.span)?;
                self.depth -= 1;
                if self.words.get(self.at).is_none_or(|w| w.kind != WordKind::Close) {
                    return Err(error(word.span, "a parenthesis that is never closed"));
                }
                self.at += 1;
                Ok(expression)
            }
            WordKind::Pipe | WordKind::Close => Err(error(word.span, "an operand is missing")),
        }
    }
}

type Known = Option<(Function, usize, usize)>;

fn function(name: &str, span: &Range<usize>) -> Result<Known, TemplateError> {
    if let Some((_, function, fewest, most)) = FUNCTIONS.iter().find(|(n, ..)| *n == name) {
        return Ok(Some((*function, *fewest, *most)));
    }
    if QUERYING.contains(&name) {
        let message = format!("`{name}` is not supported in templates here");
        let mut unsupported = error(span.clone(), message);
        unsupported.help = Some(
            "an alert speaks of its own labels and value: join what it needs to the expression, with \
             `group_left`"
                .to_owned(),
        );
        return Err(unsupported);
    }
    if UNSUPPORTED.contains(&name) {
        return Err(error(span.clone(), format!("`{name}` is not supported in templates here")));
    }
    let plain = name.chars().next().is_some_and(char::is_alphabetic);
    if plain && !matches!(name, "true" | "false" | "index") {
        let mut unknown = error(span.clone(), format!("no function named `{name}`"));
        let known: Vec<&str> = FUNCTIONS.iter().map(|(n, ..)| *n).collect();
        unknown.help = Some(hallwatch_config::suggest::help(name, "functions", &known));
        return Err(unknown);
    }
    Ok(None)
}

fn name_operand(name: &str, span: &Range<usize>) -> Result<Expression, TemplateError> {
    match name {
        "true" | "false" => return Ok(Expression::Truth(name == "true")),
        "$value" | ".Value" => return Ok(Expression::Value),
        "." => return Ok(Expression::Dot),
        "$labels" | ".Labels" => return Ok(Expression::Labels),
        "$externalURL" | ".ExternalURL" => return Ok(Expression::ExternalUrl),
        _ => {}
    }
    let label = name.strip_prefix("$labels.").or_else(|| name.strip_prefix(".Labels."));
    if let Some(label) = label.filter(|label| is_field(label)) {
        return Ok(Expression::Label(label.to_owned()));
    }
    let digits = name.trim_start_matches(['-', '+']);
    if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit())
    {
        return name
            .parse()
            .map(Expression::Number)
            .map_err(|_| error(span.clone(), format!("`{name}` is not a number")));
    }
    let (what, known) = if name.starts_with('$') {
        ("variable", "`$labels.NAME`, `$value` and `$externalURL`")
    } else {
        ("field", "`.Labels.NAME`, `.Value` and `.ExternalURL`")
    };
    let mut unknown = error(span.clone(), format!("no {what} named `{name}`"));
    unknown.help = Some(format!("known are {known}"));
    Err(unknown)
}

fn is_field(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
