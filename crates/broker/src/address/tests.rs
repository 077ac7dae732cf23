use super::*;

fn plain(text: &str) -> Address {
    Address::new(parse(text).unwrap(), None)
}

fn error(text: &str) -> String {
    let address = UncheckedAddress::from(text.to_owned());
    address.check(&TlsFiles::default()).unwrap_err().to_string()
}

#[test]
fn credentials_are_never_shown() {
    let address = plain("amqps://ann:s3cret@rabbit:5671/fleet");
    for shown in [
        address.to_string(),
        format!("{address:?}"),
        format!("{address:#?}"),
    ] {
        assert!(
            !shown.contains("s3cret") && !shown.contains("ann"),
            "{shown}"
        );
    }
    assert_eq!(address.to_string(), "amqps://rabbit:5671/fleet");
}

#[test]
fn a_bad_address_is_refused_without_showing_its_password() {
    for text in [
        "http://ann:s3cret@rabbit",
        "amqp:ann:s3cret@rabbit",
        "ann:s3cret@rabbit",
        "amqp://ann:s3cret@rabbit:port",
        "amqp://ann:s3cret@rabbit?heartbeat=soon",
        "amqp://ann:s3cret@rabbit?heartbeat=0",
        "amqp://ann:s3cret@rabbit?heatbeat=20",
    ] {
        let error = error(text);
        assert!(error.contains("'…@rabbit"), "{error}");
        assert!(
            !error.contains("s3cret") && !error.contains("ann:"),
            "{error}"
        );
    }
    // The host was forgotten.
    for text in ["amqp://ann:s3cret", "ann:s3cret"] {
        assert!(!error(text).contains("s3cret"), "{}", error(text));
    }
}

#[test]
fn a_password_that_would_be_read_as_a_virtual_host_is_refused() {
    for text in [
        "amqp://ann:12/s3cret@rabbit",
        "amqp://ann:12?s3cret@rabbit",
        "amqp://ann:#s3cret@rabbit",
        "amqp://ann:p@12/s3cret@rabbit",
    ] {
        let error = error(text);
        assert!(
            error.contains("%2F") && !error.contains("s3cret"),
            "{error}"
        );
    }
    let escaped = plain("amqp://ann:12%2Fs3cret@rabbit/a%40b");
    assert_eq!(escaped.to_string(), "amqp://rabbit:5672/a@b");
    assert_eq!(escaped.uri().authority.userinfo.password, "12/s3cret");
}

#[test]
fn no_path_and_an_empty_path_mean_the_default_virtual_host() {
    for text in ["amqp://h", "amqp://h:5672", "amqp://h/", "amqp://h/%2f"] {
        let uri = plain(text).uri();
        assert_eq!(uri.vhost, "/", "{text}");
        assert_eq!(uri.query.heartbeat, Some(HEARTBEAT_SECONDS));
    }
    let chosen = plain("amqp://h?heartbeat=30").uri();
    assert_eq!(chosen.query.heartbeat, Some(30));
}

#[test]
fn an_ipv6_address_is_not_taken_for_localhost() {
    for text in [
        "amqp://[fd00::7]:5673/v",
        "amqp://ann:p%5Bx@[fd00::7]:5673/v",
    ] {
        let address = plain(text);
        assert_eq!(address.host_and_port(), ("fd00::7", 5673));
        assert_eq!(address.to_string(), "amqp://[fd00::7]:5673/v");
    }
}

#[test]
fn a_file_of_tls_is_no_use_to_an_address_without() {
    let files = TlsFiles {
        ca: Some("ca.pem".into()),
        ..TlsFiles::default()
    };
    let address = UncheckedAddress::from("amqp://ann:s3cret@rabbit".to_owned());
    let error = address.check(&files).unwrap_err().to_string();
    assert!(
        error.contains("--tls-ca") && error.contains("amqps://rabbit"),
        "{error}"
    );
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn an_address_from_a_file_is_trimmed_and_never_shown() {
    let dir = std::env::temp_dir().join(format!("ncs-address-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("url");
    let check = |content: &[u8]| {
        std::fs::write(&file, content).unwrap();
        UncheckedAddress::read(&file, "--amqp-url-file")
            .and_then(|address| address.check(&TlsFiles::default()))
    };
    let address = check(b"\n amqp://ann:s3cret@rabbit/v \r\n\n").unwrap();
    assert_eq!(address.to_string(), "amqp://rabbit:5672/v");
    for content in [
        b"ann:s3cret@rabbit".as_slice(),
        b"amqp://ann:s3cret@rabbit\nmore",
        b"s3cret \xff",
        b"",
        &[b's'; 5000],
    ] {
        let error = check(content).unwrap_err().to_string();
        assert!(
            error.contains("url") && !error.contains("s3cret") && !error.contains("rabbit"),
            "{error}"
        );
    }
    std::fs::remove_dir_all(&dir).unwrap();
    let missing = UncheckedAddress::read(&file, "--amqp-url-file").unwrap_err();
    assert!(missing.to_string().contains("--amqp-url-file"), "{missing}");
}

#[test]
fn several_nodes_share_all_but_host_and_port_and_are_tried_in_turn() {
    let address = plain("amqp://ann:s3,cret@one,two:5673,[fd00::7]/fleet?heartbeat=20");
    assert_eq!(
        address.to_string(),
        "amqp://one:5672,two:5673,[fd00::7]:5672/fleet"
    );
    let order = |address: &Address| -> Vec<String> {
        let nodes = address.in_turn();
        nodes.map(|(_, node)| node.to_string()).collect()
    };
    let [one, two, three] =
        ["one:5672", "two:5673", "[fd00::7]:5672"].map(|host| format!("amqp://{host}/fleet"));
    for (_, node) in address.in_turn() {
        let uri = node.uri();
        assert_eq!((node.is_cluster(), &*uri.vhost), (false, "fleet"));
        assert!(address.is_cluster());
        assert_eq!(uri.authority.userinfo.password, "s3,cret");
        assert_eq!(uri.query.heartbeat, Some(20));
    }
    let clone = address.clone();
    for (place, expected) in [
        (0, [&one, &two, &three]),
        (1, [&two, &three, &one]),
        (2, [&three, &one, &two]),
    ] {
        clone.has_answered(place);
        assert_eq!(order(&address).iter().collect::<Vec<_>>(), expected);
    }
    assert_eq!(address.host_and_port(), ("fd00::7", 5672));
}

#[test]
fn programs_of_a_fleet_begin_with_different_nodes() {
    let first = || plain("amqp://one,two,three").host_and_port().0.to_owned();
    let seen: std::collections::BTreeSet<String> = (0..200).map(|_| first()).collect();
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn a_comma_without_a_host_is_refused() {
    for text in [
        "amqp://ann:s3cret@one,",
        "amqp://ann:s3cret@,one",
        "amqp://ann:s3cret@one,,two",
        "amqp://ann:s3cret@one,:5672",
    ] {
        let error = error(text);
        assert!(
            error.contains("comma") && !error.contains("s3cret"),
            "{error}"
        );
    }
}
