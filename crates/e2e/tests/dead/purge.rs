//! `dead purge`: it asks, and deletes what it has shown and nothing else.

use crate::bed::{LIMIT, runtime};
use crate::place::{Place, Said, image, written};
use ncs_e2e::proxy::Proxy;
use ncs_e2e::rabbitmq::Release;
use ncs_protocol::Properties;
use ncs_protocol::topology::DEAD;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

/// `python -c … SECONDS ANSWER COMMAND…` runs a command on a terminal of its own, for so long at most:
/// then both end. When it asks, we are told in a line, and it gets the answer as soon as we send one.
const ON_A_TERMINAL: &str = "
import os, pty, signal, sys
seconds, answer, *command = sys.argv[1:]
signal.alarm(int(seconds))
child, terminal = pty.fork()
if child == 0:
    os.execv(command[0], command)
said, asked = b'', False
while True:
    try:
        read = os.read(terminal, 4096)
    except OSError:
        break
    said += read
    if not asked and said.endswith(b'[y/N] '):
        asked = True
        print('asked', flush=True)
        sys.stdin.readline()
        os.write(terminal, answer.encode() + b'\\n')
print(said.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";

/// Runs it on a terminal; `meanwhile` happens between its question and our answer.
fn answered(place: &Place, arguments: &[&str], answer: &str, meanwhile: impl FnOnce()) -> Said {
    let mut python = Command::new(runtime().python().expect("run `cargo xtask test`"));
    let seconds = LIMIT.as_secs().to_string();
    python.args(["-c", ON_A_TERMINAL, &seconds, answer]);
    let mut terminal = place
        .command_under(python, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut stdout = BufReader::new(terminal.stdout.take().expect("piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("UTF-8");
    // Nothing, if it ended, at its limit for example.
    assert_eq!(line, "asked\n");
    meanwhile();
    let mut stdin = terminal.stdin.take().expect("piped");
    stdin.write_all(b"\n").expect("it listens");
    let mut said = String::new();
    stdout.read_to_string(&mut said).expect("UTF-8");
    Said {
        code: terminal.wait().expect("it ends").code(),
        stdout: said.replace("\r\n", "\n"),
        stderr: String::new(),
    }
}

fn letter(id: &str, code: &str) -> (Properties, Vec<u8>) {
    (written(image(id), code), b"x".to_vec())
}

#[test]
fn only_a_yes_deletes_and_only_what_was_counted() {
    let place = Place::on(Release::Installed);
    place.bury([
        letter("1", "expired"),
        letter("2", "expired"),
        letter("3", "too_large"),
    ]);

    for no in ["n", "", "no", "what?"] {
        let said = answered(&place, &["purge", "--all"], no, || ());
        said.assert_ends_with(0);
        said.assert_says("1 x too_large");
        said.assert_says("2 x expired");
        said.assert_says("Delete 3 dead letters? [y/N] ");
        said.assert_says("nothing was deleted");
        assert_eq!(place.names(), ["1", "2", "3"], "{no:?}");
    }

    let comes_in = || place.bury([letter("4", "expired")]);
    let said = answered(&place, &["purge", "--all"], "y", comes_in);
    said.assert_ends_with(0);
    said.assert_says("deleted 3 dead letters");
    assert_eq!(place.names(), ["4"]);

    let said = answered(&place, &["purge", "4"], "Yes", || ());
    said.assert_says("Delete 1 dead letter? [y/N] ");
    said.assert_says("deleted 1 dead letter\n");
    assert_eq!(place.ready(DEAD), 0);
}

#[test]
fn while_one_command_has_the_letters_the_others_say_so_and_who_it_is() {
    for release in [Release::V3, Release::V4] {
        let place = Place::on(release);
        place.bury([letter("1", "expired"), letter("2", "expired")]);
        let others = || {
            for command in [
                &["list"][..],
                &["list", "--json"],
                &["show", "1"],
                &["retry", "--all"],
                &["purge", "--all", "--yes"],
            ] {
                let said = place.dead(command);
                said.assert_ends_with(1);
                said.assert_says("another command has the dead letters in hand; try again when");
                assert_eq!(said.stdout, "", "{command:?}");
            }
            let connections = place.node.ctl(&["list_connections", "client_properties"]);
            let connections = connections.expect("they are listed");
            let name = connections
                .split_once("ncs-producer ")
                .map(|(_, name)| name);
            let who = name.and_then(|name| name.split_once(" dead purge"));
            let process = who.and_then(|(who, _)| who.rsplit_once('/'));
            let process = process.map(|(_host, process)| process.parse::<u32>());
            assert!(matches!(process, Some(Ok(_))), "{connections}");
        };
        answered(&place, &["purge", "--all"], "n", others).assert_ends_with(0);
        assert_eq!(place.names(), ["1", "2"], "{release:?}");
    }
}

#[test]
fn when_the_broker_is_lost_midway_it_says_how_many_may_be_deleted() {
    let place = Place::on(Release::Installed);
    place.bury(["1", "2", "3"].map(|id| letter(id, "expired")));
    let network = Proxy::to(place.node.amqp_addr()).expect("a network");
    let through = place.node.amqp_url_through(&network);
    let purge = ["purge", "--all", "--amqp-url", &through];
    let said = answered(&place, &purge, "y", || network.cut());
    said.assert_ends_with(1);
    said.assert_says("up to 3 of 3 dead letters were deleted; list again: ");
    assert!(!said.stdout.contains("\ndeleted"), "{said:?}");
    network.sever();
    place.wait_for(DEAD, 3);
}

#[test]
fn of_what_comes_in_meanwhile_at_most_one_is_touched_and_nothing_changes_its_place() {
    const THERE: usize = 300;
    for release in [Release::V3, Release::V4] {
        let place = Place::on(release);
        let code = |number| ["expired", "too_large"][number % 2];
        let there = |number: usize| letter(&number.to_string(), code(number));
        place.bury((0..THERE).map(there));
        let new = |number: usize| letter(&format!("new-{number}"), "expired");
        let meanwhile = || place.bury((0..THERE).map(new));
        let said = answered(&place, &["purge", "--code", "expired"], "y", meanwhile);
        said.assert_ends_with(0);
        said.assert_says("deleted 150 dead letters");

        let left = u16::try_from(THERE / 2 + THERE).expect("few");
        let letters = place.peek(DEAD, left);
        let touched = letters.iter().skip(THERE / 2).filter(|it| it.redelivered);
        assert!(touched.count() <= 1, "{release:?}");
        let ids = letters.iter().map(|it| it.properties.message_id.clone());
        let kept = (1..THERE).step_by(2).map(|number| number.to_string());
        let new = (0..THERE).map(|number| format!("new-{number}"));
        assert!(ids.eq(kept.chain(new).map(Some)), "{release:?}");
    }
}

#[test]
fn without_a_terminal_it_wants_a_yes_on_the_command_line() {
    let place = Place::on(Release::Installed);
    place.bury([
        letter("1", "expired"),
        letter("2", "too_large"),
        letter("3", "expired"),
    ]);
    let said = place.dead(&["purge", "--code", "expired"]);
    said.assert_ends_with(1);
    said.assert_says("2 x expired");
    said.assert_says("give --yes to delete 2 dead letters");
    assert_eq!(place.names(), ["1", "2", "3"]);

    let said = place.dead(&["purge", "--code", "expired", "--yes"]);
    said.assert_ends_with(0);
    said.assert_says("deleted 2 dead letters");
    assert_eq!(place.names(), ["2"]);
}

#[test]
fn letters_are_chosen_by_model_by_code_and_by_name() {
    let place = Place::on(Release::Installed);
    let nameless = Properties {
        message_id: None,
        ..image("")
    };
    place.bury([
        letter("1", "expired"),
        letter("2", "too_large"),
        letter("2", "expired"),
    ]);
    place.bury([(nameless, b"a".to_vec()), letter("5", "internal")]);
    let of_no_model = [letter("6", "expired"), letter("7", "expired")];
    place.publish(DEAD, "not a model", of_no_model);
    place.publish(DEAD, "another", [letter("8", "expired")]);
    let fingerprint = place.names()[3].clone();
    assert!(fingerprint.starts_with('@'), "{fingerprint}");

    let purge = |arguments: &[&str], left: &[&str]| {
        let said = place.dead(&[&["purge", "--yes"], arguments].concat());
        said.assert_ends_with(0);
        assert_eq!(place.names(), left, "{arguments:?}");
    };
    purge(
        &["--model", "another"],
        &["1", "2", "2", &fingerprint, "5", "6", "7"],
    );
    let of_both = ["--model", &place.model, "--code", "expired"];
    purge(&of_both, &["2", &fingerprint, "5", "6", "7"]);
    purge(&[&fingerprint, "7"], &["2", "5", "6"]);
    purge(&["--code", "unknown"], &["2", "5", "6"]);
    let some = place.dead(&["purge", "--yes", "5", "missing"]);
    some.assert_ends_with(1);
    some.assert_says("no letter in ncs.dead is called missing");
    some.assert_says("deleted 1 dead letter\n");
    purge(&["--all"], &[]);
}
