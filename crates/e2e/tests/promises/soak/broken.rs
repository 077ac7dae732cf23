//! Ways in which a job can be broken, and what must become of each.

use crate::bed::runtime;
use ncs_protocol::{ErrorCode, Properties};

/// One of these ways.
pub(crate) struct Flaw {
    pub(crate) name: &'static str,
    /// Breaks a job that is a good JPEG.
    pub(crate) apply: fn(&mut Properties, &mut Vec<u8>),
    pub(crate) fate: Fate,
}

/// What becomes of a broken job: under which code, and what the reason says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// An error result.
    Refused(ErrorCode, &'static str),
    /// An error result, and a dead letter that says the same.
    DeadLettered(ErrorCode, &'static str),
    /// It is classified, and nobody gets the result.
    Unheard,
}

/// All of them.
pub(crate) const FLAWS: [Flaw; 13] = [
    Flaw {
        name: "a truncated JPEG",
        apply: |_, body| body.truncate(body.len() / 2),
        fate: Fate::Refused(ErrorCode::UndecodableImage, "Premature end"),
    },
    Flaw {
        name: "a JPEG whose header announces 65535x65535 pixels",
        apply: |_, body| announce_too_much(body),
        fate: Fate::Refused(ErrorCode::ImageTooLarge, "65535x65535"),
    },
    Flaw {
        name: "a progressive JPEG with too many scans",
        apply: |_, body| *body = jpeg_with_scans(100),
        fate: Fate::Refused(ErrorCode::UndecodableImage, "scans"),
    },
    Flaw {
        name: "a PNG with a wrong CRC",
        apply: |properties, body| {
            properties.content_type = Some("image/png".into());
            *body = png_with_a_wrong_crc();
        },
        fate: Fate::Refused(ErrorCode::UndecodableImage, "CRC"),
    },
    Flaw {
        name: "a JPEG that is called a PNG",
        apply: |properties, _| properties.content_type = Some("image/png".into()),
        fate: Fate::Refused(ErrorCode::UndecodableImage, "PNG"),
    },
    Flaw {
        name: "a tensor that is too short",
        apply: |properties, body| {
            properties.content_type = Some("application/octet-stream".into());
            body.truncate(1_000);
        },
        fate: Fate::Refused(ErrorCode::WrongTensorSize, "1000"),
    },
    Flaw {
        name: "a content type that is no image's",
        apply: |properties, _| properties.content_type = Some("text/html".into()),
        fate: Fate::DeadLettered(ErrorCode::UnsupportedContentType, "text/html"),
    },
    Flaw {
        name: "an empty body",
        apply: |_, body| body.clear(),
        fate: Fate::DeadLettered(ErrorCode::MalformedJob, "empty"),
    },
    Flaw {
        name: "no id",
        apply: |properties, _| properties.message_id = None,
        fate: Fate::DeadLettered(ErrorCode::MalformedJob, "has no id"),
    },
    Flaw {
        name: "a JPEG that calls itself bincode",
        apply: |properties, _| {
            properties.content_type = Some("application/x-bincode".into());
            properties.kind = Some("ncs.job.v1".into());
        },
        fate: Fate::DeadLettered(ErrorCode::MalformedJob, "no ncs.job.v1"),
    },
    Flaw {
        name: "a job of another version",
        apply: |properties, _| {
            properties.content_type = Some("application/x-bincode".into());
            properties.kind = Some("ncs.job.v9".into());
        },
        fate: Fate::DeadLettered(ErrorCode::UnsupportedVersion, "ncs.job.v9"),
    },
    Flaw {
        // The broker dead-letters it, or hands it to a worker that has room at this very moment.
        name: "a deadline that has passed already",
        apply: |properties, _| properties.expiration = Some("0".into()),
        fate: Fate::DeadLettered(ErrorCode::Expired, "its deadline passed"),
    },
    Flaw {
        name: "an address that is no queue",
        apply: |properties, _| properties.reply_to = Some("ncs.results.nobody".into()),
        fate: Fate::Unheard,
    },
];

/// Patches the size in a baseline JPEG's frame header, whose marker is `FF C0`.
fn announce_too_much(jpeg: &mut [u8]) {
    let mut pairs = jpeg.windows(2);
    let marker = pairs.position(|pair| pair == [0xff, 0xc0]);
    let size = marker.expect("a frame header") + 5;
    jpeg[size..size + 4].fill(0xff);
}

/// A grey progressive JPEG of 8 × 8 pixels: one scan for the mean, and then so many that change nothing.
fn jpeg_with_scans(scans: usize) -> Vec<u8> {
    // A Huffman table of one code, `0`, for the value 0.
    let table = |class: u8| {
        let lengths = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        [&[0xff, 0xc4, 0, 20, class][..], &lengths, &[0]].concat()
    };
    [
        // Start of image, a quantization table, a progressive frame, two Huffman tables.
        &[0xff, 0xd8, 0xff, 0xdb, 0, 67, 0][..],
        &[1; 64],
        &[0xff, 0xc2, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0],
        &table(0x00),
        &table(0x10),
        &[0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0, 0x7f],
        &[0xff, 0xda, 0, 8, 1, 1, 0, 1, 63, 0, 0x7f].repeat(scans),
        // End of image.
        &[0xff, 0xd9],
    ]
    .concat()
}

/// A digit with one bit turned over in the CRC of its pixels, which stands before the last chunk, of 12
/// bytes.
fn png_with_a_wrong_crc() -> Vec<u8> {
    let file = runtime().digits_dir().join("0000.png");
    let mut png = std::fs::read(file).expect("run `cargo xtask test`, which makes it");
    let end = png.len() - 12;
    png[end - 1] ^= 1;
    png
}
