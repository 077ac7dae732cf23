//! A size in pixels, as the command line says it.

use std::fmt;
use std::str::FromStr;

/// The longest side that is made up, or made of an image.
const MAX_SIDE: u32 = 8192;

/// An image's size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Size {
    /// Both sides, for what counts in memory.
    pub(super) const fn sides(self) -> (usize, usize) {
        (self.width as usize, self.height as usize)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let side = |text: &str| {
            text.parse()
                .ok()
                .filter(|side| (1..=MAX_SIDE).contains(side))
        };
        text.split_once(['x', 'X'])
            .and_then(|(width, height)| {
                Some(Self {
                    width: side(width)?,
                    height: side(height)?,
                })
            })
            .ok_or_else(|| format!("expected a size such as 640x480, each side up to {MAX_SIDE}"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_nonsense_is_refused() {
        let size = Size {
            width: 640,
            height: 480,
        };
        assert_eq!("640x480".parse(), Ok(size));
        assert_eq!(size.to_string().parse(), Ok(size));
        for wrong in ["640", "0x5", "640x", "axb", "9000x1", "-1x5"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}
