//! The figures for people, in 80 columns unless names are long.

use super::fleet::{Fleet, Host, Queue, Role};
use crate::cli::StatusArgs;
use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets,
};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::IsTerminal;

/// What is not known.
const UNKNOWN: &str = "-";

/// A name may be cut down to so much, with the space behind it.
const MIN_NAME: u16 = 14;

const HOSTS: [&str; 7] = [
    "host",
    "workers",
    "consuming",
    "prefetch",
    "in hand",
    "devices",
    "models",
];
const QUEUES: [&str; 4] = [
    "queue of a producer's own",
    "results",
    "in hand",
    "consumers",
];

/// All of it, in lines.
pub(super) fn text(fleet: &Fleet, arguments: &StatusArgs) -> String {
    let parts = [
        models(fleet, arguments.watch.is_some()),
        hosts(fleet),
        own_queues(fleet, arguments.all),
        shared_queues(fleet),
        remarks(fleet),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

/// A line for each model: all that the management API knows, or what AMQP alone tells.
fn models(fleet: &Fleet, watching: bool) -> String {
    let mut suspects = BTreeMap::new();
    for queue in fleet
        .queues
        .iter()
        .filter(|queue| queue.role == Role::Suspects)
    {
        suspects.insert(&queue.model, queue.ready + queue.in_hand.unwrap_or(0));
    }
    let told = fleet.queues.iter().any(|queue| queue.in_hand.is_some());
    let row = |queue: &Queue| {
        let suspects = suspects.get(&queue.model).copied().unwrap_or(0);
        let mut row = vec![
            queue.model.clone().unwrap_or_default(),
            queue.ready.to_string(),
            suspects.to_string(),
            queue.consumers.to_string(),
        ];
        if told {
            row.extend([
                or_unknown(queue.in_hand, |count| count.to_string()),
                or_unknown(queue.published_per_second, |rate| format!("{rate:.1}")),
                or_unknown(queue.acked_per_second, |rate| format!("{rate:.1}")),
                match queue.oldest_age_seconds {
                    Some(age) => span(age),
                    None => or_unknown(queue.oldest_age_estimate_seconds, about),
                },
                or_unknown(queue.time_left_estimate_seconds, about),
            ]);
        } else if watching {
            row.push(or_unknown(queue.ready_change_per_second, |rate| {
                format!("{rate:+.1}")
            }));
        }
        row
    };
    let jobs = fleet.queues.iter().filter(|queue| queue.role == Role::Jobs);
    let further: &[&str] = match (told, watching) {
        (true, _) => &["in hand", "in/s", "done/s", "oldest", "left"],
        (false, true) => &["change/s"],
        (false, false) => &[],
    };
    let header = [&["model", "waiting", "suspects", "workers"], further].concat();
    table(&header, jobs.map(row).collect())
}

/// A line for each host with workers.
fn hosts(fleet: &Fleet) -> String {
    let row = |host: &Host| {
        let name = if host.foreign {
            format!("{} (not ours)", host.name)
        } else {
            host.name.clone()
        };
        let models: Vec<_> = host.models.iter().cloned().collect();
        vec![
            name,
            host.workers.to_string(),
            host.consuming.to_string(),
            host.prefetch.to_string(),
            or_unknown(host.in_hand, |count| count.to_string()),
            devices(host),
            models.join(", "),
        ]
    };
    table(&HOSTS, fleet.hosts.iter().flatten().map(row).collect())
}

/// "2", or "1 (1 lost)".
fn devices(host: &Host) -> String {
    let missing = [(host.quarantined, "failing"), (host.lost, "lost")];
    let missing = missing.into_iter().filter_map(|(count, what)| {
        let count = count.filter(|count| *count > 0)?;
        Some(format!("{count} {what}"))
    });
    let missing: Vec<_> = missing.collect();
    or_unknown(host.devices, |count| {
        if missing.is_empty() {
            count.to_string()
        } else {
            format!("{count} ({})", missing.join(", "))
        }
    })
}

/// What producers have declared for themselves: in a line, or one by one.
fn own_queues(fleet: &Fleet, all: bool) -> String {
    let own = fleet
        .queues
        .iter()
        .filter(|queue| matches!(queue.role, Role::Own | Role::Other));
    let own: Vec<&Queue> = own.collect();
    if all {
        let row = |queue: &&Queue| {
            vec![
                queue.name.clone(),
                queue.ready.to_string(),
                or_unknown(queue.in_hand, |count| count.to_string()),
                queue.consumers.to_string(),
            ]
        };
        return table(&QUEUES, own.iter().map(row).collect());
    }
    let results: u64 = own.iter().map(|queue| queue.ready).sum();
    match own.len() {
        0 => String::new(),
        1 => format!("1 queue of a producer's own, with {results} waiting (see --all)\n"),
        many => format!("{many} queues of producers' own, with {results} waiting (see --all)\n"),
    }
}

/// A line for each queue that all models share.
fn shared_queues(fleet: &Fleet) -> String {
    let mut lines = String::new();
    for queue in &fleet.queues {
        let (what, hint) = match queue.role {
            Role::Results => ("results that nobody has fetched", ""),
            Role::Dead => ("dead letters", ": see ncs-producer dead list"),
            Role::Unanswered => ("dead letters whose senders wait for a word", ""),
            _ => continue,
        };
        let hint = if queue.ready > 0 { hint } else { "" };
        // Writing to a string does not fail.
        let _ = writeln!(lines, "{:>7}  {what}{hint}", queue.ready);
    }
    lines
}

/// What is missing, and why.
fn remarks(fleet: &Fleet) -> String {
    let mut lines = String::new();
    let mut say = |line: &str| {
        lines.push_str(line);
        lines.push('\n');
    };
    for model in &fleet.never_served {
        say(&format!(
            "{model}: no worker has ever served it (there is no queue ncs.jobs.{model})"
        ));
    }
    let nothing = fleet.queues.is_empty();
    let told = fleet
        .management
        .as_ref()
        .is_some_and(|it| it.problem.is_none());
    let jobs = fleet.queues.iter().any(|queue| queue.role == Role::Jobs);
    if nothing && fleet.never_served.is_empty() {
        say("no worker has ever run on this broker");
    } else if !told && !jobs && fleet.never_served.is_empty() {
        say("name models with --model NAME: AMQP alone cannot list their queues");
    }
    let hosts = fleet.hosts.iter().flatten();
    let seen = told.then(|| hosts.clone().any(|host| host.in_hand.is_some()));
    let consumed = |queue: &Queue| queue.role == Role::Jobs && queue.consumers > 0;
    if seen == Some(false) && fleet.queues.iter().any(consumed) {
        say(
            "note: the management API shows this user none of the workers yet; if that stays so, on the \
             broker, rabbitmqctl set_user_tags USER monitoring",
        );
    }
    if let Some(management) = &fleet.management
        && let Some(problem) = &management.problem
    {
        let kind = if management.asked_for {
            "error"
        } else {
            "note"
        };
        say(&format!("{kind}: no rates and jobs in hand: {problem}"));
    }
    lines
}

/// Its first column names; the figures stand at the right of theirs. On a terminal it ends at its edge.
fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_truncation_indicator("…")
        .set_header(header);
    for row in rows {
        let mut row = Row::from(row);
        row.max_height(1);
        table.add_row(row);
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        let names = place == 0 || header[place] == "models";
        column.set_constraint(if names {
            ColumnConstraint::LowerBoundary(Width::Fixed(MIN_NAME))
        } else {
            ColumnConstraint::ContentWidth
        });
        if !names {
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
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn or_unknown<T>(figure: Option<T>, shown: impl FnOnce(T) -> String) -> String {
    figure.map_or_else(|| UNKNOWN.to_owned(), shown)
}

/// A guess.
fn about(seconds: f64) -> String {
    format!("~{}", span(seconds))
}

/// "0.3s", "38s", "5m", "2h", "3d".
fn span(seconds: f64) -> String {
    match seconds {
        ..9.95 => format!("{seconds:.1}s"),
        ..60.0 => format!("{:.0}s", seconds.floor()),
        ..3_600.0 => format!("{:.0}m", (seconds / 60.0).floor()),
        ..172_800.0 => format!("{:.0}h", (seconds / 3_600.0).floor()),
        _ => format!("{:.0}d", (seconds / 86_400.0).floor()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fleet::Management;
    use super::*;
    use clap::Parser;

    fn arguments(more: &[&str]) -> StatusArgs {
        let cli = crate::cli::Cli::parse_from(["ncs-producer", "status"].iter().chain(more));
        match cli.command {
            crate::cli::Command::Status(arguments) => *arguments,
            other => panic!("{other:?}"),
        }
    }

    fn queue(name: &str, ready: u64) -> Queue {
        let (role, model) = Role::of(name).unwrap();
        Queue {
            ready,
            ..Queue::new(name, role, model.as_ref())
        }
    }

    fn busy() -> Fleet {
        let mut jobs = Queue {
            in_hand: Some(24),
            consumers: 3,
            published_per_second: Some(200.0),
            acked_per_second: Some(180.25),
            ..queue("ncs.jobs.googlenet-v1", 123_456)
        };
        jobs.estimate();
        let host = Host {
            name: "pi".to_owned(),
            workers: 3,
            consuming: 3,
            prefetch: 24,
            in_hand: Some(24),
            devices: Some(5),
            lost: Some(1),
            models: ["googlenet-v1".to_owned()].into(),
            ..Host::default()
        };
        Fleet {
            queues: vec![
                queue("ncs.dead", 2),
                queue("ncs.dead.unanswered", 0),
                jobs,
                queue("ncs.results", 0),
                queue("ncs.results.a", 4),
                queue("ncs.results.b", 1),
                queue("ncs.suspects.googlenet-v1", 1),
            ],
            hosts: Some(vec![host]),
            ..Fleet::default()
        }
    }

    #[test]
    fn a_busy_fleet_fits_80_columns() {
        let text = text(&busy(), &arguments(&[]));
        let expected = "\
model         waiting  suspects  workers  in hand   in/s  done/s  oldest  left
googlenet-v1   123456         1        3       24  200.0   180.2    ~10m  ~11m

host          workers  consuming  prefetch  in hand     devices  models
pi                  3          3        24       24  5 (1 lost)  googlenet-v1

2 queues of producers' own, with 5 waiting (see --all)

      2  dead letters: see ncs-producer dead list
      0  dead letters whose senders wait for a word
      0  results that nobody has fetched
";
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn own_queues_are_shown_one_by_one_when_asked_for() {
        let text = text(&busy(), &arguments(&["--all"]));
        assert!(text.contains("\nncs.results.b "), "{text}");
        assert!(!text.contains("--all"), "{text}");
    }

    #[test]
    fn amqp_alone_shows_what_it_knows_and_says_what_is_missing() {
        let mut fleet = busy();
        fleet.hosts = None;
        fleet.queues[2] = Queue {
            ready_change_per_second: Some(-2.5),
            ..queue("ncs.jobs.m", 7)
        };
        fleet.never_served.push("nope".to_owned());
        fleet.management = Some(Management {
            problem: Some("it does not answer".to_owned()),
            ..Management::default()
        });
        let once = text(&fleet, &arguments(&["--model", "m"]));
        assert!(
            once.starts_with("model         waiting  suspects  workers\n"),
            "{once}"
        );
        assert!(
            once.contains("\nnote: no rates and jobs in hand: it does"),
            "{once}"
        );
        assert!(
            once.contains("nope: no worker has ever served it"),
            "{once}"
        );
        fleet.management.as_mut().unwrap().asked_for = true;
        let watched = text(&fleet, &arguments(&["--model", "m", "--watch"]));
        assert!(
            watched.contains("change/s\n") && watched.contains(" -2.5\n"),
            "{watched}"
        );
        assert!(watched.contains("\nerror: no rates"), "{watched}");
    }

    #[test]
    fn a_time_is_short() {
        for (seconds, shown) in [
            (0.04, "0.0s"),
            (9.9, "9.9s"),
            (38.4, "38s"),
            (59.9, "59s"),
            (61.0, "1m"),
            (7_300.0, "2h"),
            (200_000.0, "2d"),
        ] {
            assert_eq!(span(seconds), shown);
        }
    }
}
