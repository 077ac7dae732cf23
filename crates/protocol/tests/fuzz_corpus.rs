//! What the fuzz targets hold for random input, held for every committed one: the seeds, and what
//! fuzzing has found. `docs/fuzzing.md` tells more.

#[path = "../../../fuzz/properties/inputs.rs"]
mod inputs;
#[path = "../../../fuzz/properties/job.rs"]
mod job;
#[path = "../../../fuzz/properties/job_body.rs"]
mod job_body;
#[path = "../../../fuzz/properties/job_message.rs"]
mod job_message;
#[path = "../../../fuzz/properties/result.rs"]
mod result;
#[path = "../../../fuzz/properties/sentence.rs"]
mod sentence;

#[test]
fn every_committed_job_body_holds_its_property() {
    inputs::hold_all("job_body", job_body::hold);
}

#[test]
fn every_committed_job_message_holds_its_property() {
    inputs::hold_all("job_message", job_message::hold);
}

#[test]
fn every_committed_result_holds_its_property() {
    inputs::hold_all("result", result::hold);
}
