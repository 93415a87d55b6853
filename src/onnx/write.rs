//! A file written anew: its nodes without what exporters note for themselves, and its weights in a safetensors file beside it, which
//! it names as external data at the places where they lie; readers of either kind can open both. In: a file. Out: the bytes of the two.
use super::file::{File, Port};
use super::proto::{
    DimensionProto, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use super::stored::{Constant, Element};
use crate::data;
use crate::error::{Error, Result};
use prost::Message;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// Constants of fewer numbers stay in the graph, where people see them.
const SMALL: usize = 16;
/// Version of the format that knows external data and every element type that is read.
const IR_VERSION: i64 = 10;

/// A graph and its weights.
pub struct Written {
    /// An ONNX file.
    pub graph: Vec<u8>,
    /// A safetensors file.
    pub weights: Vec<u8>,
}

/// `file`, its weights in a safetensors file that will be called `beside` and lie beside it.
///
/// # Errors
/// Weights that safetensors does not take.
pub fn written(file: &File, beside: &str) -> Result<Written> {
    let large = || file.constants.iter().filter_map(|(name, c)| Some((name, c, dtype(c)?)));
    let bytes: Vec<Vec<u8>> = large().map(|(_, constant, _)| constant.bytes()).collect();
    let fail = |e: &dyn std::fmt::Display| Error::invalid("weights", e);
    let views = large().zip(&bytes).map(|((name, constant, dtype), bytes)| {
        let view = TensorView::new(dtype, constant.shape.clone(), bytes).map_err(|e| fail(&e))?;
        Ok((name.as_str(), view))
    });
    let weights = safetensors::serialize(views.collect::<Result<Vec<_>>>()?, None).map_err(|e| fail(&e))?;
    let (first, header) = data::tensors::of_file(&weights).map_err(|e| fail(&e))?;
    let initializer = file.constants.iter().map(|(name, constant)| match header.info(name) {
        Some(info) => {
            outside(name, constant, beside, [first + info.data_offsets.0, info.data_offsets.1 - info.data_offsets.0])
        }
        None => constant.proto(name),
    });
    let graph = GraphProto {
        node: file.nodes.iter().map(|node| node.proto.clone()).collect(),
        name: "main".into(),
        initializer: initializer.collect(),
        input: file.inputs.iter().map(value).collect(),
        output: file.outputs.iter().map(value).collect(),
        ..GraphProto::default()
    };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: file.producer.clone(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: file.opset }],
        ..ModelProto::default()
    };
    Ok(Written { graph: model.encode_to_vec(), weights })
}

/// What safetensors calls the type of a constant that is worth a place there.
fn dtype(constant: &Constant) -> Option<Dtype> {
    let dtype = match constant.element {
        Element::F32 => Dtype::F32,
        Element::F64 => Dtype::F64,
        Element::F16 => Dtype::F16,
        Element::Bf16 => Dtype::BF16,
        _ => return None,
    };
    (constant.shape.iter().product::<usize>() >= SMALL).then_some(dtype)
}

/// A constant whose bytes lie in another file.
fn outside(name: &str, constant: &Constant, file: &str, [offset, length]: [usize; 2]) -> TensorProto {
    let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
    TensorProto {
        dims: constant.shape.iter().map(|&n| n as i64).collect(),
        data_type: constant.element.number(),
        name: name.into(),
        external_data: vec![
            entry("location", file.into()),
            entry("offset", offset.to_string()),
            entry("length", length.to_string()),
        ],
        data_location: 1,
        ..TensorProto::default()
    }
}

fn value(port: &Port) -> ValueInfoProto {
    let size = |size: &std::result::Result<usize, String>| match size {
        Ok(n) => DimensionProto { dim_value: Some(*n as i64), dim_param: None },
        Err(name) => DimensionProto { dim_value: None, dim_param: Some(name.clone()) },
    };
    let shape = port.shape.as_ref().map(|shape| TensorShapeProto { dim: shape.iter().map(size).collect() });
    let tensor = TensorTypeProto { elem_type: port.element.map_or(0, Element::number), shape };
    ValueInfoProto { name: port.name.clone(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}
