//! Names of devices, as 2022.3 gives and takes them.

/// What a stick calls itself.
pub(crate) const FULL_NAME: &str = "Intel Movidius Myriad X VPU";

const PLUGIN: &str = "MYRIAD";
const CHIP: &str = "-ma2480";
const MULTI: &str = "MULTI:";

/// What follows `MYRIAD.` in the name of the stick on this port.
pub(crate) fn id(port: &str) -> String {
    format!("{port}{CHIP}")
}

/// The names of the sticks on these ports: a single one goes by the name of its plugin.
pub(crate) fn names(ports: &[String]) -> Vec<String> {
    match ports {
        [_] => vec![PLUGIN.to_owned()],
        several => several
            .iter()
            .map(|port| format!("{PLUGIN}.{}", id(port)))
            .collect(),
    }
}

/// A name that means one stick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StickName {
    /// `MYRIAD`: one that is free.
    Any,
    /// `MYRIAD.1.2-ma2480`, by its port.
    At(String),
}

impl StickName {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(PLUGIN)?;
        if rest.is_empty() {
            return Some(Self::Any);
        }
        let port = rest.strip_prefix('.')?.strip_suffix(CHIP)?;
        Some(Self::At(port.to_owned()))
    }
}

/// What a network is compiled for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// At least one.
    pub(crate) members: Vec<StickName>,
}

impl Target {
    /// One stick, or `MULTI:` with a list. A limit such as the one in `MYRIAD.1.2-ma2480(4)` is read
    /// over: what is beyond it waits for the stick on the host instead of in the stick's queue, and
    /// that takes as long.
    pub(crate) fn parse(device: &str) -> Option<Self> {
        let Some(list) = device.strip_prefix(MULTI) else {
            let members = vec![StickName::parse(device)?];
            return Some(Self { members });
        };
        let member = |item: &str| {
            let name = match item.split_once('(') {
                None => item,
                Some((name, limit)) => {
                    let limit: u32 = limit.strip_suffix(')')?.parse().ok()?;
                    (limit > 0).then_some(name)?
                }
            };
            StickName::parse(name)
        };
        let members = list.split(',').map(member).collect::<Option<Vec<_>>>()?;
        Some(Self { members })
    }
}

/// Whether `set_property` knows this device.
pub(crate) fn is_known(device: &str) -> bool {
    matches!(device, "MULTI" | "AUTO") || StickName::parse(device).is_some()
}

/// Whether the plugin takes this key in `set_property`. What it is set to makes no difference here.
pub(crate) fn is_settable(key: &str) -> bool {
    const KEYS: &[&str] = &[
        "PERFORMANCE_HINT",
        "PERFORMANCE_HINT_NUM_REQUESTS",
        "NUM_STREAMS",
        "LOG_LEVEL",
        "PERF_COUNT",
        "EXCLUSIVE_ASYNC_REQUESTS",
        "CONFIG_FILE",
        "DEVICE_ID",
        "MULTI_DEVICE_PRIORITIES",
    ];
    KEYS.contains(&key) || key.starts_with("MYRIAD_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: &str) -> StickName {
        StickName::At(port.to_owned())
    }

    #[test]
    fn one_stick_has_the_name_of_the_plugin_and_several_that_of_their_ports() {
        let ports = ["1.1".to_owned(), "1.2".to_owned()];
        assert_eq!(names(&[]), [""; 0]);
        assert_eq!(names(&ports[..1]), ["MYRIAD"]);
        assert_eq!(names(&ports), ["MYRIAD.1.1-ma2480", "MYRIAD.1.2-ma2480"]);
    }

    #[test]
    fn a_target_is_one_stick_or_a_list() {
        let parse = |device| Target::parse(device).map(|target| target.members);
        assert_eq!(parse("MYRIAD"), Some(vec![StickName::Any]));
        assert_eq!(parse("MYRIAD.1.1-ma2480"), Some(vec![at("1.1")]));
        assert_eq!(
            parse("MULTI:MYRIAD.1.1-ma2480(4),MYRIAD.1.10-ma2480"),
            Some(vec![at("1.1"), at("1.10")])
        );
        for odd in [
            "",
            "CPU",
            "MULTI",
            "MULTI:",
            "MULTI:CPU",
            "MYRIADS",
            "MYRIAD.1.1",
            "MULTI:MYRIAD(0)",
            "MULTI:MYRIAD(x)",
            "MULTI:MYRIAD,",
            "AUTO:MYRIAD",
        ] {
            assert_eq!(parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_plugin_takes_its_own_keys() {
        assert!(is_settable("PERFORMANCE_HINT"));
        assert!(is_settable("MYRIAD_THROUGHPUT_STREAMS"));
        assert!(!is_settable("INFERENCE_PRECISION_HINT"));
        assert!(is_known("MYRIAD") && is_known("MULTI") && !is_known("GPU"));
    }
}
