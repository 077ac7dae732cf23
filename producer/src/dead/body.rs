//! What is in the body of a letter.

use ncs_protocol::{ImageType, Job, Properties};
use std::fmt::Write;

const BYTES_PER_LINE: usize = 16;

/// What a body is.
pub(super) struct Content<'m> {
    /// In words.
    pub(super) name: String,
    /// The image or tensor where it is a job, else all of it.
    pub(super) bytes: &'m [u8],
}

impl<'m> Content<'m> {
    pub(super) fn of(properties: &'m Properties, body: &'m [u8]) -> Self {
        let content = Job::from_message(properties, body).map(|job| job.content);
        let (name, bytes) = match content {
            Ok(ncs_protocol::Content::Image(image_type, bytes)) => {
                let said = image_type.content_type();
                match ImageType::of_content(bytes) {
                    Some(seen) if seen == image_type => (format!("an image, {said}"), bytes),
                    Some(seen) => {
                        let seen = seen.content_type();
                        (
                            format!("an image, {seen}, that is said to be {said}"),
                            bytes,
                        )
                    }
                    None => (format!("no image, though it is said to be {said}"), bytes),
                }
            }
            Ok(ncs_protocol::Content::Tensor(bytes)) => ("an input tensor".to_owned(), bytes),
            Err(_) => match ImageType::of_content(body) {
                Some(seen) => (format!("an image, {}", seen.content_type()), body),
                None if body.is_empty() => ("nothing".to_owned(), body),
                None => ("no job and no image".to_owned(), body),
            },
        };
        Self { name, bytes }
    }
}

/// In hexadecimal, and as ASCII where it is some.
pub(super) fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(BYTES_PER_LINE) {
        let hex: Vec<_> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let ascii = chunk.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        });
        let ascii: String = ascii.collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<48} {ascii}", hex.join(" "));
    }
    text
}
