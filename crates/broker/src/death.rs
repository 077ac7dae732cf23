//! Why the broker has dead-lettered a message.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};

/// The header in which RabbitMQ keeps a message's deaths, the last one first.
const HEADER: &str = "x-death";

/// One death of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// `expired`, `delivery_limit`, `rejected` or `maxlen`.
    pub reason: String,
    /// The queue that it died in.
    pub queue: String,
    /// When it first died there of that, in seconds since the Unix epoch.
    pub at: Option<u64>,
}

impl Death {
    /// The message's last death, if it had one.
    pub(crate) fn last(properties: &BasicProperties) -> Option<Self> {
        let deaths = properties.headers().as_ref()?.inner().get(HEADER)?;
        let AMQPValue::FieldArray(deaths) = deaths else {
            return None;
        };
        let AMQPValue::FieldTable(death) = deaths.as_slice().first()? else {
            return None;
        };
        Some(Self {
            reason: text(death, "reason")?,
            queue: text(death, "queue")?,
            at: match death.inner().get("time") {
                Some(AMQPValue::Timestamp(seconds)) => Some(*seconds),
                _ => None,
            },
        })
    }
}

fn text(table: &FieldTable, name: &str) -> Option<String> {
    match table.inner().get(name)? {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::types::FieldArray;

    fn table(reason: AMQPValue) -> AMQPValue {
        let mut death = FieldTable::default();
        death.insert("reason".into(), reason);
        death.insert("queue".into(), AMQPValue::LongString("ncs.jobs.m".into()));
        death.insert("time".into(), AMQPValue::Timestamp(1_700_000_000));
        AMQPValue::FieldTable(death)
    }

    fn with(header: AMQPValue) -> BasicProperties {
        let mut headers = FieldTable::default();
        headers.insert(HEADER.into(), header);
        BasicProperties::default().with_headers(headers)
    }

    #[test]
    fn the_last_death_is_the_first_in_the_header() {
        let mut deaths = FieldArray::default();
        deaths.push(table(AMQPValue::LongString("delivery_limit".into())));
        deaths.push(table(AMQPValue::LongString("expired".into())));
        let death = Death::last(&with(AMQPValue::FieldArray(deaths)));
        let expected = Death {
            reason: "delivery_limit".to_owned(),
            queue: "ncs.jobs.m".to_owned(),
            at: Some(1_700_000_000),
        };
        assert_eq!(death, Some(expected));
    }

    #[test]
    fn what_no_broker_writes_is_no_death() {
        let mut odd = FieldArray::default();
        odd.push(table(AMQPValue::Boolean(true)));
        for header in [
            AMQPValue::LongString("expired".into()),
            AMQPValue::FieldArray(FieldArray::default()),
            AMQPValue::FieldArray(odd),
        ] {
            assert_eq!(Death::last(&with(header)), None);
        }
        assert_eq!(Death::last(&BasicProperties::default()), None);
    }
}
