//! What one dead letter is.

use ncs_broker::{Death, Delivery};
use ncs_protocol::properties::{
    HEADER_DEAD_AT, HEADER_DEAD_CODE, HEADER_DEAD_REASON, HEADER_DELIVERY_COUNT,
    HEADER_EARLIER_ATTEMPTS, HEADER_SUBMITTED_AT,
};
use ncs_protocol::topology::deliveries_until_death;
use ncs_protocol::{ErrorCode, MAX_BODY_BYTES, ModelName, Properties};
use serde::Serialize;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The code of a letter that neither a worker nor the broker wrote.
pub const UNKNOWN: &str = "unknown";

/// What a queue counts of its own: in the dead letters, how often somebody has looked at them.
pub(super) const COUNTS_OF_LOOKS: [&str; 2] = [
    HEADER_DELIVERY_COUNT,
    // From RabbitMQ 4.3 on.
    "x-acquired-count",
];

/// A longer id does not fit a table.
const MAX_NAME_BYTES: usize = 64;

/// A dead letter without its body.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Letter {
    /// How a person names it: its id, or, where that is missing or no word to be typed, its
    /// fingerprint.
    pub(super) name: String,
    /// The job's id, as its sender has given it.
    pub(super) id: Option<String>,
    /// `@` and 12 hexadecimal digits: the same at each look, of this letter alone. Letters that share it
    /// are alike in all that [`Properties`] carries, in their bodies, and in how and when they died (but
    /// for a chance of one in five million with 10,000 letters). To be typed, not to be kept: another
    /// release of this program may give others.
    pub(super) fingerprint: String,
    /// For which model it was sent.
    pub(super) model: Option<String>,
    /// Why it is dead, for programs: an [`ErrorCode`] or [`UNKNOWN`].
    pub(super) code: &'static str,
    /// Why it is dead, in words.
    pub(super) why: String,
    /// When it died, RFC 3339.
    pub(super) since: Option<String>,
    /// The same in microseconds since the Unix epoch. The broker knows whole seconds only.
    pub(super) since_us: Option<u64>,
    /// In which queue it died. Absent where a worker wrote it.
    pub(super) queue: Option<String>,
    /// How often it was handed to a worker, at least: the broker does not say how often a job came
    /// back before it expired.
    pub(super) attempts: u32,
    /// The size of its body.
    pub(super) size_bytes: usize,
    /// What its sender says the body is.
    pub(super) content_type: Option<String>,
    /// Where its sender wanted the result.
    pub(super) reply_to: Option<String>,
    /// When it was sent, by its sender's clock, in microseconds since the Unix epoch.
    pub(super) submitted_at_us: Option<u64>,
}

/// How a letter died.
struct Cause {
    code: &'static str,
    why: String,
    since_us: Option<u64>,
    queue: Option<String>,
    /// Handed out meanwhile, at least.
    attempts: u32,
}

impl Letter {
    pub(super) fn of(delivery: &Delivery) -> Self {
        Self::read(
            &delivery.routing_key,
            delivery.death.as_ref(),
            &delivery.properties,
            &delivery.body,
        )
    }

    pub(super) fn read(
        routing_key: &str,
        death: Option<&Death>,
        properties: &Properties,
        body: &[u8],
    ) -> Self {
        // As in a job: where there is no message_id, correlation_id serves.
        let id = properties.message_id.as_ref();
        let id = id.or(properties.correlation_id.as_ref()).cloned();
        let model: Option<ModelName> = routing_key.parse().ok();
        // What the broker says comes first: no letter of a worker's carries it, and anybody can send
        // the headers of one.
        let cause = match death {
            Some(death) => Cause::of_death(death),
            None => Cause::of_headers(properties),
        };
        let earlier = unsigned(properties, HEADER_EARLIER_ATTEMPTS).unwrap_or(0);
        let earlier = u32::try_from(earlier).unwrap_or(u32::MAX);
        let fingerprint = fingerprint(routing_key, &cause, properties, body);
        Self {
            name: match &id {
                Some(id) if is_name(id) => id.clone(),
                _ => fingerprint.clone(),
            },
            id,
            fingerprint,
            model: model.map(|model| model.to_string()),
            since: cause.since_us.and_then(rfc3339),
            since_us: cause.since_us,
            code: cause.code,
            why: cause.why,
            queue: cause.queue,
            attempts: earlier.saturating_add(cause.attempts),
            size_bytes: body.len(),
            content_type: properties.content_type.clone(),
            reply_to: properties.reply_to.clone(),
            submitted_at_us: unsigned(properties, HEADER_SUBMITTED_AT),
        }
    }

