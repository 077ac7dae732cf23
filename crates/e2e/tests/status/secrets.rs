//! The password: in no output, at no level of logging, and not on the command line.

use crate::bed::{LIMIT, unique};
use crate::place::Place;
use ncs_e2e::poll_until;
use ncs_e2e::rabbitmq::Release;
use std::fs;

#[test]
fn a_password_is_nowhere_to_be_seen() {
    let place = Place::managed(Release::Installed);
    place.declare();
    let (ann, password) = (unique("ann"), unique("s3cret"));
    let ctl = |arguments: &[&str]| place.node.ctl(arguments).expect("rabbitmqctl succeeds");
    ctl(&["add_user", &ann, &password]);
    ctl(&["set_permissions", &ann, ".*", ".*", ".*"]);
    ctl(&["set_user_tags", &ann, "monitoring"]);
    let amqp = format!("amqp://{ann}:{password}@{}", place.node.amqp_addr());
    let url = place.management_url();
    for json in [&[][..], &["--json"]] {
        let given = [
            "--amqp-url",
            &*amqp,
            "--management-url",
            &url,
            "--watch",
            "200ms",
        ];
        let mut command = place.command(&[&given, json].concat());
        command.env("NCS_LOG", "trace");
        let mut process = place.spawn(command);
        let shown = poll_until(LIMIT, || process.stdout().contains("results").then_some(()));
        assert!(shown.is_some(), "{}", process.last_words());
        let cmdline = fs::read(format!("/proc/{}/cmdline", process.id())).expect("it runs");
        let cmdline = String::from_utf8_lossy(&cmdline).replace('\0', " ");
        assert!(
            cmdline.contains(" status ") && !cmdline.contains('@'),
            "{cmdline}"
        );
        process.interrupt().expect("interrupted");
        let said = crate::place::finish(process);
        said.assert_ends_with(0);
        let all = [&*said.stdout, &said.stderr].concat();
        assert!(all.contains("DEBUG"), "lapin speaks: {all}");
        assert!(!all.contains(&password) && !all.contains("Basic "), "{all}");
        assert!(!said.stdout.contains(&ann), "{said:?}");
    }
}
