//! [`ncs_protocol::Properties`] ↔ AMQP's own.

use crate::BrokerError;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use ncs_protocol::{HeaderValue, Properties};

/// AMQP's `delivery_mode` of a message that survives the broker's restart.
const PERSISTENT: u8 = 2;

/// A short string of AMQP: at most 255 bytes.
pub(crate) fn short(what: &str, text: &str) -> Result<ShortString, BrokerError> {
    ShortString::try_new(text)
        .map_err(|error| BrokerError::InvalidMessage(format!("its {what} is too long: {error}")))
}

pub(crate) fn to_amqp(properties: &Properties) -> Result<BasicProperties, BrokerError> {
    let mut amqp = BasicProperties::default();
    if let Some(content_type) = &properties.content_type {
        amqp = amqp.with_content_type(short("content_type", content_type)?);
    }
    if let Some(kind) = &properties.kind {
        amqp = amqp.with_type(short("type", kind)?);
    }
    if let Some(id) = &properties.message_id {
        amqp = amqp.with_message_id(short("message_id", id)?);
    }
    if let Some(id) = &properties.correlation_id {
        amqp = amqp.with_correlation_id(short("correlation_id", id)?);
    }
    if let Some(queue) = &properties.reply_to {
        amqp = amqp.with_reply_to(short("reply_to", queue)?);
    }
    if let Some(seconds) = properties.timestamp {
        amqp = amqp.with_timestamp(seconds);
    }
    if let Some(milliseconds) = &properties.expiration {
        amqp = amqp.with_expiration(short("expiration", milliseconds)?);
    }
    if properties.persistent {
        amqp = amqp.with_delivery_mode(PERSISTENT);
    }
    if !properties.headers.is_empty() {
        let mut headers = FieldTable::default();
        for (name, value) in &properties.headers {
            let value = match value {
                HeaderValue::Integer(value) => AMQPValue::LongLongInt(*value),
                HeaderValue::Text(text) => AMQPValue::LongString(text.as_str().into()),
            };
            headers.insert(short("header's name", name)?, value);
        }
        amqp = amqp.with_headers(headers);
    }
    Ok(amqp)
}

pub(crate) fn from_amqp(amqp: &BasicProperties) -> Properties {
    // Some clients send empty texts for what they leave out.
    let text = |value: &Option<ShortString>| {
        let value = value.as_ref().map(ShortString::as_str);
        value.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let headers = amqp
        .headers()
        .iter()
        .flat_map(FieldTable::inner)
        .filter_map(|(name, value)| header_value(value).map(|value| (name.to_string(), value)));
    Properties {
        content_type: text(amqp.content_type()),
        kind: text(amqp.kind()),
        message_id: text(amqp.message_id()),
        correlation_id: text(amqp.correlation_id()),
        reply_to: text(amqp.reply_to()),
        timestamp: *amqp.timestamp(),
        expiration: text(amqp.expiration()),
        persistent: *amqp.delivery_mode() == Some(PERSISTENT),
        headers: headers.collect(),
    }
}

fn header_value(value: &AMQPValue) -> Option<HeaderValue> {
    Some(match value {
        AMQPValue::ShortShortInt(value) => HeaderValue::Integer((*value).into()),
        AMQPValue::ShortShortUInt(value) => HeaderValue::Integer((*value).into()),
        AMQPValue::ShortInt(value) => HeaderValue::Integer((*value).into()),
        AMQPValue::ShortUInt(value) => HeaderValue::Integer((*value).into()),
        AMQPValue::LongInt(value) => HeaderValue::Integer((*value).into()),
        AMQPValue::LongUInt(value) => HeaderValue::Integer((*value).into()),
        AMQPValue::LongLongInt(value) => HeaderValue::Integer(*value),
        AMQPValue::Timestamp(value) => HeaderValue::Integer(i64::try_from(*value).ok()?),
        AMQPValue::ShortString(text) => HeaderValue::Text(text.to_string()),
        AMQPValue::LongString(text) => {
            HeaderValue::Text(std::str::from_utf8(text.as_bytes()).ok()?.to_owned())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::protocol::basic::parse_properties;
    use proptest::prelude::*;

    #[test]
    fn properties_survive_the_translation() {
        let properties = Properties {
            content_type: Some("image/jpeg".into()),
            kind: Some("ncs.job.v1".into()),
            message_id: Some("1".into()),
            correlation_id: Some("2".into()),
            reply_to: Some("q".into()),
            timestamp: Some(3),
            expiration: Some("4".into()),
            persistent: true,
            headers: [
                ("a".into(), HeaderValue::Integer(-5)),
                ("b".into(), HeaderValue::Text("ü".into())),
            ]
            .into(),
        };
        assert_eq!(from_amqp(&to_amqp(&properties).unwrap()), properties);
        assert_eq!(
            from_amqp(&BasicProperties::default()),
            Properties::default()
        );
    }

    #[test]
    fn a_property_over_the_limit_of_amqp_is_an_error_and_no_panic() {
        let properties = Properties {
            message_id: Some("x".repeat(256)),
            ..Properties::default()
        };
        assert!(matches!(
            to_amqp(&properties),
            Err(BrokerError::InvalidMessage(_))
        ));
    }

    /// The flags of all properties that AMQP has, then a table of one header and the properties
    /// before and after it, as they are on the wire.
    fn on_the_wire(name: &str, header: &[u8], text: &str) -> Vec<u8> {
        let short = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let table = [short(name).as_slice(), header].concat();
        let table_len = u32::try_from(table.len()).unwrap().to_be_bytes();
        let texts = short(text);
        // content_type and content_encoding; delivery_mode and priority; the four from
        // correlation_id to message_id; timestamp; type, user_id, app_id, cluster_id.
        [
            &[0xFF, 0xFC],
            texts.as_slice(),
            &texts,
            &table_len,
            &table,
            &[PERSISTENT, 0],
            &texts.repeat(4),
            &7_u64.to_be_bytes(),
            &texts.repeat(4),
        ]
        .concat()
    }

    /// As long as numbers are, or led by their length.
    fn header_values() -> impl Strategy<Value = Vec<u8>> {
        let numbers = prop::sample::select(vec![0, 1, 2, 4, 5, 8])
            .prop_flat_map(|len| prop::collection::vec(any::<u8>(), len));
        let texts = prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| {
            let len = u32::try_from(bytes.len()).unwrap().to_be_bytes();
            [len.as_slice(), &bytes].concat()
        });
        prop_oneof![numbers, texts]
    }

    proptest! {
        #[test]
        fn what_any_client_sends_can_be_sent_on(
            name in "[a-z-]{0,20}",
            kind in prop::sample::select(b"tbBsuIilfdDSxAFTV".to_vec()),
            value in header_values(),
            text in ".{0,60}",
        ) {
            let header = [&[kind], value.as_slice()].concat();
            // A value that does not fit its kind is no message at all.
            if let Ok((_, amqp)) = parse_properties(on_the_wire(&name, &header, &text).as_slice()) {
                let properties = from_amqp(&amqp);
                let sent_on = to_amqp(&properties).unwrap();
                prop_assert_eq!(from_amqp(&sent_on), properties);
            }
        }
    }
}
