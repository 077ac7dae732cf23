//! Fuzzes the body of a bincode job.
#![no_main]

#[path = "../properties/job.rs"]
mod job;
#[path = "../properties/job_body.rs"]
mod job_body;
#[path = "../properties/sentence.rs"]
mod sentence;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    job_body::hold(input);
});
