//! `dead list`.

use super::letter::{Letter, printable};
use super::look::Look;
use super::{NEVER_ANY, connect, letters, print};
use crate::cli::ListArgs;
use anyhow::Context;
use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets,
};
use indicatif::BinaryBytes;
use ncs_broker::Connection;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;

const HEADER: [&str; 6] = ["id", "model", "code", "since", "size", "why"];
/// The column of [`HEADER`] that is a figure, and the one that may be cut.
const SIZE: usize = 4;
const WHY: usize = 5;
/// Room for the first words of a reason, with the space behind them.
const MIN_WHY: u16 = 26;

/// The letters that were found, oldest first.
#[derive(Default, Serialize)]
struct List {
    /// Dead letters that there are.
    total: u32,
    /// Of these, the oldest ones that were looked at.
    looked_at: u32,
    /// Of these, those of the kind that was asked for, by code.
    codes: BTreeMap<&'static str, usize>,
    /// The oldest of them.
    letters: Vec<Letter>,
}

pub(super) async fn run(
    arguments: &ListArgs,
    shutdown: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let connection = connect(&arguments.broker, "list").await?;
    let list = look(&connection, arguments, shutdown).await;
    connection.close().await;
    let list = list?;
    if arguments.json {
        let list = list.unwrap_or_default();
        let json = serde_json::to_string_pretty(&list).context("cannot encode the list")?;
        print(&format!("{json}\n"))?;
    } else if let Some(list) = list {
        print(&list.to_string())?;
    } else {
        print(&format!("{NEVER_ANY}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `None`: there is no queue.
async fn look(
    connection: &Connection,
    arguments: &ListArgs,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<List>> {
    let Some(mut look) = Look::begin(connection, u32::MAX, shutdown).await? else {
        return Ok(None);
    };
    let mut list = List {
        total: look.there,
        ..List::default()
    };
    let looked = list.fill(&mut look, arguments).await;
    list.looked_at = look.looked_at;
    let ended = look.end().await;
    looked?;
    ended?;
    Ok(Some(list))
}

impl List {
    async fn fill(&mut self, look: &mut Look<'_>, arguments: &ListArgs) -> anyhow::Result<()> {
        while let Some(delivery) = look.next().await? {
            let letter = Letter::of(&delivery);
            if arguments.filter.matches(&letter) {
                *self.codes.entry(letter.code).or_default() += 1;
                if self.letters.len() < arguments.limit as usize {
                    self.letters.push(letter);
                }
            }
        }
        Ok(())
    }

    /// A line for each letter. On a terminal the last column ends at its edge: `show` says all of it.
    fn table(&self) -> Table {
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_truncation_indicator("…")
            .set_header(HEADER);
        let now = SystemTime::now();
        for letter in &self.letters {
            let mut row = Row::from([
                printable(&letter.name),
                letter.model.clone().unwrap_or_else(|| "-".to_owned()),
                letter.code.to_owned(),
                letter.age(now).unwrap_or_else(|| "-".to_owned()),
                BinaryBytes(letter.size_bytes as u64).to_string(),
                printable(&letter.why),
            ]);
            row.max_height(1);
            table.add_row(row);
        }
        for (place, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            column.set_constraint(match place {
                WHY => ColumnConstraint::LowerBoundary(Width::Fixed(MIN_WHY)),
                _ => ColumnConstraint::ContentWidth,
            });
            if place == SIZE {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        if std::io::stdout().is_terminal()
            && let Some((width, _)) = terminal_size::terminal_size()
        {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width.0);
        }
        table
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.total == 0 {
            return f.write_str("no dead letters\n");
        }
        let shown = self.letters.len();
        if shown > 0 {
            for line in self.table().lines() {
                writeln!(f, "{}", line.trim_end())?;
            }
            f.write_char('\n')?;
        }
        for (code, count) in &self.codes {
            writeln!(f, "{count} x {code}")?;
        }
        let meant: usize = self.codes.values().sum();
        f.write_str(&letters(self.total as usize))?;
        if meant < self.looked_at as usize {
            write!(f, ", {meant} of this kind")?;
        }
        if shown < meant {
            write!(f, ", the oldest {shown} shown (see --limit)")?;
        }
        match self.total - self.looked_at {
            0 => f.write_char('\n'),
            newest => writeln!(f, ", the newest {newest} not looked at"),
        }
    }
}
