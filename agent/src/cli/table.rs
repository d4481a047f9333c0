//! Tables that fit a terminal of 80 columns.

use std::fmt::Write as _;

use super::screen::{Paint, Style, clean};

/// How wide everything is that is printed.
pub(crate) const WIDTH: usize = 80;
/// Between two columns.
const GAP: usize = 2;
/// No column gets narrower, so that what is wrapped stays readable.
const LEAST: usize = 7;

/// A field of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self::styled(text, Style::Plain)
    }

    /// What it says may come from outside: control characters are made visible.
    pub(crate) fn styled(text: impl AsRef<str>, style: Style) -> Self {
        Self { text: clean(text.as_ref()), style }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

struct Row {
    cells: Vec<Cell>,
    notes: Vec<Cell>,
}

/// Rows under titles, each with notes below it.
pub(crate) struct Table {
    titles: Vec<&'static str>,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(titles: impl Into<Vec<&'static str>>) -> Self {
        Self { titles: titles.into(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(Row { cells: cells.into(), notes: Vec::new() });
    }

    /// A line below the last row, over the whole width.
    pub(crate) fn note(&mut self, note: Cell) {
        if let Some(row) = self.rows.last_mut() {
            row.notes.push(note);
        }
    }

    /// The table with a line break at the end of every line.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let widths = self.widths();
        let mut text = String::new();
        let titles: Vec<Cell> =
            self.titles.iter().map(|title| Cell::styled(title, Style::Title)).collect();
        line(&mut text, &titles, &widths, paint);
        for row in &self.rows {
            line(&mut text, &row.cells, &widths, paint);
            for note in &row.notes {
                for part in wrap(&note.text, WIDTH - 2) {
                    let _ = writeln!(text, "  {}", paint.paint(note.style, &part));
                }
            }
        }
        text
    }

    /// As wide as needed; when that is too much, the widest give way first.
    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.titles.iter().map(|title| title.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let room = WIDTH.saturating_sub(GAP * widths.len().saturating_sub(1));
        while widths.iter().sum::<usize>() > room {
            match widths.iter_mut().max_by_key(|width| **width) {
                Some(widest) if *widest > LEAST => *widest -= 1,
                _ => break,
            }
        }
        widths
    }
}

/// One row, on as many lines as its fullest cell takes.
fn line(text: &mut String, cells: &[Cell], widths: &[usize], paint: Paint) {
    let wrapped: Vec<Vec<String>> =
        cells.iter().zip(widths).map(|(cell, width)| wrap(&cell.text, *width)).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0).max(1);
    for at in 0..height {
        let mut line = String::new();
        // Spaces are written only when something follows.
        let mut owed = 0;
        for ((cell, lines), width) in cells.iter().zip(&wrapped).zip(widths) {
            let part = lines.get(at).map_or("", String::as_str);
            if !part.is_empty() {
                let _ = write!(line, "{:owed$}{}", "", paint.paint(cell.style, part));
                owed = 0;
            }
            owed += width.saturating_sub(part.chars().count()) + GAP;
        }
        let _ = writeln!(text, "{line}");
    }
}

/// Lines of at most `width` characters, broken at spaces and, where there are none, anywhere.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut filled = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if filled > 0 && filled + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
            filled = 0;
        } else if filled > 0 {
            line.push(' ');
            filled += 1;
        }
        while word.len() > width.max(1) {
            let rest = word.split_off(width.max(1));
            lines.push(word.into_iter().collect());
            word = rest;
        }
        filled += word.len();
        line.extend(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_wrapped_and_nothing_is_lost() {
        let mut table = Table::new(["NAME", "WHAT", "VERDICT"]);
        table.row([
            Cell::new("a-name-that-is-far-too-long-for-any-column-of-a-table-on-a-terminal"),
            Cell::new("Modbus TCP gateway.example:502 unit 17"),
            Cell::new("ok"),
        ]);
        table.note(Cell::new("word ".repeat(30).trim_end()));
        let text = table.render(Paint::Off);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let letters =
            |text: &str| -> usize { text.chars().filter(|c| c.is_alphanumeric()).count() };
        let row = &table.rows[0];
        let written = row.cells.iter().chain(&row.notes).map(|cell| letters(&cell.text));
        assert_eq!(letters(&text), letters("NAMEWHATVERDICT") + written.sum::<usize>(), "{text}");
    }

    #[test]
    fn escape_sequences_from_a_device_do_not_reach_the_terminal() {
        let mut table = Table::new(["X"]);
        table.row([Cell::new("a\x1b[31mb\nc\u{202e}d")]);
        let text = table.render(Paint::On);
        assert!(text.ends_with("a\u{b7}[31mb\u{b7}c\u{b7}d\n"), "{text:?}");
    }

    #[test]
    fn words_are_wrapped() {
        assert_eq!(wrap("ab cd ef", 5), ["ab cd", "ef"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("", 3), Vec::<String>::new());
    }
}
