//! Fuzzes a job as a whole message: AMQP's properties and the body.
#![no_main]

#[path = "../properties/job.rs"]
mod job;
#[path = "../properties/job_message.rs"]
mod job_message;
#[path = "../properties/sentence.rs"]
mod sentence;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    job_message::hold(input);
});
