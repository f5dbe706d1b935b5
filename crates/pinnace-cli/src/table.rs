//! Tables for people: columns as wide as what is in them, and one that gives way where the whole would be too wide.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use pinnace_types::control::ServiceState;

/// How wide a terminal is at least.
pub(crate) const WIDTH: usize = 80;
/// What stands between two columns.
const GAP: usize = 2;
/// What is left of a column that gives way.
const LEAST: usize = 8;

/// Rows below a row of headings.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
}

/// One text, with a style that only a terminal shows.
#[derive(Debug)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        let heading = |text: &&str| Cell { text: (*text).to_owned(), style: Style::new().bold() };
        Self { rows: vec![headings.iter().map(heading).collect()] }
    }

    /// Adds a row; it may have fewer cells than there are headings.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines of it; the column `elastic` is shortened where they would be longer than [`WIDTH`].
    pub(crate) fn render(&self, elastic: usize) -> String {
        let widths = self.widths(elastic);
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let shown = shorten(&cell.text, *width);
                let style = cell.style;
                // What is behind the last cell would be seen by nobody, and be copied along.
                let blanks = if index + 1 == row.len() { 0 } else { width + GAP - shown.chars().count() };
                // Writing to a string cannot fail.
                let _ = write!(line, "{style}{shown}{style:#}{:blanks$}", "");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn widths(&self, elastic: usize) -> Vec<usize> {
        let mut widths = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let all = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        if let Some(width) = widths.get_mut(elastic) {
            *width = (*width).min(width.saturating_sub(all.saturating_sub(WIDTH)).max(LEAST));
        }
        widths
    }
}

impl Cell {
    /// A plain text.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new() }
    }

    /// A text, or a dash where there is none.
    pub(crate) fn or_dash(text: Option<impl Into<String>>) -> Self {
        text.map_or_else(|| Self::new("–"), Self::new)
    }

    /// The word of a state.
    pub(crate) fn state(state: ServiceState) -> Self {
        Self { text: state.word().to_owned(), style: style_of(state) }
    }
}

/// The style of a state, beside its word.
pub(crate) const fn style_of(state: ServiceState) -> Style {
    let colour = match state {
        ServiceState::Ready => AnsiColor::Green,
        ServiceState::Crashed | ServiceState::Failed => AnsiColor::Red,
        ServiceState::Preparing
        | ServiceState::Waiting
        | ServiceState::Starting
        | ServiceState::Reloading
        | ServiceState::Stopping
        | ServiceState::Stopped => AnsiColor::Yellow,
    };
    colour.on_default()
}

fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::{Cell, Table};
    use pinnace_types::control::ServiceState;

    fn plain(table: &Table, elastic: usize) -> String {
        anstream::adapter::strip_str(&table.render(elastic)).to_string()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_text() {
        let mut table = Table::new(&["NAME", "STATE", "URL"]);
        table.row([Cell::new("a"), Cell::state(ServiceState::Reloading), Cell::or_dash(None::<&str>)]);
        table.row([Cell::new("größer"), Cell::state(ServiceState::Ready), Cell::or_dash(Some("x"))]);
        table.row([Cell::new("b"), Cell::new("")]);
        assert_eq!(
            plain(&table, 0),
            "NAME    STATE      URL\n\
             a       reloading  –\n\
             größer  ready      x\n\
             b\n"
        );
    }

    #[test]
    fn one_column_gives_way_to_what_does_not_fit() {
        let mut table = Table::new(&["NAME", "FRAMEWORK", "URL"]);
        table.row([Cell::new("a"), Cell::new("f".repeat(60)), Cell::new("u".repeat(22))]);
        let text = plain(&table, 1);
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert_eq!(longest, Some(80));
        assert!(text.ends_with(&format!("a     {}…  {}\n", "f".repeat(49), "u".repeat(22))), "{text}");
        table.row([Cell::new("n".repeat(70)), Cell::new("framework"), Cell::new("url")]);
        assert!(plain(&table, 1).contains("framewo…"), "no less than eight characters are left");
    }

    #[test]
    fn colour_is_only_beside_a_word() {
        let mut table = Table::new(&["STATE"]);
        table.row([Cell::state(ServiceState::Failed)]);
        assert_eq!(table.render(0), "\u{1b}[1mSTATE\u{1b}[0m\n\u{1b}[31mfailed\u{1b}[0m\n");
    }
}
