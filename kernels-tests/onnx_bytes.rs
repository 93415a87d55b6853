//! ONNX files in a few lines, for tests: protobuf's bytes by hand, so that they may say anything. In: nodes, constants, inputs, outputs.
//! Out: the bytes.

/// A number as protobuf has it: seven bits a byte.
fn varint(mut n: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

/// A field of a number.
pub fn number(tag: u64, n: i64) -> Vec<u8> {
    [varint(tag << 3), varint(n as u64)].concat()
}

/// A field of bytes: text, or another message.
pub fn part(tag: u64, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [varint(tag << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A tensor: name, sizes, number of its element type, bytes.
pub fn tensor(name: &str, dims: &[i64], element: i64, raw: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&d| number(1, d)).collect();
    [dims, number(2, element), part(8, name), part(9, raw)].concat()
}

/// Of f32.
pub fn floats(name: &str, dims: &[i64], values: &[f32]) -> Vec<u8> {
    tensor(name, dims, 1, bytemuck::cast_slice(values))
}

/// Of i64, along one axis.
pub fn longs(name: &str, values: &[i64]) -> Vec<u8> {
    tensor(name, &[values.len() as i64], 7, bytemuck::cast_slice(values))
}

/// A tensor whose bytes are in another file.
pub fn beside(name: &str, dims: &[i64], keys: &[(&str, &str)]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&d| number(1, d)).collect();
    let keys: Vec<u8> =
        keys.iter().flat_map(|(key, value)| part(13, [part(1, key), part(2, value)].concat())).collect();
    [dims, number(2, 1), part(8, name), keys, number(14, 1)].concat()
}

/// An attribute: an integer, integers, a float, text, a tensor, a graph.
pub fn int(name: &str, i: i64) -> Vec<u8> {
    [part(1, name), number(3, i), number(20, 2)].concat()
}

pub fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|&i| number(8, i)).collect();
    [part(1, name), values, number(20, 7)].concat()
}

pub fn float(name: &str, f: f32) -> Vec<u8> {
    [part(1, name), varint(2 << 3 | 5), f.to_le_bytes().to_vec(), number(20, 1)].concat()
}

pub fn text(name: &str, s: &str) -> Vec<u8> {
    [part(1, name), part(4, s), number(20, 3)].concat()
}

pub fn constant(name: &str, tensor: &[u8]) -> Vec<u8> {
    [part(1, name), part(5, tensor), number(20, 4)].concat()
}

pub fn graph(name: &str, graph: &[u8]) -> Vec<u8> {
    [part(1, name), part(6, graph), number(20, 5)].concat()
}

/// An operator at work, called `the OPERATOR`.
pub fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let names =
        |tag: u64, names: &[&str]| -> Vec<u8> { names.iter().flat_map(|name| part(tag, name)).collect::<Vec<u8>>() };
    let attributes: Vec<u8> = attributes.iter().flat_map(|a| part(5, a)).collect();
    [names(1, inputs), names(2, outputs), part(3, format!("the {op}")), part(4, op), attributes].concat()
}

/// An input or output of this element type.
pub fn typed(name: &str, element: i64, dims: &[i64]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&d| part(1, number(1, d))).collect();
    let tensor = [number(1, element), part(2, dims)].concat();
    [part(1, name), part(2, part(1, tensor))].concat()
}

/// A file as it grows.
#[derive(Clone)]
pub struct Model {
    pub opset: i64,
    pub nodes: Vec<Vec<u8>>,
    pub initializers: Vec<Vec<u8>>,
    pub inputs: Vec<Vec<u8>>,
    pub outputs: Vec<Vec<u8>>,
}

impl Model {
    /// Of an input x of these sizes and an output y.
    pub fn of(x: &[i64]) -> Self {
        Self {
            opset: 18,
            nodes: vec![],
            initializers: vec![],
            inputs: vec![typed("x", 1, x)],
            outputs: vec![part(1, "y")],
        }
    }

    pub fn node(mut self, op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Self {
        self.nodes.push(node(op, inputs, outputs, attributes));
        self
    }

    /// A constant.
    pub fn with(mut self, tensor: Vec<u8>) -> Self {
        self.initializers.push(tensor);
        self
    }

    pub fn graph(&self) -> Vec<u8> {
        let all = |tag: u64, parts: &[Vec<u8>]| -> Vec<u8> { parts.iter().flat_map(|p| part(tag, p)).collect() };
        let ends = [all(11, &self.inputs), all(12, &self.outputs)].concat();
        [all(1, &self.nodes), part(2, "main"), all(5, &self.initializers), ends].concat()
    }

    pub fn bytes(&self) -> Vec<u8> {
        [number(1, 8), part(7, self.graph()), part(8, number(2, self.opset))].concat()
    }
}
