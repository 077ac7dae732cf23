//! `dead show`.

use super::body::{Content, dump};
use super::letter::{COUNTS_OF_LOOKS, Letter, UNKNOWN, printable};
use super::look::Look;
use super::{NEVER_ANY, connect, no_such, print};
use crate::cli::ShowArgs;
use anyhow::{Context, bail};
use ncs_broker::{Connection, Delivery};
use ncs_protocol::{HeaderValue, Properties};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;

/// How much of the body is shown.
const FIRST_BYTES: usize = 64;

pub(super) async fn run(
    arguments: &ShowArgs,
    shutdown: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let connection = connect(&arguments.broker, "show").await?;
    let found = find(&connection, &arguments.id, shutdown).await;
    connection.close().await;
    let (letter, properties, body) = found?;
    let content = Content::of(&properties, &body);
    let mut text = describe(&letter, &properties, &body, &content);
    if let Some(path) = &arguments.save {
        if content.bytes.is_empty() {
            print(&text)?;
            bail!("nothing was saved: the letter has no body");
        }
        save(path, content.bytes)?;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\nsaved {}, {} bytes, to {}",
            content.name,
            content.bytes.len(),
            path.display()
        );
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The one letter of that name, with its body.
async fn find(
    connection: &Connection,
    id: &str,
    shutdown: &CancellationToken,
) -> anyhow::Result<(Letter, Properties, Vec<u8>)> {
    let Some(mut look) = Look::begin(connection, u32::MAX, shutdown).await? else {
        bail!("{NEVER_ANY}");
    };
    let mut first = None;
    let mut names = BTreeSet::new();
    let looked = async {
        while let Some(delivery) = look.next().await? {
            let letter = Letter::of(&delivery);
            if letter.is_called(id) {
                names.insert(letter.fingerprint.clone());
                let Delivery {
                    properties, body, ..
                } = delivery;
                first.get_or_insert((letter, properties, body));
            }
        }
        Ok(())
    };
    let looked: anyhow::Result<()> = looked.await;
    let not_looked_at = look.not_looked_at();
    let ended = look.end().await;
    looked?;
    ended?;
    let Some(found) = first else {
        let no_such = no_such(&[id]);
        let no_such = no_such.trim_end();
        if not_looked_at > 0 {
            bail!("{no_such}; the newest {not_looked_at} were not looked at");
        }
        bail!("{no_such}; `ncs-producer dead list` says how they are called");
    };
    if names.len() > 1 {
        bail!(
            "{} dead letters have the id {}; name one of them: {}",
            names.len(),
            printable(id),
            Vec::from_iter(names).join(", ")
        );
    }
    Ok(found)
}

fn describe(
    letter: &Letter,
    properties: &Properties,
    body: &[u8],
    content: &Content<'_>,
) -> String {
    let mut text = String::new();
    let said = format!("{} bytes: {}", body.len(), content.name);
    for (name, value) in facts(letter).into_iter().chain([("body", said)]) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<25}{}", printable(&value));
    }
    text.push_str("\nproperties\n");
    for (name, value) in of_message(properties) {
        let _ = writeln!(text, "  {:<23}{}", printable(name), printable(&value));
    }
    if !body.is_empty() {
        text.push_str("\nfirst bytes\n");
        text.push_str(&dump(&body[..body.len().min(FIRST_BYTES)]));
    }
    text
}

fn facts(letter: &Letter) -> Vec<(&'static str, String)> {
    let or = |text: &Option<String>, other: &str| text.clone().unwrap_or_else(|| other.to_owned());
    let age = letter.age(SystemTime::now()).unwrap_or_default();
    let since = letter.since.as_ref();
    let wrote = match letter.code {
        UNKNOWN => "unknown",
        _ => "a worker's hands",
    };
    vec![
        ("id", or(&letter.id, "none")),
        ("fingerprint", letter.fingerprint.clone()),
        ("model", or(&letter.model, "none")),
        ("code", letter.code.to_owned()),
        ("why", letter.why.clone()),
        (
            "since",
            or(&since.map(|since| format!("{since}, {age} ago")), "unknown"),
        ),
        ("died in", or(&letter.queue, wrote)),
        ("attempts, at least", letter.attempts.to_string()),
    ]
}

/// The properties and headers that there are, as AMQP calls them.
fn of_message(properties: &Properties) -> Vec<(&str, String)> {
    let delivery_mode = if properties.persistent { "2" } else { "1" };
    let own = [
        ("content_type", properties.content_type.clone()),
        ("type", properties.kind.clone()),
        ("message_id", properties.message_id.clone()),
        ("correlation_id", properties.correlation_id.clone()),
        ("reply_to", properties.reply_to.clone()),
        ("timestamp", properties.timestamp.map(|at| at.to_string())),
        ("expiration", properties.expiration.clone()),
        ("delivery_mode", Some(delivery_mode.to_owned())),
    ];
    let headers = properties.headers.iter().map(|(name, value)| {
        let value = match value {
            HeaderValue::Integer(value) => value.to_string(),
            HeaderValue::Text(text) => text.clone(),
        };
        (name.as_str(), Some(value))
    });
    let all = own.into_iter().chain(headers);
    all.filter(|(name, _)| !COUNTS_OF_LOOKS.contains(name))
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
        .collect()
}

/// Never over a file that is there.
fn save(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(bytes));
    written.with_context(|| {
        let path = path.display();
        format!("cannot write the body to {path}; give another --save, of a file that is not there")
    })
}
