//! Reads an ONNX file. In: a path. Out: nodes in order, constants, inputs and outputs with their shapes, all checked: names that
//! nothing produces, versions that are not known, weights beside the file or out of its folder.
use super::beside::Beside;
use super::proto::{ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto};
use super::stored::{Constant, Element};
use crate::error::{Error, Result};
use bytes::Bytes;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Versions of the standard's operators that are read.
pub const OPSETS: std::ops::RangeInclusive<i64> = 7..=28;

/// A network as its file has it.
#[derive(Debug)]
pub struct File {
    /// Where it was read.
    pub path: PathBuf,
    /// Its size, and that of the weights beside it.
    pub bytes: usize,
    /// Who wrote it.
    pub producer: String,
    /// Version of the standard's operators.
    pub opset: i64,
    /// In an order in which they can be computed.
    pub nodes: Vec<Node>,
    /// Weights and other constants by name.
    pub constants: BTreeMap<String, Constant>,
    /// What the network is told, in order.
    pub inputs: Vec<Port>,
    /// What it gives, in order.
    pub outputs: Vec<Port>,
}

/// An operator at work.
#[derive(Debug)]
pub struct Node {
    /// As messages call it: its name, or what it makes.
    pub name: String,
    /// The file's own part of it.
    pub proto: NodeProto,
}

/// An input or output.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// What it holds; none of an output that does not say.
    pub element: Option<Element>,
    /// Sizes; none along an axis that is left open, with its name if it has one.
    pub shape: Option<Vec<Result<usize, String>>>,
}

impl File {
    /// Every file that it was read from, its own first.
    pub fn parts(&self) -> Vec<PathBuf> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let beside: BTreeSet<&str> = self.constants.values().filter_map(Constant::beside).collect();
        [self.path.clone()].into_iter().chain(beside.into_iter().map(|name| folder.join(name))).collect()
    }

    /// Numbers of its floating-point constants.
    pub fn parameters(&self) -> u64 {
        let floats = self.constants.values().filter(|c| c.element.is_float());
        floats.map(|c| c.shape.iter().product::<usize>() as u64).sum()
    }

    /// Reads and checks.
    pub fn open(path: &Path) -> Result<Self> {
        Self::of(path, crate::data::bytes(path)?.into())
    }

    /// The same of bytes that are in memory; weights beside the file are looked for in the folder of `path`.
    pub fn of(path: &Path, bytes: Bytes) -> Result<Self> {
        is_onnx(path, &bytes)?;
        let fail = |message: String| Error::file(path, message);
        super::wire::check(&bytes).map_err(&fail)?;
        let size = bytes.len();
        let model = ModelProto::decode(bytes).map_err(|e| fail(format!("not an ONNX file: {e}")))?;
        let opset = opset(&model).map_err(&fail)?;
        if let Some(own) = model.functions.first() {
            return Err(fail(format!(
                "defines operators of its own ('{}' of '{}'), which is not supported: export with them inlined",
                own.name, own.domain
            )));
        }
        let graph = model.graph.ok_or_else(|| fail("not an ONNX file: it has no graph".into()))?;
        if !graph.sparse_initializer.is_empty() {
            return Err(fail("has sparse initializers, which are not supported: export dense weights".into()));
        }
        let producer = format!("{} {}", model.producer_name, model.producer_version).trim().to_string();
        let (constants, beside) = constants(path, graph.initializer)?;
        let port = |v: &ValueInfoProto| port(v).map_err(&fail);
        let given = graph.input.iter().filter(|v| !constants.contains_key(&v.name));
        let inputs = given.map(port).collect::<Result<Vec<_>>>()?;
        let outputs = graph.output.iter().map(port).collect::<Result<Vec<_>>>()?;
        let nodes = graph.node.into_iter().enumerate().map(|(i, proto)| Node { name: named(&proto, i), proto });
        let (path, bytes, nodes) = (path.into(), size + beside, nodes.collect());
        let file = Self { path, bytes, producer, opset, nodes, constants, inputs, outputs };
        file.check_order().map_err(|message| Error::file(&file.path, message))?;
        Ok(file)
    }
    /// Every name is made once, before it is read.
    fn check_order(&self) -> std::result::Result<(), String> {
        let mut made: BTreeSet<&str> = self.constants.keys().map(String::as_str).collect();
        for input in &self.inputs {
            if !made.insert(&input.name) {
                return Err(format!("input '{}' is there twice", input.name));
            }
        }
        let makes = |name: &str| self.nodes.iter().find(|n| n.proto.output.iter().any(|o| o == name));
        for node in &self.nodes {
            let unknown = node.proto.input.iter().find(|i| !i.is_empty() && !made.contains(i.as_str()));
            if let Some(read) = unknown {
                return Err(match makes(read) {
                    Some(later) if later.name == node.name => format!("node '{}' reads what it makes", node.name),
                    Some(later) => format!(
                        "node '{}' reads '{read}' before node '{}' makes it: the graph has a cycle, or is not in order",
                        node.name, later.name
                    ),
                    None => format!("node '{}' reads '{read}', which nothing produces", node.name),
                });
            }
            for output in node.proto.output.iter().filter(|o| !o.is_empty()) {
                if !made.insert(output) {
                    return Err(format!("node '{}' makes '{output}', which is there already", node.name));
                }
            }
        }
        if self.outputs.is_empty() {
            return Err("has no output".into());
        }
        match self.outputs.iter().find(|o| !made.contains(o.name.as_str())) {
            Some(output) => Err(format!("output '{}' is made by no node", output.name)),
            None => Ok(()),
        }
    }
}

