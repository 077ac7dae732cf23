//! What a model wants done with the pixels.

use std::fmt;
use std::str::FromStr;

use crate::{Element, InputSpec, PreprocessingError};

/// The order of a pixel's three channels in the model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ColorOrder {
    /// Blue first, as models from Caffe want it, googlenet-v1 among them.
    #[default]
    Bgr,
    /// Red first, as models from `PyTorch` and `TensorFlow` want it.
    Rgb,
}

impl FromStr for ColorOrder {
    type Err = PreprocessingError;

    fn from_str(text: &str) -> Result<Self, PreprocessingError> {
        match text.to_ascii_lowercase().as_str() {
            "bgr" => Ok(Self::Bgr),
            "rgb" => Ok(Self::Rgb),
            _ => Err(PreprocessingError(format!(
                "bad colour order {text:?}, expected bgr or rgb"
            ))),
        }
    }
}

impl fmt::Display for ColorOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bgr => "bgr",
            Self::Rgb => "rgb",
        })
    }
}

/// What becomes of a pixel's channel: `(value - mean) / scale`, value being 0 to 255.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Preprocessing {
    /// The order of the channels. Without meaning for grey models.
    pub color_order: ColorOrder,
    /// Empty (0), one value for all channels, or one per channel in the model's order.
    pub mean: Vec<f32>,
    /// Empty (1), one value for all channels, or one per channel in the model's order.
    pub scale: Vec<f32>,
}

impl Preprocessing {
    /// Mean and scale for each channel of `input`.
    pub(crate) fn per_channel(
        self,
        input: &InputSpec,
    ) -> Result<Vec<(f32, f32)>, PreprocessingError> {
        let bad = |reason: String| Err(PreprocessingError(reason));
        if input.element == Element::U8 && !(self.mean.is_empty() && self.scale.is_empty()) {
            return bad(format!(
                "mean and scale cannot be kept in the bytes of {input}; leave them out, or convert \
                 the model with an f32 input"
            ));
        }
        if self
            .scale
            .iter()
            .any(|&scale| scale == 0.0 || !scale.is_finite())
        {
            return bad(format!("scale {:?} must be finite and not 0", self.scale));
        }
        if self.mean.iter().any(|mean| !mean.is_finite()) {
            return bad(format!("mean {:?} must be finite", self.mean));
        }
        let mean = spread("mean", self.mean, 0.0, input)?;
        let scale = spread("scale", self.scale, 1.0, input)?;
        Ok(mean.into_iter().zip(scale).collect())
    }
}

fn spread(
    name: &str,
    values: Vec<f32>,
    default: f32,
    input: &InputSpec,
) -> Result<Vec<f32>, PreprocessingError> {
    match *values.as_slice() {
        [] => Ok(vec![default; input.channels]),
        [one] => Ok(vec![one; input.channels]),
        _ if values.len() == input.channels => Ok(values),
        _ => Err(PreprocessingError(format!(
            "{name} has {} values, expected none, one, or one for each of the {} channels of {input}",
            values.len(),
            input.channels
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layout;

    fn input(channels: usize, element: Element) -> InputSpec {
        InputSpec {
            layout: Layout::Nchw,
            channels,
            height: 2,
            width: 2,
            element,
        }
    }

    fn per_channel(
        mean: &[f32],
        scale: &[f32],
        input: InputSpec,
    ) -> Result<Vec<(f32, f32)>, String> {
        let preprocessing = Preprocessing {
            mean: mean.to_vec(),
            scale: scale.to_vec(),
            ..Preprocessing::default()
        };
        preprocessing
            .per_channel(&input)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_spread_over_the_channels() {
        let color = input(3, Element::F32);
        assert_eq!(per_channel(&[], &[], color), Ok(vec![(0.0, 1.0); 3]));
        assert_eq!(per_channel(&[7.0], &[], color), Ok(vec![(7.0, 1.0); 3]));
        let each = Ok(vec![(1.0, 4.0), (2.0, 4.0), (3.0, 4.0)]);
        assert_eq!(per_channel(&[1.0, 2.0, 3.0], &[4.0], color), each);
    }

    #[test]
    fn values_that_do_not_fit_are_refused_with_a_remedy() {
        let color = input(3, Element::F16);
        assert!(
            per_channel(&[1.0, 2.0], &[], color)
                .unwrap_err()
                .contains("mean has 2 values")
        );
        assert!(
            per_channel(&[], &[0.0], color)
                .unwrap_err()
                .contains("not 0")
        );
        assert!(
            per_channel(&[f32::NAN], &[], color)
                .unwrap_err()
                .contains("finite")
        );
        let bytes = per_channel(&[104.0], &[], input(3, Element::U8)).unwrap_err();
        assert!(
            bytes.contains("leave them out, or convert the model with an f32"),
            "{bytes}"
        );
    }

    #[test]
    fn the_color_order_reads_back_as_it_is_shown() {
        assert_eq!("BGR".parse::<ColorOrder>().ok(), Some(ColorOrder::Bgr));
        assert_eq!(
            ColorOrder::Rgb.to_string().parse::<ColorOrder>().ok(),
            Some(ColorOrder::Rgb)
        );
        assert!("gbr".parse::<ColorOrder>().is_err());
    }
}
