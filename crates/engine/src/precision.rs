//! The precision that a device computes in.

use std::fmt;
use std::str::FromStr;

/// The precision that a device computes in, where it has a choice.
///
/// A CPU with AMX computes in bfloat16 by default, which is several times faster than f32, rounds
/// differently, and so may give an image on the edge between two classes another one than a host
/// without AMX gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits: the same on every CPU.
    F32,
    /// 16 bits: what GPUs like.
    F16,
    /// 16 bits with the range of 32: what CPUs with AMX like.
    Bf16,
}

impl Precision {
    /// As OpenVINO spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::F32, Self::F16, Self::Bf16]
            .into_iter()
            .find(|precision| precision.as_str() == text)
            .ok_or_else(|| format!("'{text}' is no precision; expected f32, f16 or bf16"))
    }
}
