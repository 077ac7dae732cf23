//! The input is a whole message: choices for AMQP's properties, then the body.
//!
//! Random properties would hardly ever name a content type that is known, so each property is led
//! by a byte: 0 leaves it out, 1 to 127 choose from the values that mean something, and what is above
//! is any text, led by its length. `make_seeds.py` writes the same.

use arbitrary::{Result, Unstructured};
use ncs_protocol::job::JOB_KIND;
use ncs_protocol::properties::{
    CONTENT_TYPE_BINCODE, CONTENT_TYPE_JSON, CONTENT_TYPE_TENSOR, HEADER_ACCEPT,
    HEADER_DELIVERY_COUNT, HEADER_SUBMITTED_AT, HEADER_TOP_K,
};
use ncs_protocol::result::RESULT_KIND;
use ncs_protocol::{HeaderValue, Properties};

use super::job;

/// Those that mean something, then one in a browser's way and two that mean nothing.
const CONTENT_TYPES: [&str; 9] = [
    CONTENT_TYPE_BINCODE,
    "image/jpeg",
    "image/png",
    "image/bmp",
    "image/webp",
    CONTENT_TYPE_TENSOR,
    "Image/JPG; charset=binary",
    CONTENT_TYPE_JSON,
    "text/plain",
];
const KINDS: [&str; 3] = [JOB_KIND, "ncs.job.v2", RESULT_KIND];
const TEXTS: [&str; 3] = ["7", "", "0192f3a1-7d5c-7e6b-9a00-5b6f1f2e3d4c"];
const HEADERS: [&str; 4] = [
    HEADER_ACCEPT,
    HEADER_TOP_K,
    HEADER_SUBMITTED_AT,
    HEADER_DELIVERY_COUNT,
];
const HEADER_TEXTS: [&str; 5] = [
    CONTENT_TYPE_BINCODE,
    CONTENT_TYPE_JSON,
    "5",
    "-1",
    "1700000000123456",
];

/// Whether the message is a job.
pub(crate) fn hold(input: &[u8]) -> bool {
    let mut input = Unstructured::new(input);
    // Out of bytes, Unstructured gives zeros.
    let properties = properties(&mut input).unwrap_or_default();
    job::hold(&properties, input.take_rest())
}

fn properties(input: &mut Unstructured<'_>) -> Result<Properties> {
    let mut properties = Properties {
        content_type: text(input, &CONTENT_TYPES)?,
        kind: text(input, &KINDS)?,
        message_id: text(input, &TEXTS)?,
        correlation_id: text(input, &TEXTS)?,
        reply_to: text(input, &TEXTS)?,
        expiration: text(input, &TEXTS)?,
        ..Properties::default()
    };
    for _ in 0..input.int_in_range(0..=4_u8)? {
        let name = text(input, &HEADERS)?.unwrap_or_default();
        properties.headers.insert(name, header_value(input)?);
    }
    Ok(properties)
}

fn header_value(input: &mut Unstructured<'_>) -> Result<HeaderValue> {
    Ok(match text(input, &HEADER_TEXTS)? {
        Some(text) => HeaderValue::Text(text),
        None => HeaderValue::Integer(input.arbitrary()?),
    })
}

fn text(input: &mut Unstructured<'_>, likely: &[&str]) -> Result<Option<String>> {
    Ok(match input.arbitrary::<u8>()? {
        0 => None,
        choice @ 1..=127 => Some(likely[usize::from(choice - 1) % likely.len()].to_owned()),
        _ => {
            // AMQP's own limit for such a text is 255 bytes, too.
            let len = usize::from(input.arbitrary::<u8>()?).min(input.len());
            Some(String::from_utf8_lossy(input.bytes(len)?).into_owned())
        }
    })
}