/// Refuses what is known to be something else.
fn is_onnx(path: &Path, bytes: &[u8]) -> Result<()> {
    if bytes.is_empty() {
        return Err(Error::file(path, "the file is empty"));
    }
    crate::data::not_a_pointer(path, bytes)?;
    let other = match bytes {
        [0x80, 2..=5, ..] => "a pickle: a checkpoint of torch?",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive: a checkpoint of torch?",
        [0x89, b'H', b'D', b'F', ..] => "HDF5: a model of Keras?",
        [b'{', ..] => "JSON",
        [b'<', ..] => "a web page: a download that wanted a login?",
        [0x1f, 0x8b, ..] => "gzip: unpack it first",
        [first, _, _, _, _, _, _, _, b'{', ..] if *first != 8 => "safetensors",
        _ => return Ok(()),
    };
    Err(Error::file(path, format!("not an ONNX file; it looks like {other}")))
}

/// The version of the standard's operators.
fn opset(model: &ModelProto) -> std::result::Result<i64, String> {
    let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let mut sets = model.opset_import.iter().filter(|s| standard(&s.domain));
    let Some(set) = sets.next() else {
        return Err("does not say which version of the standard's operators it uses (opset_import)".into());
    };
    if let Some(other) = sets.find(|s| s.version != set.version) {
        return Err(format!("says opset {} of the default domain, and {} too", set.version, other.version));
    }
    let (first, last) = (OPSETS.start(), OPSETS.end());
    match set.version {
        v if v > *last => {
            Err(format!("opset {v} of the default domain is newer than {last}, the newest that is supported"))
        }
        v if v < *first => {
            Err(format!("opset {v} of the default domain is older than {first}, the oldest that is supported"))
        }
        v => Ok(v),
    }
}

/// As messages call a node.
fn named(node: &NodeProto, i: usize) -> String {
    let made = node.output.iter().find(|o| !o.is_empty());
    match (node.name.as_str(), made) {
        ("", Some(made)) => format!("{} of '{made}'", node.op_type),
        ("", None) => format!("{} {i}", node.op_type),
        (name, _) => name.to_string(),
    }
}

/// Name, element type and shape.
fn port(value: &ValueInfoProto) -> std::result::Result<Port, String> {
    let name = value.name.clone();
    let Some(TypeProto { tensor_type }) = &value.r#type else { return Ok(Port { name, element: None, shape: None }) };
    let Some(tensor) = tensor_type else {
        return Err(format!("'{name}' is a sequence, a map or optional: expected a tensor"));
    };
    let element = match tensor.elem_type {
        0 => None,
        number => Some(Element::of(number).map_err(|e| format!("'{name}': {e}"))?),
    };
    let Some(shape) = &tensor.shape else { return Ok(Port { name, element, shape: None }) };
    let size = |d: &super::proto::DimensionProto| match (d.dim_value, &d.dim_param) {
        (Some(n), _) => usize::try_from(n).map(Ok).map_err(|_| format!("'{name}' has an axis of size {n}")),
        (None, open) => Ok(Err(open.clone().unwrap_or_default())),
    };
    let shape = shape.dim.iter().map(size).collect::<std::result::Result<_, _>>()?;
    Ok(Port { name, element, shape: Some(shape) })
}

/// What the error says, without its place.
fn words(error: Error) -> String {
    match error {
        Error::Invalid { message, .. } | Error::File { message, .. } => message,
        other => other.to_string(),
    }
}

/// Initializers with their bytes, wherever they lie, and how many of these lie beside the file.
fn constants(path: &Path, tensors: Vec<TensorProto>) -> Result<(BTreeMap<String, Constant>, usize)> {
    let mut constants = BTreeMap::new();
    let mut beside = Beside::of(path);
    for mut tensor in tensors {
        let (name, place) = (tensor.name.clone(), format!("initializer '{}'", tensor.name));
        let fail = |e: Error| Error::file(path, format!("{place}: {}", words(e)));
        if tensor.data_location == 1 {
            let wanted = Constant::bytes_of(&tensor).map_err(fail)?;
            tensor.raw_data = beside.read(&tensor, wanted).map_err(fail)?;
        }
        if constants.insert(name, Constant::of(tensor).map_err(fail)?).is_some() {
            return Err(Error::file(path, format!("{place} is there twice")));
        }
    }
    Ok((constants, beside.bytes()))
}
