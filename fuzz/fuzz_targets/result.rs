//! Fuzzes the body of a result, as bincode and as JSON.
#![no_main]

#[path = "../properties/result.rs"]
mod result;
#[path = "../properties/sentence.rs"]
mod sentence;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    result::hold(input);
});
