//! Reading a model: of an IR's `.xml`, the inputs and outputs with their shapes and element types.

use std::fs;

use roxmltree::{Document, Node};

/// An element type that a tensor of a classifier may have, with its number in 2022.3's
/// `ov_element_type_e`. The numbers of later releases are others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    Boolean = 2,
    Bf16 = 3,
    F16 = 4,
    F32 = 5,
    F64 = 6,
    I8 = 8,
    I16 = 9,
    I32 = 10,
    I64 = 11,
    U8 = 14,
    U16 = 15,
    U32 = 16,
    U64 = 17,
}

impl Element {
    /// By its name in `element_type` of a Parameter (`f32`) or in `precision` of a port (`FP32`).
    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "boolean" | "bool" => Self::Boolean,
            "bf16" => Self::Bf16,
            "f16" | "fp16" => Self::F16,
            "f32" | "fp32" => Self::F32,
            "f64" | "fp64" => Self::F64,
            "i8" => Self::I8,
            "i16" => Self::I16,
            "i32" => Self::I32,
            "i64" => Self::I64,
            "u8" => Self::U8,
            "u16" => Self::U16,
            "u32" => Self::U32,
            "u64" => Self::U64,
            _ => return None,
        })
    }

    pub(crate) fn size(self) -> usize {
        match self {
            Self::Boolean | Self::I8 | Self::U8 => 1,
            Self::Bf16 | Self::F16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }
}

/// An input or an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) element: Element,
    /// `None` is a dimension that is not fixed.
    pub(crate) shape: Vec<Option<usize>>,
}

impl Port {
    pub(crate) fn is_dynamic(&self) -> bool {
        self.shape.contains(&None)
    }

    /// The number of elements. `None` if it is dynamic, or more than memory could hold.
    pub(crate) fn elements(&self) -> Option<usize> {
        let product =
            |product: usize, dimension: &Option<usize>| product.checked_mul((*dimension)?);
        self.shape.iter().try_fold(1, product)
    }

    pub(crate) fn byte_len(&self) -> Option<usize> {
        self.elements()?.checked_mul(self.element.size())
    }
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
    /// The file it was read from.
    pub(crate) path: String,
}

impl Model {
    pub(crate) fn is_dynamic(&self) -> bool {
        self.inputs
            .iter()
            .chain(&self.outputs)
            .any(Port::is_dynamic)
    }

    /// Reads an IR from its file.
    ///
    /// # Errors
    ///
    /// A sentence about why it is none.
    pub(crate) fn read(path: &str) -> Result<Self, String> {
        let xml = fs::read_to_string(path).map_err(|error| error.to_string())?;
        Ok(Self {
            path: path.to_owned(),
            ..Self::parse(&xml)?
        })
    }

    fn parse(xml: &str) -> Result<Self, String> {
        let document = Document::parse(xml).map_err(|error| error.to_string())?;
        let net = document.root_element();
        if !net.has_tag_name("net") {
            return Err(format!(
                "the root is {}, expected net",
                net.tag_name().name()
            ));
        }
        let layers = child(net, "layers").ok_or("it has no layers")?;
        let of_type = |kind: &'static str| {
            let layers = layers.children().filter(|node| node.has_tag_name("layer"));
            layers.filter(move |layer| layer.attribute("type") == Some(kind))
        };
        let model = Self {
            path: String::new(),
            inputs: of_type("Parameter").map(input).collect::<Result<_, _>>()?,
            outputs: of_type("Result").map(output).collect::<Result<_, _>>()?,
        };
        if model.outputs.is_empty() {
            return Err("it has no Result".to_owned());
        }
        Ok(model)
    }
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|node| node.has_tag_name(name))
}

fn unusable(layer: Node<'_, '_>, what: &str) -> String {
    format!("layer {} {what}", layer.attribute("name").unwrap_or("?"))
}

fn input(layer: Node<'_, '_>) -> Result<Port, String> {
    let data = child(layer, "data").ok_or_else(|| unusable(layer, "has no data"))?;
    let element = data.attribute("element_type").and_then(Element::named);
    let shape = data.attribute("shape").unwrap_or_default();
    let dimensions = shape.split(',').filter(|text| !text.trim().is_empty());
    Ok(Port {
        element: element.ok_or_else(|| unusable(layer, "has no known element_type"))?,
        shape: dimensions.map(dimension).collect(),
    })
}

