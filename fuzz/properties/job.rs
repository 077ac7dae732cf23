//! What a worker relies on, whatever message reaches it.

use ncs_protocol::job::{MAX_ID_BYTES, MAX_TOP_K};
use ncs_protocol::{Content, Encoding, ErrorCode, Job, JobError, Properties};

use super::sentence;

/// Whether the message is a job; panics where it breaks what a worker relies on.
pub(crate) fn hold(properties: &Properties, body: &[u8]) -> bool {
    assert!(properties.attempt(false) >= 1);
    assert!(properties.attempt(true) >= 2);
    match Job::from_message(properties, body) {
        Ok(job) => {
            keeps_its_bounds(&job, body);
            survives_the_wire(&job);
            true
        }
        Err(error) => {
            says_why(&error);
            false
        }
    }
}

fn keeps_its_bounds(job: &Job<'_>, body: &[u8]) {
    assert!((1..=MAX_ID_BYTES).contains(&job.id.len()), "id {}", job.id);
    assert!(
        job.top_k.is_none_or(|k| (1..=MAX_TOP_K).contains(&k)),
        "top_k {:?}",
        job.top_k
    );
    let (Content::Image(_, bytes) | Content::Tensor(bytes)) = job.content;
    assert!(!bytes.is_empty(), "an empty image");
    // Borrowed from the message, not copied.
    let (whole, part) = (body.as_ptr_range(), bytes.as_ptr_range());
    assert!(whole.start <= part.start && part.end <= whole.end);
}

fn survives_the_wire(job: &Job<'_>) {
    for encoding in [Encoding::Bincode, Encoding::Json] {
        let (properties, body) = job.to_message(encoding).expect("it came in a message");
        let again = Job::from_message(&properties, &body);
        assert_eq!(again.as_ref().ok(), Some(job), "{again:?}");
    }
}

fn says_why(error: &JobError) {
    assert!(ErrorCode::ALL.contains(&error.code()));
    sentence::must_be_short(error);
}
