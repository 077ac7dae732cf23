use super::*;
use proptest::prelude::*;

fn result(outcome: Outcome) -> JobResult {
    JobResult {
        job_id: "7".into(),
        worker: "pi-1/4711".into(),
        host: "pi-1".into(),
        model: "googlenet-v1".into(),
        outcome,
        attempt: 1,
        times: StageTimes {
            queue_us: Some(1_200),
            wait_us: 3,
            decode_us: 310,
            infer_us: 42_900,
        },
    }
}

fn message(result: &JobResult, encoding: Encoding) -> (Properties, Vec<u8>) {
    result.to_message(encoding, "m".into(), "c".into())
}

#[test]
fn the_json_is_what_the_documentation_shows() {
    let classes = vec![Class {
        index: 281,
        label: Some("tabby, tabby cat".into()),
        score: 0.5,
    }];
    let (properties, body) = message(&result(Outcome::Classes(classes)), Encoding::Json);
    assert_eq!(properties.content_type.as_deref(), Some("application/json"));
    assert_eq!(properties.kind.as_deref(), Some("ncs.result.v1"));
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let expected = serde_json::json!({
        "job_id": "7", "worker": "pi-1/4711", "host": "pi-1", "model": "googlenet-v1",
        "outcome": {"classes": [{"index": 281, "label": "tabby, tabby cat", "score": 0.5}]},
        "attempt": 1,
        "times": {"queue_us": 1200, "wait_us": 3, "decode_us": 310, "infer_us": 42900}
    });
    assert_eq!(json, expected);
}

#[test]
fn a_failure_carries_its_code_in_snake_case() {
    for code in ErrorCode::ALL {
        let failure = Failure {
            code,
            message: "why".into(),
        };
        let (_, body) = message(&result(Outcome::Error(failure)), Encoding::Json);
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["outcome"]["error"]["code"], code.as_str());
    }
}

#[test]
fn another_version_or_content_type_is_named_in_the_error() {
    let (properties, body) = message(&result(Outcome::Classes(vec![])), Encoding::Bincode);
    let newer = Properties {
        kind: Some("ncs.result.v2".into()),
        ..properties.clone()
    };
    let error = JobResult::from_message(&newer, &body).unwrap_err();
    assert!(error.to_string().contains("ncs.result.v2"), "{error}");
    let xml = Properties {
        content_type: Some("text/xml".into()),
        ..properties
    };
    let error = JobResult::from_message(&xml, &body).unwrap_err();
    assert!(error.to_string().contains("text/xml"), "{error}");
}

#[test]
fn a_field_that_a_later_release_adds_to_the_json_does_not_break_older_readers() {
    let (properties, body) = message(&result(Outcome::Classes(vec![])), Encoding::Json);
    let mut json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    json["stick"] = "MYRIAD.5.1-ma2480".into();
    let body = serde_json::to_vec(&json).unwrap();
    assert!(JobResult::from_message(&properties, &body).is_ok());
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let class = (
        any::<u32>(),
        proptest::option::of(".{0,40}"),
        -1e30_f32..1e30,
    )
        .prop_map(|(index, label, score)| Class {
            index,
            label,
            score,
        });
    let classes = proptest::collection::vec(class, 0..20).prop_map(Outcome::Classes);
    let failure = (
        proptest::sample::select(ErrorCode::ALL.to_vec()),
        ".{0,200}",
    )
        .prop_map(|(code, message)| Outcome::Error(Failure { code, message }));
    prop_oneof![classes, failure]
}

proptest! {
    #[test]
    fn a_result_survives_the_wire(outcome in any_outcome(), json: bool) {
        let sent = result(outcome);
        let encoding = if json { Encoding::Json } else { Encoding::Bincode };
        let (properties, body) = message(&sent, encoding);
        prop_assert_eq!(JobResult::from_message(&properties, &body).unwrap(), sent);
    }

    #[test]
    fn truncated_and_random_bytes_are_errors_and_never_panic(outcome in any_outcome(), json: bool, noise in proptest::collection::vec(any::<u8>(), 0..500)) {
        let encoding = if json { Encoding::Json } else { Encoding::Bincode };
        let (properties, body) = message(&result(outcome), encoding);
        prop_assert!(JobResult::from_message(&properties, &body[..body.len() - 1]).is_err());
        let _ = JobResult::from_message(&properties, &noise);
    }
}
