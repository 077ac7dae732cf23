//! The input is the body of a result, in either encoding.

use ncs_protocol::result::RESULT_KIND;
use ncs_protocol::{Encoding, JobResult, Outcome, Properties, ResultError};

use super::sentence;

const ENCODINGS: [Encoding; 2] = [Encoding::Bincode, Encoding::Json];

/// Whether the body is a result in one of the encodings.
pub(crate) fn hold(body: &[u8]) -> bool {
    ENCODINGS
        .map(|encoding| holds_as(encoding, body))
        .contains(&true)
}

fn holds_as(encoding: Encoding, body: &[u8]) -> bool {
    match read(encoding, body) {
        Ok(result) => {
            has_finite_scores(&result);
            for encoding in ENCODINGS {
                survives_the_wire(&result, encoding);
            }
            true
        }
        Err(error) => {
            sentence::must_be_short(&error);
            false
        }
    }
}

fn read(encoding: Encoding, body: &[u8]) -> Result<JobResult, ResultError> {
    let properties = Properties {
        content_type: Some(encoding.content_type().to_owned()),
        kind: Some(RESULT_KIND.to_owned()),
        ..Properties::default()
    };
    JobResult::from_message(&properties, body)
}

fn write(result: &JobResult, encoding: Encoding) -> Vec<u8> {
    let (_, body) = result.to_message(encoding, "m".to_owned(), "c".to_owned());
    body
}

fn has_finite_scores(result: &JobResult) {
    if let Outcome::Classes(classes) = &result.outcome {
        assert!(classes.iter().all(|class| class.score.is_finite()));
    }
}

fn survives_the_wire(result: &JobResult, encoding: Encoding) {
    let again = read(encoding, &write(result, encoding)).expect("a result that was just written");
    assert_eq!(again, *result);
    // The bits of the scores as well: 0 equals -0.
    assert_eq!(
        write(&again, Encoding::Bincode),
        write(result, Encoding::Bincode)
    );
}