    /// A person means this letter, or several of which this is one.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.fingerprint == name || self.id.as_deref() == Some(name)
    }

    /// The model whose queue it can go back to, or why there is none.
    pub(super) fn destination(&self) -> Result<&str, &'static str> {
        match &self.model {
            None => Err("they name no model"),
            Some(_) if self.size_bytes == 0 => Err("they have no body"),
            Some(_) if self.size_bytes > MAX_BODY_BYTES => Err("they are over 16 MiB"),
            Some(model) => Ok(model),
        }
    }

    /// How long it has been dead, for people.
    pub(super) fn age(&self, now: SystemTime) -> Option<String> {
        let since = UNIX_EPOCH.checked_add(Duration::from_micros(self.since_us?))?;
        let seconds = now.duration_since(since).unwrap_or_default().as_secs();
        Some(match seconds {
            0..60 => format!("{seconds}s"),
            60..3_600 => format!("{}m", seconds / 60),
            3_600..172_800 => format!("{}h", seconds / 3_600),
            _ => format!("{}d", seconds / 86_400),
        })
    }
}

impl Cause {
    fn of_death(death: &Death) -> Self {
        let (code, why) = ErrorCode::of_death(&death.reason);
        Self {
            code: code.as_str(),
            why: why.to_owned(),
            since_us: death.at.and_then(|seconds| seconds.checked_mul(1_000_000)),
            queue: Some(death.queue.clone()),
            attempts: deliveries_until_death(&death.reason, &death.queue),
        }
    }

    fn of_headers(properties: &Properties) -> Self {
        let code = properties.text(HEADER_DEAD_CODE);
        let known = ErrorCode::ALL.map(ErrorCode::as_str);
        let known = known.into_iter().find(|known| code == Some(known));
        let why = properties.text(HEADER_DEAD_REASON);
        Self {
            code: known.unwrap_or(UNKNOWN),
            why: why.unwrap_or("it does not say why").to_owned(),
            since_us: unsigned(properties, HEADER_DEAD_AT),
            queue: None,
            attempts: 0,
        }
    }
}

/// A stranger's text for a terminal: what would not be seen, or would move the cursor, is escaped.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\'' | '"' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

fn rfc3339(since_us: u64) -> Option<String> {
    // humantime writes years of four digits only.
    const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);
    let since = Some(Duration::from_micros(since_us)).filter(|since| *since < YEAR_10000)?;
    Some(humantime::format_rfc3339_micros(UNIX_EPOCH + since).to_string())
}

/// It can be told from the other words of a command line, and fits a table.
fn is_name(id: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_graphic())
        && !id.starts_with(['-', '@', '#'])
}

fn unsigned(properties: &Properties, header: &str) -> Option<u64> {
    u64::try_from(properties.integer(header)?).ok()
}

