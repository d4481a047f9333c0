//! Where the tools print: text for people, JSON for programs, colours only on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::Value as Json;

use super::table::{WIDTH, wrap};

/// How a word looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    #[default]
    Plain,
    Title,
    Good,
    Warning,
    Bad,
    Faint,
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Off,
    On,
}

impl Paint {
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Plain => "",
            Style::Title => "1",
            Style::Good => "32",
            Style::Warning => "33",
            Style::Bad => "31",
            Style::Faint => "2",
        };
        if self == Self::Off || code.is_empty() || text.is_empty() {
            return text.to_owned();
        }
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    pub(crate) paint: Paint,
    pub(crate) json: bool,
}

impl Screen {
    /// `json`: programs read it.
    pub(crate) fn new(json: bool) -> Self {
        let colours = is_coloured(&io::stdout()) && !json;
        Self { paint: if colours { Paint::On } else { Paint::Off }, json }
    }

    /// Prints `text` as it is. A reader that is gone (`| head`) wants no more.
    pub(crate) fn print(self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    pub(crate) fn print_json(self, json: &Json) {
        self.print(&format!("{json:#}\n"));
    }

    /// One document on one line, for what is repeated.
    pub(crate) fn print_json_line(self, json: &Json) {
        self.print(&format!("{json}\n"));
    }

    /// Whether what was printed can be printed over.
    pub(crate) fn is_terminal(self) -> bool {
        io::stdout().is_terminal()
    }
}

/// Whether this stream shows colours and is wanted to (<https://no-color.org>).
pub(crate) fn is_coloured(stream: &impl io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// To standard error, with what it is about.
pub(crate) fn complain(text: &str) {
    say(&wrapped("error", text));
}

/// To standard error.
pub(crate) fn warn(text: &str) {
    say(&wrapped("warning", text));
}

/// Text from outside without what would move the cursor or turn the writing round.
pub(crate) fn clean(text: &str) -> String {
    let visible = |c: char| {
        let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || turns { '\u{b7}' } else { c }
    };
    text.chars().map(visible).collect()
}

/// What to do about it, to standard error.
pub(crate) fn advise(text: &str) {
    say(&wrapped("hint", text));
}

fn wrapped(what: &str, text: &str) -> String {
    wrap(&format!("{what}: {}", clean(text)), WIDTH).join("\n")
}

/// To standard error, as it is.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
