use super::*;
use proptest::prelude::*;

fn job(content: Content<'_>) -> Job<'_> {
    Job {
        id: "0192f".into(),
        correlation_id: Some("order 7".into()),
        reply_to: Some("my-results".into()),
        submitted_at_us: Some(1_700_000_000_123_456),
        accept: Encoding::Bincode,
        top_k: Some(3),
        content,
    }
}

fn bincode_properties() -> Properties {
    Properties {
        content_type: Some(CONTENT_TYPE_BINCODE.into()),
        kind: Some(JOB_KIND.into()),
        message_id: Some("1".into()),
        ..Properties::default()
    }
}

#[test]
fn a_bincode_job_costs_few_bytes_more_than_its_image() {
    let image = vec![7; 20_000];
    let (_, body) = job(Content::Image(ImageType::Jpeg, &image))
        .to_message(Encoding::Bincode)
        .unwrap();
    assert!(body.len() <= image.len() + 5, "{}", body.len());
}

#[test]
fn the_wire_format_of_version_1_does_not_change() {
    let (properties, body) = job(Content::Image(ImageType::Png, &[1, 2, 3]))
        .to_message(Encoding::Bincode)
        .unwrap();
    // Content: image (0), its format: PNG (1), the length, the bytes.
    assert_eq!(body, [0, 1, 3, 1, 2, 3]);
    assert_eq!(properties.kind.as_deref(), Some("ncs.job.v1"));
    let (_, body) = job(Content::Tensor(&[9]))
        .to_message(Encoding::Bincode)
        .unwrap();
    assert_eq!(body, [1, 1, 9]);
}

#[test]
fn the_image_is_borrowed_from_the_message() {
    let (properties, body) = job(Content::Image(ImageType::Jpeg, &[1; 1000]))
        .to_message(Encoding::Bincode)
        .unwrap();
    let read = Job::from_message(&properties, &body).unwrap();
    let Content::Image(_, bytes) = read.content else {
        panic!("{read:?}")
    };
    assert!(body.as_ptr_range().contains(&bytes.as_ptr()));
}

#[test]
fn a_bare_image_is_answered_in_json_unless_it_asks_otherwise() {
    let mut properties = Properties {
        content_type: Some("Image/JPG; charset=binary".into()),
        message_id: Some("7".into()),
        ..Properties::default()
    };
    let read = Job::from_message(&properties, b"\xff\xd8\xff").unwrap();
    assert_eq!(
        read.content,
        Content::Image(ImageType::Jpeg, b"\xff\xd8\xff")
    );
    assert_eq!(read.accept, Encoding::Json);
    let bincode = HeaderValue::Text(CONTENT_TYPE_BINCODE.into());
    properties.headers.insert(HEADER_ACCEPT.into(), bincode);
    assert_eq!(
        Job::from_message(&properties, b"x").unwrap().accept,
        Encoding::Bincode
    );
}

#[test]
fn another_version_is_named_in_the_error_and_never_guessed_at() {
    for kind in [Some("ncs.job.v2"), Some("ncs.result.v1"), None] {
        let properties = Properties {
            kind: kind.map(Into::into),
            ..bincode_properties()
        };
        let error = Job::from_message(&properties, &[0, 0, 1, 1]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::UnsupportedVersion);
        assert!(error.to_string().contains(kind.unwrap_or("''")), "{error}");
    }
}

#[test]
fn what_is_no_job_is_refused_with_the_reason() {
    let cases: [(Properties, Vec<u8>, ErrorCode); 6] = [
        (
            Properties {
                message_id: None,
                ..bincode_properties()
            },
            vec![0],
            ErrorCode::MalformedJob,
        ),
        (
            Properties {
                message_id: Some("x".repeat(129)),
                ..bincode_properties()
            },
            vec![0],
            ErrorCode::MalformedJob,
        ),
        (bincode_properties(), vec![], ErrorCode::MalformedJob),
        (bincode_properties(), vec![0, 0, 0], ErrorCode::MalformedJob),
        (
            bincode_properties(),
            vec![0; MAX_BODY_BYTES + 1],
            ErrorCode::TooLarge,
        ),
        (
            Properties {
                content_type: Some("text/plain".into()),
                ..bincode_properties()
            },
            b"hello".to_vec(),
            ErrorCode::UnsupportedContentType,
        ),
    ];
    for (properties, body, code) in cases {
        let error = Job::from_message(&properties, &body).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[test]
fn a_length_that_the_body_does_not_have_is_refused_before_anything_is_allocated() {
    // A tensor whose length prefix (0xfd: a u64 follows) claims 2^62 bytes.
    let mut body = vec![1, 0xfd];
    body.extend_from_slice(&(1_u64 << 62).to_le_bytes());
    body.push(0);
    assert!(matches!(
        Job::from_message(&bincode_properties(), &body),
        Err(JobError::Malformed(_))
    ));
}

#[test]
fn a_job_that_is_too_large_for_the_broker_is_refused_by_the_sender() {
    let image = vec![0; MAX_BODY_BYTES];
    let refused = job(Content::Tensor(&image)).to_message(Encoding::Bincode);
    assert!(matches!(
        refused,
        Err(JobError::TooLarge { .. } | JobError::Malformed(_))
    ));
}

#[test]
fn the_number_of_classes_is_kept_within_bounds() {
    for (asked, given) in [(-4, 1), (0, 1), (7, 7), (i64::MAX, MAX_TOP_K)] {
        let mut properties = bincode_properties();
        properties
            .headers
            .insert(HEADER_TOP_K.into(), HeaderValue::Integer(asked));
        let read = Job::from_message(&properties, &[1, 1, 9]).unwrap();
        assert_eq!(read.top_k, Some(given));
    }
}

#[test]
fn formats_are_told_by_content() {
    assert_eq!(
        ImageType::of_content(b"\xff\xd8\xff\xe0"),
        Some(ImageType::Jpeg)
    );
    assert_eq!(
        ImageType::of_content(b"\x89PNG\r\n\x1a\n"),
        Some(ImageType::Png)
    );
    assert_eq!(ImageType::of_content(b"BM...."), Some(ImageType::Bmp));
    assert_eq!(
        ImageType::of_content(b"RIFF\0\0\0\0WEBPVP8 "),
        Some(ImageType::Webp)
    );
    assert_eq!(ImageType::of_content(b"GIF89a"), None);
}

fn any_content() -> impl Strategy<Value = (Option<ImageType>, Vec<u8>)> {
    let kind = proptest::option::of(proptest::sample::select(ImageType::ALL.to_vec()));
    (kind, proptest::collection::vec(any::<u8>(), 1..4_000))
}

proptest! {
    #[test]
    fn a_job_survives_the_wire((kind, bytes) in any_content(), bare: bool, json: bool, top_k in proptest::option::of(1..=MAX_TOP_K)) {
        let content = kind.map_or(Content::Tensor(&bytes), |kind| Content::Image(kind, &bytes));
        let accept = if json { Encoding::Json } else { Encoding::Bincode };
        let sent = Job { accept, top_k, ..job(content) };
        let encoding = if bare { Encoding::Json } else { Encoding::Bincode };
        let (properties, body) = sent.to_message(encoding).unwrap();
        prop_assert_eq!(Job::from_message(&properties, &body).unwrap(), sent);
    }

    #[test]
    fn a_truncated_job_is_an_error((kind, bytes) in any_content(), keep in 0.0..1.0_f64) {
        let content = kind.map_or(Content::Tensor(&bytes), |kind| Content::Image(kind, &bytes));
        let (properties, body) = job(content).to_message(Encoding::Bincode).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let keep = (body.len() as f64 * keep) as usize;
        prop_assert!(Job::from_message(&properties, &body[..keep]).is_err());
    }

    #[test]
    fn random_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = Job::from_message(&bincode_properties(), &body);
    }
}
