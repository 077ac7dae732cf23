//! `dead list`: each kind of letter, with the right reason, and nothing changed.

use crate::bed::{LIMIT, drain};
use crate::client::publish_17_mib;
use crate::place::{Place, image, photo};
use ncs_e2e::rabbitmq::Release;
use ncs_protocol::Properties;
use ncs_protocol::topology::{self, DEAD};
use serde_json::Value;
use std::time::Instant;

#[test]
fn each_kind_of_letter_says_why_it_is_dead_on_rabbitmq_3() {
    each_kind_says_why(Release::V3);
}

#[test]
fn each_kind_of_letter_says_why_it_is_dead_on_rabbitmq_4() {
    each_kind_says_why(Release::V4);
}

fn each_kind_says_why(release: Release) {
    let place = Place::on(release);
    let photo = photo();
    // The broker's own.
    place.expire(image("late"), &photo);
    place.give_up(image("poison"), &photo);
    let jobs = place.jobs_queue();
    place.send(image("unanswerable"), &photo);
    place.with_connection(async |connection| {
        let getter = connection.getter(&jobs).await.expect("a getter");
        let job = getter.get().await.expect("an answer").expect("the job");
        job.ticket.reject().await.expect("rejected");
        // A reject that is the last word of its connection was seen to be lost, once in a hundred times.
        let start = Instant::now();
        while connection.queue_state(DEAD).await.expect("there").messages < 3 {
            assert!(start.elapsed() < LIMIT, "the job is not dead");
        }
    });
    place.wait_for(DEAD, 3);

    // A worker's.
    let (_sticks, worker) = place.worker();
    let bincode = |id: &str, kind: &str| Properties {
        content_type: Some("application/x-bincode".to_owned()),
        kind: Some(kind.to_owned()),
        ..image(id)
    };
    let text = Properties {
        content_type: Some("text/plain".to_owned()),
        ..image("text")
    };
    let nameless = Properties {
        message_id: None,
        ..image("")
    };
    let mut count = 3;
    for (properties, body) in [
        (bincode("garbage", "ncs.job.v1"), &b"garbage"[..]),
        (bincode("tomorrow", "ncs.job.v9"), b"garbage"),
        (text, b"hello"),
        (nameless, &photo),
        (image("empty"), b""),
    ] {
        place.send(properties, body);
        count += 1;
        place.wait_for(DEAD, count);
    }
    // RabbitMQ 4 takes no message of that size.
    let large = publish_17_mib(&place.url(), &place.model, "nobody", "large");
    assert_eq!(large, release == Release::V3);
    count += u32::from(large);
    place.wait_for(DEAD, count);
    drain(worker);

    let list = place.list(&[]);
    assert_eq!(
        (&list["total"], &list["looked_at"]),
        (&count.into(), &count.into())
    );
    let letters = list["letters"].as_array().expect("letters");
    let expected = [
        ("late", "expired", "its deadline passed while it waited", 0),
        (
            "poison",
            "delivery_limit",
            "each worker that tried it was lost",
            5,
        ),
        (
            "unanswerable",
            "internal",
            "its answer could not be sent",
            1,
        ),
        ("garbage", "malformed_job", "the body is no ncs.job.v1", 1),
        ("tomorrow", "unsupported_version", "of type 'ncs.job.v9'", 1),
        (
            "text",
            "unsupported_content_type",
            "'text/plain' is not supported",
            1,
        ),
        ("@", "malformed_job", "the job has no id", 1),
        ("empty", "malformed_job", "the body is empty", 1),
        ("large", "too_large", "the body has 17825792 bytes", 1),
    ];
    for (letter, (name, code, why, attempts)) in letters.iter().zip(expected) {
        let text = |field: &str| letter[field].as_str().unwrap_or_default();
        assert!(text("name").starts_with(name), "{letter}");
        assert_eq!(text("code"), code, "{letter}");
        assert!(text("why").contains(why), "{letter}");
        assert_eq!(letter["model"], *place.model, "{letter}");
        assert_eq!(letter["attempts"], attempts, "{letter}");
        assert!(text("since").ends_with('Z'), "{letter}");
        let age_us = now_us() - letter["since_us"].as_u64().expect("a time");
        assert!(age_us < 300_000_000, "{letter}");
    }
    let field = |number: usize, field: &str| letters[number][field].clone();
    assert_eq!(field(0, "queue"), *jobs);
    let suspects = topology::suspects_queue(&place.name());
    assert_eq!(field(1, "queue"), *suspects);
    assert_eq!(field(3, "queue"), Value::Null);
    assert_eq!(field(0, "size_bytes"), photo.len());
    assert_eq!(field(0, "content_type"), "image/jpeg");

    // Looking has changed nothing, not even their order.
    assert_eq!(place.ready(DEAD), count);
    assert_eq!(place.list(&[])["letters"], list["letters"]);
}

#[test]
fn people_read_a_table_a_line_for_each_code_and_how_many_more_there_are() {
    let place = Place::on(Release::Installed);
    place.expire(image("first"), b"not looked into");
    place.expire(image("second"), b"not looked into");
    place.give_up(image("third"), b"not looked into");

    let all = place.dead(&["list"]);
    all.assert_ends_with(0);
    let lines: Vec<_> = all.stdout.lines().collect();
    assert!(lines[0].starts_with("id "), "{all:?}");
    for (line, name) in lines[1..4].iter().zip(["first", "second", "third"]) {
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[..2], [name, &place.model], "{line}");
    }
    assert!(
        lines[1].contains(" expired ") && lines[1].contains(" 15 B "),
        "{all:?}"
    );
    let summary = ["", "1 x delivery_limit", "2 x expired", "3 dead letters"];
    assert_eq!(lines[4..], summary, "{all:?}");

    let some = place.dead(&["list", "--limit", "1"]);
    some.assert_says("first");
    some.assert_says("\n1 x delivery_limit\n2 x expired\n");
    some.assert_says("\n3 dead letters, the oldest 1 shown (see --limit)\n");
    assert!(!some.stdout.contains("second"), "{some:?}");

    let of_a_code = place.dead(&["list", "--code", "delivery_limit"]);
    of_a_code.assert_says("third");
    of_a_code.assert_says("\n3 dead letters, 1 of this kind\n");
    assert!(!of_a_code.stdout.contains("first "), "{of_a_code:?}");
    assert_eq!(
        place.list(&["--model", "another"])["letters"],
        Value::from([(); 0])
    );
    let of_this = place.list(&["--model", &place.model, "--code", "expired"]);
    assert_eq!(of_this["codes"]["expired"], 2);
    assert_eq!(place.names(), ["first", "second", "third"]);
}

fn now_us() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.expect("after 1970").as_micros()).expect("small")
}