fn output(layer: Node<'_, '_>) -> Result<Port, String> {
    let port = child(layer, "input").and_then(|input| child(input, "port"));
    let port = port.ok_or_else(|| unusable(layer, "has no port"))?;
    let dimensions = port.children().filter(|node| node.has_tag_name("dim"));
    Ok(Port {
        // Older IRs do not repeat it here; sticks answer in f32 unless asked otherwise.
        element: port
            .attribute("precision")
            .and_then(Element::named)
            .unwrap_or(Element::F32),
        shape: dimensions
            .map(|node| dimension(node.text().unwrap_or_default()))
            .collect(),
    })
}

/// `?`, `-1`, `1..8` and, in older IRs, `0` are dimensions that are not fixed.
fn dimension(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|&dimension| dimension > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, shape: &str, element: &str) -> String {
        format!(
            r#"<layer id="0" name="{name}" type="Parameter" version="opset1">
               <data shape="{shape}" element_type="{element}"/>
               <output><port id="0" precision="FP32"><dim>1</dim></port></output></layer>"#
        )
    }

    fn result(port: &str) -> String {
        format!(
            r#"<layer id="9" name="r" type="Result" version="opset1"><input>{port}</input></layer>"#
        )
    }

    const SCORES: &str = r#"<port id="0" precision="FP32"><dim>1</dim><dim>1000</dim></port>"#;

    fn parse(layers: &[String]) -> Result<Model, String> {
        Model::parse(&format!(
            r#"<?xml version="1.0"?><net name="n" version="11"><layers>{}</layers><edges/></net>"#,
            layers.concat()
        ))
    }

    #[test]
    fn a_classifier_has_one_input_and_one_output() {
        let model = parse(&[parameter("data", "1,3,224,224", "f32"), result(SCORES)]).unwrap();
        assert!(!model.is_dynamic());
        assert_eq!(model.inputs.len(), 1);
        assert_eq!(model.inputs[0].byte_len(), Some(3 * 224 * 224 * 4));
        assert_eq!(model.outputs[0].elements(), Some(1000));
        assert_eq!(model.outputs[0].element, Element::F32);
    }

    #[test]
    fn element_types_are_known_by_both_of_their_names() {
        let half = SCORES.replace("FP32", "FP16");
        let model = parse(&[parameter("data", "1,224,224,3", "u8"), result(&half)]).unwrap();
        assert_eq!(model.inputs[0].element, Element::U8);
        assert_eq!(model.inputs[0].byte_len(), Some(3 * 224 * 224));
        assert_eq!(model.outputs[0].element, Element::F16);
        assert_eq!(model.outputs[0].byte_len(), Some(2000));
    }

    #[test]
    fn a_dimension_that_is_not_fixed_makes_the_model_dynamic() {
        for shape in [
            "?,3,224,224",
            "-1,3,224,224",
            "0,3,224,224",
            "1..8,3,224,224",
        ] {
            let model = parse(&[parameter("data", shape, "f32"), result(SCORES)]).unwrap();
            assert!(model.is_dynamic(), "{shape}");
            assert_eq!(model.inputs[0].byte_len(), None);
        }
    }

    #[test]
    fn two_inputs_are_two() {
        let inputs = [
            parameter("a", "1,3,224,224", "f32"),
            parameter("b", "", "i64"),
            result(SCORES),
        ];
        let model = parse(&inputs).unwrap();
        assert_eq!(model.inputs.len(), 2);
        assert_eq!(model.inputs[1].byte_len(), Some(8));
    }

    #[test]
    fn what_is_no_ir_is_refused() {
        assert!(Model::parse("no xml").is_err());
        assert!(
            Model::parse("<html/>")
                .unwrap_err()
                .contains("expected net")
        );
        assert!(Model::parse("<net/>").unwrap_err().contains("no layers"));
        assert!(parse(&[]).unwrap_err().contains("no Result"));
        let odd = parse(&[parameter("x", "1", "f8"), result(SCORES)]).unwrap_err();
        assert!(odd.contains("layer x has no known element_type"), "{odd}");
    }
}
