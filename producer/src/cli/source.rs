//! The options for where images come from, and what becomes of them before they are sent.

use crate::source::{MAX_SENT_BYTES, Preparation, Size};
use clap::Args;
use ncs_image::{ColorOrder, Element, InputSpec, Layout, Preprocessing};
use std::path::PathBuf;
use std::str::FromStr;

/// Where the images come from.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// A folder of JPEG, PNG, BMP or WebP images (or of ready *.tensor files), sent in turn
    #[arg(long, value_name = "DIR", required_unless_present_any = ["files_from", "synthetic"],
          conflicts_with_all = ["files_from", "synthetic"])]
    pub images: Option<PathBuf>,
    /// A list of such files, one path per line; - for standard input
    #[arg(long, value_name = "FILE|-", conflicts_with = "synthetic")]
    pub files_from: Option<PathBuf>,
    /// In the list of --files-from, paths end with NUL, as find -print0 writes them
    #[arg(short = '0', long, conflicts_with_all = ["images", "synthetic"])]
    pub null: bool,
    /// Made-up JPEG photos of this size
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub synthetic: Option<Size>,
    /// Other photos of --synthetic for each number
    #[arg(long, default_value_t = 0, value_name = "N",
          conflicts_with_all = ["images", "files_from"])]
    pub seed: u64,
}

/// What becomes of an image before it is sent.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Preparing images")]
pub struct PrepareArgs {
    /// Send images as they are (original), as JPEGs stretched to the network's size where they are
    /// larger (224 or 320x240), or as the network's input tensor (tensor)
    #[arg(long, default_value = "original", value_name = "original|N|WxH|tensor")]
    pub prepare: Way,
    /// Of --prepare tensor: the network's input in pixels [default: 224x224]
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub input_size: Option<Size>,
    /// Of --prepare tensor: the order of its axes, nchw or nhwc [default: nchw]
    #[arg(long, value_name = "LAYOUT")]
    pub input_layout: Option<Layout>,
    /// Of --prepare tensor: its values, u8, f16 or f32 [default: f32]
    #[arg(long, value_name = "TYPE")]
    pub input_type: Option<Element>,
    /// Of --prepare tensor: 3 for colour, 1 for grey [default: 3]
    #[arg(long, value_name = "N", value_parser = parse_channels)]
    pub input_channels: Option<usize>,
    /// Of --prepare tensor: the order of the channels, bgr or rgb [default: bgr]
    #[arg(long, value_name = "ORDER")]
    pub color_order: Option<ColorOrder>,
    /// Of --prepare tensor: subtracted from each pixel, one value, or one per channel [default: 0]
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "M[,M,M]",
        allow_negative_numbers = true
    )]
    pub mean: Vec<f32>,
    /// Of --prepare tensor: then divides it, one value, or one per channel [default: 1]
    #[arg(long, value_delimiter = ',', value_name = "S[,S,S]")]
    pub scale: Vec<f32>,
}

/// The value of `--prepare`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As it is.
    Original,
    /// Stretched to this size.
    Shrink(Size),
    /// The input tensor.
    Tensor,
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "original" => return Ok(Self::Original),
            "tensor" => return Ok(Self::Tensor),
            _ => {}
        }
        let size = if text.contains(['x', 'X']) {
            text.parse().ok()
        } else {
            format!("{text}x{text}").parse().ok()
        };
        size.filter(|size| is_sensible(*size)).map(Self::Shrink).ok_or_else(|| {
            format!(
                "expected original, tensor, or the network's size such as 224 or 320x240, each side \
                 up to {MAX_SIDE}"
            )
        })
    }
}

/// The longest side of a network's input.
const MAX_SIDE: u32 = 4096;

fn is_sensible(size: Size) -> bool {
    size.width.max(size.height) <= MAX_SIDE
}

fn parse_channels(text: &str) -> Result<usize, String> {
    match text {
        "3" => Ok(3),
        "1" => Ok(1),
        _ => Err("expected 3 (colour) or 1 (grey)".to_owned()),
    }
}

impl PrepareArgs {
    /// What is to be done with each image.
    ///
    /// # Errors
    /// When options of one way are given with another, or a tensor would not fit into a message.
    pub fn preparation(&self) -> anyhow::Result<Preparation> {
        if self.prepare == Way::Tensor {
            return self.tensor();
        }
        if let Some(option) = self.tensor_option() {
            anyhow::bail!("{option} is for --prepare tensor only; leave it out, or add that");
        }
        Ok(match self.prepare {
            Way::Shrink(size) => Preparation::Shrink(size),
            _ => Preparation::Original,
        })
    }

