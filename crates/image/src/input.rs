//! The model's single input: its shape, layout and element size.

use std::fmt;
use std::str::FromStr;

/// The order of the axes of an image tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[1, C, H, W]`: one plane per channel.
    Nchw,
    /// `[1, H, W, C]`: pixels with their channels side by side.
    Nhwc,
}

/// How one value is stored, told by its size alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// One byte, 0 to 255.
    U8,
    /// IEEE half precision.
    F16,
    /// IEEE single precision.
    F32,
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "nchw" => Ok(Self::Nchw),
            "nhwc" => Ok(Self::Nhwc),
            _ => Err(format!("bad layout {text:?}, expected nchw or nhwc")),
        }
    }
}

impl FromStr for Element {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "u8" => Ok(Self::U8),
            "f16" => Ok(Self::F16),
            "f32" => Ok(Self::F32),
            _ => Err(format!(
                "bad element type {text:?}, expected u8, f16 or f32"
            )),
        }
    }
}

impl Element {
    /// The size of one value in bytes.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// The model's input: one image of `height` × `width` pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputSpec {
    /// The order of the axes.
    pub layout: Layout,
    /// 3 (colour) or 1 (grey).
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels per row.
    pub width: usize,
    /// How one value is stored.
    pub element: Element,
}

impl InputSpec {
    /// The size of the whole tensor in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.channels * self.height * self.width * self.element.size()
    }
}

impl fmt::Display for InputSpec {
    /// `[1, 3, 224, 224] f32 NCHW`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            channels,
            height,
            width,
            ..
        } = self;
        let element = match self.element {
            Element::U8 => "u8",
            Element::F16 => "f16",
            Element::F32 => "f32",
        };
        match self.layout {
            Layout::Nchw => write!(f, "[1, {channels}, {height}, {width}] {element} NCHW"),
            Layout::Nhwc => write!(f, "[1, {height}, {width}, {channels}] {element} NHWC"),
        }
    }
}