/// Of all that looking at a letter does not change.
fn fingerprint(routing_key: &str, cause: &Cause, properties: &Properties, body: &[u8]) -> String {
    // Named one by one, so that a further property is not forgotten here.
    let Properties {
        content_type,
        kind,
        message_id,
        correlation_id,
        reply_to,
        timestamp,
        expiration,
        persistent,
        headers,
    } = properties;
    let mut hasher = DefaultHasher::new();
    (routing_key, cause.code, cause.since_us, &cause.queue).hash(&mut hasher);
    (content_type, kind, message_id, correlation_id).hash(&mut hasher);
    (reply_to, timestamp, expiration, persistent).hash(&mut hasher);
    for header in headers {
        if !COUNTS_OF_LOOKS.contains(&header.0.as_str()) {
            header.hash(&mut hasher);
        }
    }
    body.hash(&mut hasher);
    // 48 bits: that two of 10,000 letters share them by chance is one in five million.
    format!("@{:012x}", hasher.finish() >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ncs_protocol::HeaderValue;

    fn named(id: &str) -> Properties {
        Properties {
            message_id: Some(id.to_owned()),
            ..Properties::default()
        }
    }

    fn death(reason: &str, queue: &str) -> Death {
        Death {
            reason: reason.to_owned(),
            queue: queue.to_owned(),
            at: Some(1_700_000_000),
        }
    }

    fn with(mut properties: Properties, headers: &[(&str, HeaderValue)]) -> Properties {
        let headers = headers.iter().cloned();
        let headers = headers.map(|(name, value)| (name.to_owned(), value));
        properties.headers.extend(headers);
        properties
    }

    #[test]
    fn a_letter_of_the_brokers_says_why_since_when_and_where_from() {
        let properties = with(
            named("7"),
            &[
                (HEADER_EARLIER_ATTEMPTS, HeaderValue::Integer(2)),
                (HEADER_DELIVERY_COUNT, HeaderValue::Integer(40)),
                (HEADER_DEAD_CODE, HeaderValue::Text("too_large".into())),
            ],
        );
        let suspect = death("delivery_limit", "ncs.suspects.m");
        let letter = Letter::read("m", Some(&suspect), &properties, b"body");
        assert_eq!((letter.code, letter.attempts), ("delivery_limit", 7));
        assert_eq!(letter.queue.as_deref(), Some("ncs.suspects.m"));
        let since = letter.since.as_deref();
        assert_eq!(since, Some("2023-11-14T22:13:20.000000Z"));
        assert_eq!(letter.destination(), Ok("m"));
        let expired = Letter::read("m", Some(&death("expired", "q")), &named("7"), b"");
        assert_eq!((expired.code, expired.attempts), ("expired", 0));
    }

    #[test]
    fn a_letter_of_a_workers_says_what_the_worker_wrote() {
        let written = [
            (
                HEADER_DEAD_CODE,
                HeaderValue::Text("malformed_job".to_owned()),
            ),
            (
                HEADER_DEAD_REASON,
                HeaderValue::Text("left over".to_owned()),
            ),
            (HEADER_DEAD_AT, HeaderValue::Integer(5)),
            (HEADER_EARLIER_ATTEMPTS, HeaderValue::Integer(1)),
        ];
        let letter = Letter::read("m", None, &with(named("7"), &written), b"body");
        assert_eq!(
            (letter.code, letter.why.as_str()),
            ("malformed_job", "left over")
        );
        assert_eq!((letter.since_us, letter.attempts), (Some(5), 1));
        let odd = [
            (
                HEADER_DEAD_CODE,
                HeaderValue::Text("of tomorrow".to_owned()),
            ),
            (HEADER_DEAD_AT, HeaderValue::Integer(i64::MAX)),
        ];
        let letter = Letter::read("m", None, &with(named("7"), &odd), b"body");
        assert_eq!((letter.code, letter.since), (UNKNOWN, None));
        assert_eq!(Letter::read("m", None, &named("7"), b"").code, UNKNOWN);
    }

    #[test]
    fn a_letter_is_named_by_its_id_or_by_what_it_is() {
        let read = |properties: &Properties, body: &[u8]| Letter::read("m", None, properties, body);
        let letter = read(&named("job-1"), b"a");
        assert_eq!(letter.name, "job-1");
        assert!(letter.is_called("job-1") && letter.is_called(&letter.fingerprint));
        assert!(!letter.is_called("job-2"));
        for odd in ["--all", "@9", "a b", "\u{1b}[2J", "ü", &"x".repeat(65)] {
            let letter = read(&named(odd), b"a");
            assert_eq!(letter.name, letter.fingerprint, "{odd}");
            assert!(letter.is_called(odd), "{odd}");
        }
        let nameless = read(&Properties::default(), b"a");
        assert_eq!(nameless.name, read(&Properties::default(), b"a").name);
        assert_ne!(nameless.name, read(&Properties::default(), b"b").name);
        let elsewhere = Properties {
            reply_to: Some("q".to_owned()),
            ..Properties::default()
        };
        assert_ne!(nameless.name, read(&elsewhere, b"a").name);
        let [traced, traced_otherwise] = ["1", "2"].map(|id| {
            let header = [("x-trace-id", HeaderValue::Text(id.to_owned()))];
            read(&with(Properties::default(), &header), b"a").name
        });
        assert_ne!(traced, traced_otherwise);
        assert_ne!(traced, nameless.name);
        // Looking at a letter counts.
        let looked_at = [(HEADER_DELIVERY_COUNT, HeaderValue::Integer(3))];
        let again = read(&with(Properties::default(), &looked_at), b"a");
        assert_eq!(nameless.name, again.name);
    }

    #[test]
    fn a_letter_without_a_body_or_a_model_cannot_go_back() {
        let destination = |routing_key: &str, body: &[u8]| {
            let letter = Letter::read(routing_key, None, &named("1"), body);
            letter.destination().map(str::to_owned)
        };
        assert_eq!(destination("m", b"x"), Ok("m".to_owned()));
        for (routing_key, body) in [("", &b"x"[..]), ("no model", b"x"), ("m", b"")] {
            assert!(destination(routing_key, body).is_err(), "{routing_key:?}");
        }
        assert!(destination("m", &vec![0; MAX_BODY_BYTES + 1]).is_err());
    }

    #[test]
    fn a_strangers_text_does_not_command_the_terminal() {
        assert_eq!(printable("it's \"ü\" \\"), "it's \"ü\" \\");
        assert_eq!(
            printable("a\u{1b}[2Jb\n\u{202e}"),
            "a\\u{1b}[2Jb\\n\\u{202e}"
        );
    }
}
