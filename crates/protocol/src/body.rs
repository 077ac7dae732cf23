//! The bincode encoding that jobs and results share: bincode 2, standard configuration, limited.

use crate::MAX_BODY_BYTES;
use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::error::{DecodeError, EncodeError};
use serde::{Deserialize, Serialize};

/// bincode's standard configuration, with a bound on what a length prefix may make it allocate.
type Limited = Configuration<LittleEndian, Varint, Limit<MAX_BODY_BYTES>>;

const fn configuration() -> Limited {
    bincode::config::standard().with_limit::<MAX_BODY_BYTES>()
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    bincode::serde::encode_to_vec(value, configuration())
}

/// Decodes the whole of `body`; bytes left over mean that it is something else.
pub(crate) fn decode<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, String> {
    let decoded = bincode::serde::borrow_decode_from_slice(body, configuration());
    let (value, read) = decoded.map_err(|error| match error {
        DecodeError::OtherString(reason) => reason,
        other => other.to_string(),
    })?;
    if read == body.len() {
        Ok(value)
    } else {
        let left = body.len() - read;
        Err(format!("{left} bytes left over after the last field"))
    }
}
