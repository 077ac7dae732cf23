//! Fuzzes the way of an encoded image into the input tensor.
#![no_main]

#[path = "../properties/image.rs"]
mod image;
#[path = "../properties/sentence.rs"]
mod sentence;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    image::hold(input);
});
