//! `dead purge`: it asks, and deletes what it has shown and nothing else.

use crate::bed::runtime;
use crate::place::{Place, Said, image, written};
use ncs_e2e::rabbitmq::Release;
use ncs_protocol::Properties;
use ncs_protocol::topology::DEAD;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

/// `python -c … ANSWER COMMAND…` runs a command on a terminal of its own. When it asks, we are told in
/// a line, and it gets the answer as soon as we send one.
const ON_A_TERMINAL: &str = "
import os, pty, sys
answer, *command = sys.argv[1:]
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
    let command = place.command(arguments);
    let mut terminal = Command::new(runtime().python().expect("run `cargo xtask test`"));
    terminal
        .args(["-c", ON_A_TERMINAL, answer])
        .arg(command.get_program())
        .args(command.get_args())
        .env("NCS_AMQP_URL", place.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut terminal = terminal.spawn().expect("Python runs");
    let mut stdout = BufReader::new(terminal.stdout.take().expect("piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("UTF-8");
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
