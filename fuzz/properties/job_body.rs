//! The input is the body of a message that says it is a bincode job.

use ncs_protocol::Properties;
use ncs_protocol::job::JOB_KIND;
use ncs_protocol::properties::CONTENT_TYPE_BINCODE;

use super::job;

/// Whether the body is a job's.
pub(crate) fn hold(body: &[u8]) -> bool {
    let properties = Properties {
        content_type: Some(CONTENT_TYPE_BINCODE.to_owned()),
        kind: Some(JOB_KIND.to_owned()),
        message_id: Some("1".to_owned()),
        ..Properties::default()
    };
    job::hold(&properties, body)
}
