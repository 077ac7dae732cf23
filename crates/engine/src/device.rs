//! Which devices to use, and the one name OpenVINO knows them by together.

use std::fmt;
use std::str::FromStr;

use crate::EngineError;

/// A device as OpenVINO lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// `CPU`, `GPU.0`, `MYRIAD` (a single stick), `MYRIAD.1.2-ma2480` (one of several).
    pub name: String,
    /// What the device calls itself, such as `Intel Movidius Myriad X VPU`, if it says.
    pub full_name: Option<String>,
}

impl Device {
    /// Whether it is a Neural Compute Stick.
    #[must_use]
    pub fn is_stick(&self) -> bool {
        is_stick(&self.name)
    }
}

/// Whether a device of this name is a Neural Compute Stick: `MYRIAD` or `MYRIAD.<usb port>-ma2480`.
#[must_use]
pub fn is_stick(name: &str) -> bool {
    name.strip_prefix(STICK)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

const STICK: &str = "MYRIAD";
const MULTI: &str = "MULTI:";

/// What the user wants to run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceChoice {
    /// `auto`: all sticks, else the CPU.
    Auto,
    /// `sticks`: all sticks, and nothing else.
    Sticks,
    /// A device by its OpenVINO name, or several: `GPU`, `MULTI:CPU,GPU`, `HETERO:GPU,CPU`.
    /// OpenVINO's own choosing device is reached as `AUTO:GPU,CPU`, since a bare `auto` in any case
    /// is [`DeviceChoice::Auto`].
    Named(String),
}

/// The devices a network is compiled for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name for OpenVINO: `MYRIAD`, or `MULTI:MYRIAD.1.1-ma2480,MYRIAD.1.2-ma2480`.
    pub device: String,
    /// The devices behind the name, one for each that infers at the same time as the others.
    pub members: Vec<String>,
    /// `auto` found no stick and took the CPU: worth a warning.
    pub fallback: bool,
    /// Devices that were named in a `MULTI:` list and are not there (any more): worth a warning.
    pub missing: Vec<String>,
}

impl DeviceChoice {
    /// The target among the devices there are now.
    ///
    /// One device goes by its own name, two or more as `MULTI:<a>,<b>` in the order they are
    /// listed. A `MULTI:` list that is named goes on with the devices of it that are there, so that
    /// a network can be rebuilt over the sticks that are left. `HETERO:`, `AUTO:` and `BATCH:` are
    /// passed as they are and count as one device.
    ///
    /// # Errors
    ///
    /// [`EngineError::NoDevice`] where none of what was asked for is there, with what there is;
    /// [`EngineError::DeviceName`] for a name that can never be one.
    pub fn resolve(&self, found: &[Device]) -> Result<Target, EngineError> {
        let mut sticks: Vec<String> = Vec::new();
        for stick in found.iter().filter(|device| device.is_stick()) {
            // One that was lost and came back is listed twice: see `Runtime::devices`.
            if !sticks.contains(&stick.name) {
                sticks.push(stick.name.clone());
            }
        }
        match self {
            Self::Auto | Self::Sticks if !sticks.is_empty() => Ok(Target::over(sticks)),
            Self::Auto if found.iter().any(|device| device.name == "CPU") => Ok(Target {
                fallback: true,
                ..Target::over(vec!["CPU".to_owned()])
            }),
            Self::Auto | Self::Sticks => Err(self.not_found(found, PLUG_IN)),
            Self::Named(name) => self.resolve_name(name, found),
        }
    }

    fn resolve_name(&self, name: &str, found: &[Device]) -> Result<Target, EngineError> {
        let bad = |reason| EngineError::DeviceName {
            name: name.to_owned(),
            reason,
        };
        // Both would end a C string or a command line in silence.
        if name.trim().is_empty() || name.contains('\0') {
            return Err(bad(
                "expected auto, sticks, or a device such as CPU or MULTI:CPU,GPU",
            ));
        }
        let Some(list) = name.strip_prefix(MULTI) else {
            if name == "MULTI" {
                return Err(bad("name the devices too, as in MULTI:CPU,GPU"));
            }
            if name.contains(':') {
                return Ok(Target {
                    device: name.to_owned(),
                    ..Target::over(vec![name.to_owned()])
                });
            }
            let member = find(name, found).ok_or_else(|| self.not_found(found, PICK))?;
            return Ok(Target::over(vec![member]));
        };

        // `CPU(2)` limits a device to 2 requests; its name is `CPU`.
        let listed = || {
            list.split(',')
                .map(|item| item.split('(').next().unwrap_or(item).trim())
        };
        let (mut members, mut missing) = (Vec::new(), Vec::new());
        for wanted in listed() {
            if wanted.is_empty() {
                return Err(bad(
                    "expected a device between the commas, as in MULTI:CPU,GPU",
                ));
            }
            match find(wanted, found) {
                Some(member) if members.contains(&member) => {}
                Some(member) => members.push(member),
                None => missing.push(wanted.to_owned()),
            }
        }
        if members.is_empty() {
            return Err(self.not_found(found, PICK));
        }
        // As it was given where that is possible, so with its limits.
        let as_given = listed().eq(members.iter().map(String::as_str));
        let device = if as_given {
            name.to_owned()
        } else {
            name_together(&members)
        };
        Ok(Target {
            device,
            missing,
            ..Target::over(members)
        })
    }

    fn not_found(&self, found: &[Device], remedy: &'static str) -> EngineError {
        let names: Vec<&str> = found.iter().map(|device| device.name.as_str()).collect();
        let found = if names.is_empty() {
            "no device at all".to_owned()
        } else {
            names.join(", ")
        };
        EngineError::NoDevice {
            wanted: self.to_string(),
            found,
            remedy,
        }
    }
}

const PLUG_IN: &str = "plug in a Neural Compute Stick and check that OpenVINO 2022.3 with its \
                       MYRIAD plugin is in use, or choose another device";
const PICK: &str = "choose one of those";

/// The listed device that `wanted` stands for. OpenVINO takes `GPU` for `GPU.0`; and a stick that
/// was one of several is listed as plain `MYRIAD` once it is the only one left.
fn find(wanted: &str, found: &[Device]) -> Option<String> {
    let listed = |name: &str| found.iter().any(|device| device.name == name);
    let family = format!("{wanted}.");
    if listed(wanted) || found.iter().any(|device| device.name.starts_with(&family)) {
        Some(wanted.to_owned())
    } else if is_stick(wanted) && listed(STICK) {
        Some(STICK.to_owned())
    } else {
        None
    }
}

fn name_together(members: &[String]) -> String {
    match members {
        [only] => only.clone(),
        several => format!("{MULTI}{}", several.join(",")),
    }
}

impl Target {
    /// These devices: one by its own name, several as `MULTI:`.
    #[must_use]
    pub fn over(members: Vec<String>) -> Self {
        let device = name_together(&members);
        Self {
            device,
            members,
            fallback: false,
            missing: Vec::new(),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        match text.trim() {
            choice if choice.eq_ignore_ascii_case("auto") => Ok(Self::Auto),
            choice if choice.eq_ignore_ascii_case("sticks") => Ok(Self::Sticks),
            name if name.is_empty() || name.contains('\0') => Err(EngineError::DeviceName {
                name: name.to_owned(),
                reason: "expected auto, sticks, or a device such as CPU or MULTI:CPU,GPU",
            }),
            name => Ok(Self::Named(name.to_owned())),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Sticks => "sticks",
            Self::Named(name) => name,
        })
    }
}

#[cfg(test)]
mod tests;
