//! One service of a merged compose file.

use std::time::Duration;

use serde_json::Value;

pub(crate) struct Service<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a Value,
}

/// A port of the container, and where the host has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Port<'a> {
    pub(crate) inside: u64,
    pub(crate) published: &'a str,
    pub(crate) address: &'a str,
}

impl<'a> Service<'a> {
    pub(crate) fn text(&self, key: &str) -> &'a str {
        self.value[key].as_str().unwrap_or_default()
    }

    pub(crate) fn list(&self, key: &str) -> Vec<&'a str> {
        texts(&self.value[key])
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.text("image").starts_with("ncs-fleet/")
    }

    /// The stage that its image is built from, by this service or by another one.
    pub(crate) fn stage(&self) -> &'a str {
        let name = self.text("image").trim_start_matches("ncs-fleet/");
        name.split(':').next().unwrap_or_default()
    }

    pub(crate) fn build(&self) -> Option<&'a Value> {
        self.value.get("build")
    }

    pub(crate) fn health_test(&self) -> Vec<&'a str> {
        texts(&self.value["healthcheck"]["test"])
    }

    /// Those that are set. One without a value is the user's, from `.env`.
    pub(crate) fn environment(&self) -> Vec<(&'a str, &'a str)> {
        let variables = self.value["environment"].as_object();
        variables
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
            .collect()
    }

    pub(crate) fn variable(&self, name: &str) -> &'a str {
        self.value["environment"][name].as_str().unwrap_or_default()
    }

    pub(crate) fn ports(&self) -> Vec<Port<'a>> {
        let ports = self.value["ports"].as_array();
        ports
            .into_iter()
            .flatten()
            .map(|port| Port {
                inside: port["target"].as_u64().expect("a port"),
                published: port["published"].as_str().expect("a port"),
                address: port["host_ip"].as_str().unwrap_or_default(),
            })
            .collect()
    }

    /// Host paths, and where the container sees them.
    pub(crate) fn bind_mounts(&self) -> Vec<(&'a str, &'a str)> {
        self.volumes("bind")
    }

    /// Named volumes, and where the container sees them.
    pub(crate) fn named_volumes(&self) -> Vec<(&'a str, &'a str)> {
        self.volumes("volume")
    }

    fn volumes(&self, kind: &str) -> Vec<(&'a str, &'a str)> {
        let volumes = self.value["volumes"].as_array();
        volumes
            .into_iter()
            .flatten()
            .filter(|volume| volume["type"] == kind)
            .map(|volume| {
                let text = |key: &str| volume[key].as_str().expect("a path");
                (text("source"), text("target"))
            })
            .collect()
    }

    pub(crate) fn stop_grace(&self) -> Duration {
        go_duration(self.text("stop_grace_period"))
    }
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array();
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// `1m0s`, as Go writes it. What is missing is what Docker takes: 10 s.
fn go_duration(text: &str) -> Duration {
    if text.is_empty() {
        return Duration::from_secs(10);
    }
    let mut seconds = 0;
    let mut number = 0;
    for character in text.chars() {
        match (character, character.to_digit(10)) {
            (_, Some(digit)) => number = 10 * number + u64::from(digit),
            ('h', _) => seconds += 3600 * std::mem::take(&mut number),
            ('m', _) => seconds += 60 * std::mem::take(&mut number),
            ('s', _) => seconds += std::mem::take(&mut number),
            _ => panic!("{text:?} is no time of whole seconds"),
        }
    }
    Duration::from_secs(seconds)
}

#[test]
fn times_are_read_as_go_writes_them() {
    assert_eq!(go_duration("1m0s"), Duration::from_secs(60));
    assert_eq!(go_duration("1h1m1s"), Duration::from_secs(3661));
    assert_eq!(go_duration(""), Duration::from_secs(10));
}
