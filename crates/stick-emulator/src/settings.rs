//! What the environment says about the emulated host.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// How long an inference takes on a stick. The defaults are googlenet-v1 as measured on hardware:
/// 41.02 inferences per second one at a time, 92.68 when the stick always has the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// From the start of an inference to its end, on an idle stick.
    pub(crate) latency: Duration,
    /// The part of it during which the stick can serve no other inference.
    pub(crate) service: Duration,
}

impl Pace {
    /// The transfer to the stick before the service, and from it afterwards, each.
    pub(crate) fn transfer(self) -> Duration {
        self.latency.saturating_sub(self.service) / 2
    }

    pub(crate) fn slowed(self, factor: f64) -> Self {
        let slow = |time: Duration| {
            Duration::try_from_secs_f64(time.as_secs_f64() * factor).unwrap_or(Duration::MAX / 4)
        };
        Self {
            latency: slow(self.latency),
            service: slow(self.service),
        }
    }
}

/// The `STICKS…` variables.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// `STICKS`: how many there are when there is no control file, on the ports 1.1, 1.2, …
    pub(crate) count: u16,
    /// `STICKS_LATENCY_MS` and `STICKS_SERVICE_MS`.
    pub(crate) pace: Pace,
    /// `STICKS_COMPILE_MS`: for each stick a network is loaded on.
    pub(crate) compile: Duration,
    /// `STICKS_BOOT_MS`: from plugging in to being listed.
    pub(crate) boot: Duration,
    /// `STICKS_CONTROL`: the control folder.
    pub(crate) control: Option<PathBuf>,
    /// `STICKS_BACKEND`: a real `libopenvino_c.so` or its folder, to compute the scores.
    pub(crate) backend: Option<PathBuf>,
    /// `STICKS_KEEP_LOST=1`: a stick that was used and unplugged stays in the list, as with the
    /// real plugin.
    pub(crate) keep_lost: bool,
    /// `STICKS_POISON`: how an input begins that kills the process, as a little-endian word.
    pub(crate) poison: Option<u64>,
}

impl Settings {
    pub(crate) fn from_env() -> Self {
        Self::read(|name| env::var_os(name).filter(|value| !value.is_empty()))
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::read(|_| None)
    }

    /// A value that makes no sense is told on the standard error, and the default is used: a C
    /// library has no better place.
    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let milliseconds = |name: &str, default: f64| {
            let value = parsed(name, variable(name), default);
            Duration::try_from_secs_f64(value / 1000.0).unwrap_or_else(|_| {
                complain(name, &value.to_string());
                Duration::from_secs_f64(default / 1000.0)
            })
        };
        let pace = Pace {
            latency: milliseconds("STICKS_LATENCY_MS", 24.38),
            service: milliseconds("STICKS_SERVICE_MS", 10.79),
        };
        Self {
            count: parsed("STICKS", variable("STICKS"), 1),
            pace: Pace {
                latency: pace.latency.max(pace.service),
                ..pace
            },
            compile: milliseconds("STICKS_COMPILE_MS", 200.0),
            boot: milliseconds("STICKS_BOOT_MS", 2000.0),
            control: variable("STICKS_CONTROL").map(PathBuf::from),
            backend: variable("STICKS_BACKEND").map(PathBuf::from),
            keep_lost: parsed("STICKS_KEEP_LOST", variable("STICKS_KEEP_LOST"), 0u8) != 0,
            poison: variable("STICKS_POISON").and_then(|value| {
                let value = value.to_string_lossy();
                let word = <[u8; 8]>::try_from(value.as_bytes()).map(u64::from_le_bytes);
                word.inspect_err(|_| complain("STICKS_POISON", &value)).ok()
            }),
        }
    }
}

fn parsed<T: FromStr>(name: &str, value: Option<OsString>, default: T) -> T {
    let Some(value) = value else {
        return default;
    };
    let value = value.to_string_lossy();
    value.trim().parse().unwrap_or_else(|_| {
        complain(name, &value);
        default
    })
}

fn complain(name: &str, value: &str) {
    eprintln!("stick emulator: {name}={value} makes no sense, so its default is used");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_one_stick_as_measured() {
        let settings = Settings::read(|_| None);
        assert_eq!(settings.count, 1);
        assert_eq!(settings.pace.latency, Duration::from_micros(24_380));
        assert_eq!(settings.pace.transfer(), Duration::from_micros(6_795));
        assert_eq!(settings.control, None);
        assert!(!settings.keep_lost);
    }

    #[test]
    fn a_value_that_makes_no_sense_gives_way_to_the_default() {
        let settings = Settings::read(|name| match name {
            "STICKS" => Some("many".into()),
            "STICKS_BOOT_MS" => Some("-4".into()),
            "STICKS_COMPILE_MS" => Some(" 1.5 ".into()),
            _ => None,
        });
        assert_eq!(settings.count, 1);
        assert_eq!(settings.boot, Duration::from_secs(2));
        assert_eq!(settings.compile, Duration::from_micros(1_500));
    }

    #[test]
    fn a_poison_has_8_bytes() {
        let poison = |text: &str| {
            let value = Some(text.into());
            Settings::read(|name| (name == "STICKS_POISON").then(|| value.clone()).flatten()).poison
        };
        assert_eq!(
            poison("\u{1}\0\0\0\0\0\0\u{2}"),
            Some(0x0200_0000_0000_0001)
        );
        assert_eq!(poison("short"), None);
    }

    #[test]
    fn an_inference_takes_at_least_its_service_time() {
        let settings = Settings::read(|name| (name == "STICKS_SERVICE_MS").then(|| "30".into()));
        assert_eq!(settings.pace.latency, Duration::from_millis(30));
        assert_eq!(settings.pace.transfer(), Duration::ZERO);
    }
}