    fn tensor(&self) -> anyhow::Result<Preparation> {
        let size = self.input_size.unwrap_or(Size {
            width: 224,
            height: 224,
        });
        let input = InputSpec {
            layout: self.input_layout.unwrap_or(Layout::Nchw),
            channels: self.input_channels.unwrap_or(3),
            height: size.height as usize,
            width: size.width as usize,
            element: self.input_type.unwrap_or(Element::F32),
        };
        anyhow::ensure!(
            is_sensible(size) && input.byte_len() <= MAX_SENT_BYTES,
            "a tensor {input} does not fit into a message; send images with --prepare {size}"
        );
        let preprocessing = Preprocessing {
            color_order: self.color_order.unwrap_or_default(),
            mean: self.mean.clone(),
            scale: self.scale.clone(),
        };
        Ok(Preparation::Tensor(input, preprocessing))
    }

    /// An option that was given, and has a meaning for tensors only.
    fn tensor_option(&self) -> Option<&'static str> {
        [
            ("--input-size", self.input_size.is_some()),
            ("--input-layout", self.input_layout.is_some()),
            ("--input-type", self.input_type.is_some()),
            ("--input-channels", self.input_channels.is_some()),
            ("--color-order", self.color_order.is_some()),
            ("--mean", !self.mean.is_empty()),
            ("--scale", !self.scale.is_empty()),
        ]
        .into_iter()
        .find_map(|(name, is_given)| is_given.then_some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        source: SourceArgs,
        #[command(flatten)]
        prepare: PrepareArgs,
    }

    fn parse(line: &str) -> Result<Line, clap::Error> {
        Line::try_parse_from(std::iter::once("flood").chain(line.split_whitespace()))
    }

    fn preparation(line: &str) -> Result<Preparation, String> {
        let line = parse(&format!("--images d {line}")).map_err(|error| error.to_string())?;
        let preparation = line.prepare.preparation();
        preparation.map_err(|error| error.to_string())
    }

    #[test]
    fn images_come_from_one_source() {
        for right in [
            "--images d",
            "--files-from -",
            "--files-from l -0",
            "--files-from l --null",
            "--synthetic 64x64",
            "--synthetic 64x64 --seed 3",
        ] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "--images d --files-from -",
            "--images d --synthetic 64x64",
            "--files-from l --synthetic 64x64",
            "--images d --null",
            "--images d --seed 3",
            "--seed 3",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ways_to_prepare_are_a_name_or_a_size() {
        assert_eq!(preparation(""), Ok(Preparation::Original));
        assert_eq!(preparation("--prepare original"), Ok(Preparation::Original));
        for (text, size) in [
            ("224", "224x224"),
            ("4096", "4096x4096"),
            ("320x240", "320x240"),
        ] {
            let shrink = Preparation::Shrink(size.parse().unwrap());
            assert_eq!(preparation(&format!("--prepare {text}")), Ok(shrink));
        }
        for wrong in ["0", "4097", "224x", "8x4097", "-1", "small", ""] {
            let error = preparation(&format!("--prepare={wrong}")).unwrap_err();
            assert!(
                error.contains("--prepare") && error.contains("320x240"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_tensor_is_described_by_its_options() {
        let told = |line: &str| match preparation(line) {
            Ok(Preparation::Tensor(input, preprocessing)) => Ok((input.to_string(), preprocessing)),
            other => Err(format!("{other:?}")),
        };
        let (input, preprocessing) = told("--prepare tensor").unwrap();
        assert_eq!(input, "[1, 3, 224, 224] f32 NCHW");
        assert_eq!(preprocessing, Preprocessing::default());
        let (input, preprocessing) = told(
            "--prepare tensor --input-size 32x24 --input-layout NHWC --input-type f16 \
             --input-channels 1 --color-order rgb --mean=-1,2.5 --scale 3",
        )
        .unwrap();
        assert_eq!(input, "[1, 24, 32, 1] f16 NHWC");
        let expected = Preprocessing {
            color_order: ColorOrder::Rgb,
            mean: vec![-1.0, 2.5],
            scale: vec![3.0],
        };
        assert_eq!(preprocessing, expected);
        for wrong in [
            "--input-layout chw",
            "--input-type i32",
            "--input-channels 4",
        ] {
            let error = told(&format!("--prepare tensor {wrong}")).unwrap_err();
            assert!(error.contains("expected"), "{error}");
        }
    }

    #[test]
    fn options_of_a_tensor_need_one() {
        for option in [
            "--input-size 8x8",
            "--input-layout nhwc",
            "--input-type u8",
            "--input-channels 1",
            "--color-order rgb",
            "--mean 1",
            "--scale 2",
        ] {
            let error = preparation(&format!("--prepare 224 {option}")).unwrap_err();
            let name = option.split(' ').next().unwrap();
            assert!(
                error.starts_with(name) && error.contains("--prepare tensor"),
                "{error}"
            );
            assert!(preparation(&format!("--prepare tensor {option}")).is_ok());
        }
    }

    #[test]
    fn a_tensor_that_fits_into_no_message_is_refused_with_a_remedy() {
        let error = preparation("--prepare tensor --input-size 2048x2048").unwrap_err();
        assert!(
            error.contains("send images with --prepare 2048x2048"),
            "{error}"
        );
    }
}
