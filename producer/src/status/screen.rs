//! Where the figures are shown: in place on a terminal that is watched, one after the other elsewhere.

use super::fleet::Fleet;
use super::{json, table};
use crate::cli::StatusArgs;
use anyhow::Context;
use console::Term;
use std::io::Write;

/// What may be drawn on.
pub(super) struct Screen {
    /// To be drawn on in place.
    terminal: Option<Term>,
    /// Something was drawn.
    drawn: bool,
    /// Further looks come.
    watching: bool,
}

impl Screen {
    /// For one look.
    pub(super) fn plain() -> Self {
        Self {
            terminal: None,
            drawn: false,
            watching: false,
        }
    }

    /// For one look after the other.
    pub(super) fn for_watching(arguments: &StatusArgs) -> Self {
        let terminal = Some(Term::buffered_stdout());
        Self {
            terminal: terminal.filter(|terminal| terminal.is_term() && !arguments.json),
            drawn: false,
            watching: true,
        }
    }

    /// Shows what was found.
    pub(super) fn show(&mut self, fleet: &Fleet, arguments: &StatusArgs) -> anyhow::Result<()> {
        let again = std::mem::replace(&mut self.drawn, true);
        let shown = if arguments.json {
            print(&json(fleet, self.watching)?)
        } else {
            let text = table::text(fleet, arguments);
            match &self.terminal {
                Some(terminal) => draw(terminal, &text, !again),
                None if self.watching => {
                    let gap = if again { "\n" } else { "" };
                    print(&format!("{gap}{}\n{text}", fleet.at))
                }
                None => print(&text),
            }
        };
        shown.context("cannot print the figures")
    }
}

fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// From the upper left corner; each line takes the place of the one before, so that nothing flickers. What
/// does not fit is left away, lest the terminal scroll.
fn draw(terminal: &Term, text: &str, clear: bool) -> std::io::Result<()> {
    if clear {
        terminal.clear_screen()?;
    }
    terminal.move_cursor_to(0, 0)?;
    let (height, width) = terminal.size();
    for line in text.lines().take(usize::from(height).saturating_sub(1)) {
        let line: String = line.chars().take(width.into()).collect();
        terminal.write_str(&line)?;
        terminal.write_str(END_OF_LINE)?;
    }
    terminal.clear_to_end_of_screen()?;
    terminal.flush()
}

/// Erases what was behind it (ECMA-48's EL), then goes on.
const END_OF_LINE: &str = "\x1b[K\n";
