//! `dead show`: one letter, and its body as a file.

use crate::place::{Place, image, photo, written};
use ncs_e2e::rabbitmq::Release;
use ncs_protocol::topology::DEAD;
use ncs_protocol::{Content, Encoding, ImageType, Job, Properties};
use std::fs;

#[test]
fn the_image_of_a_letter_is_saved_byte_for_byte_bare_or_in_bincode() {
    let place = Place::on(Release::Installed);
    let photo = photo();
    place.expire(image("bare"), &photo);
    let job = Job {
        id: "bincode".into(),
        correlation_id: Some("mine".into()),
        reply_to: Some("nobody".into()),
        submitted_at_us: Some(1_700_000_000_000_000),
        accept: Encoding::Bincode,
        top_k: None,
        content: Content::Image(ImageType::Jpeg, &photo),
    };
    let (properties, body) = job.to_message(Encoding::Bincode).expect("a job");
    place.expire(properties, &body);

    for (id, size) in [("bare", photo.len()), ("bincode", body.len())] {
        let file = format!("{id}.jpg");
        let said = place.dead(&["show", id, "--save", &file]);
        said.assert_ends_with(0);
        assert_eq!(fs::read(place.dir.join(&file)).expect("saved"), photo);
        for words in [
            "expired\n",
            "its deadline passed while it waited\n",
            &place.model,
            &format!("died in                  {}\n", place.jobs_queue()),
            &format!("{size} bytes: an image, image/jpeg\n"),
            "s ago\n",
            "first bytes\n",
            " ff d8 ff ",
            &format!(
                "saved an image, image/jpeg, {} bytes, to {file}",
                photo.len()
            ),
        ] {
            said.assert_says(words);
        }
    }
    let said = place.dead(&["show", "bincode"]);
    for words in ["ncs.job.v1\n", "mine\n", "nobody\n", "1700000000000000\n"] {
        said.assert_says(words);
    }

    // It is not written over what is there.
    let again = place.dead(&["show", "bincode", "--save", "bare.jpg"]);
    again.assert_ends_with(1);
    again.assert_says("--save");
    assert_eq!(fs::read(place.dir.join("bare.jpg")).expect("there"), photo);
    assert_eq!(place.ready(DEAD), 2);
}

#[test]
fn what_is_no_job_is_saved_as_it_came_and_does_not_command_the_terminal() {
    let place = Place::on(Release::Installed);
    let garbage = [b"\x1b[2J garbage \x00", &[0xff; 300][..]].concat();
    let hostile = Properties {
        message_id: Some("\u{1b}]0;owned\u{7}".to_owned()),
        content_type: Some("application/x-bincode".to_owned()),
        kind: Some("ncs.job.v1".to_owned()),
        ..Properties::default()
    };
    place.bury([(written(hostile, "malformed_job"), garbage.clone())]);
    let list = place.list(&[]);
    let name = list["letters"][0]["name"].as_str().expect("a name");
    assert!(name.starts_with('@'), "{name}");
    let said = place.dead(&["show", name, "--save", "garbage"]);
    said.assert_ends_with(0);
    said.assert_says("no job and no image\n");
    said.assert_says("it is malformed_job\n");
    said.assert_says("a worker's hands\n");
    let shown = [said.stdout, place.dead(&["list"]).stdout].concat();
    assert!(
        !shown.contains('\u{1b}') && !shown.contains('\u{7}'),
        "{shown:?}"
    );
    assert_eq!(fs::read(place.dir.join("garbage")).expect("saved"), garbage);
}

#[test]
fn of_several_letters_with_one_id_each_has_a_name_of_its_own() {
    let place = Place::on(Release::Installed);
    place.expire(image("twice"), b"one");
    place.expire(image("twice"), b"two");
    let said = place.dead(&["show", "twice"]);
    said.assert_ends_with(1);
    said.assert_says("2 dead letters have the id twice; name one of them: @");
    let list = place.list(&[]);
    for (number, body) in ["one", "two"].into_iter().enumerate() {
        let fingerprint = list["letters"][number]["fingerprint"].as_str();
        let said = place.dead(&["show", fingerprint.expect("one"), "--save", body]);
        said.assert_ends_with(0);
        assert_eq!(
            fs::read_to_string(place.dir.join(body)).expect("saved"),
            body
        );
    }
}
