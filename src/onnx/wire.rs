//! A file's bytes before they are decoded: where they break off, and how much memory their messages take. In: protobuf's bytes. Out:
//! nothing, or what is wrong at which byte. Only messages that are read are looked into, each kind by its fields, so no file can nest deeper
//! than the kinds do.
use super::proto::{
    AttributeProto, DimensionProto, FunctionProto, GraphProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, ValueInfoProto,
};
use prost::encoding::decode_varint;

/// Bytes of memory that messages may take, besides `A_BYTE` for each of the file's: a message of two bytes takes hundreds.
const MEMORY: usize = 1 << 26;
const A_BYTE: usize = 32;

/// Messages that are looked into.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Type,
    TensorType,
    Shape,
    /// Text, numbers, and messages of a few of them.
    Leaf,
}

impl Kind {
    /// What a field holds, and the memory that it takes besides its bytes.
    fn field(self, tag: u64) -> (Self, usize) {
        match (self, tag) {
            (Self::Model, 7) => (Self::Graph, size_of::<GraphProto>()),
            (Self::Model, 8) => (Self::Leaf, size_of::<OperatorSetIdProto>()),
            (Self::Model, 25) => (Self::Leaf, size_of::<FunctionProto>()),
            (Self::Graph, 1) => (Self::Node, size_of::<NodeProto>()),
            (Self::Graph, 5) => (Self::Tensor, size_of::<TensorProto>()),
            (Self::Graph, 11 | 12) => (Self::Value, size_of::<ValueInfoProto>()),
            (Self::Node, 5) => (Self::Attribute, size_of::<AttributeProto>()),
            (Self::Node, 1 | 2) | (Self::Attribute, 9) => (Self::Leaf, size_of::<bytes::Bytes>()),
            (Self::Attribute, 5) => (Self::Tensor, size_of::<TensorProto>()),
            (Self::Tensor, 13) => (Self::Leaf, size_of::<StringStringEntryProto>()),
            (Self::Value, 2) => (Self::Type, 0),
            (Self::Type, 1) => (Self::TensorType, 0),
            (Self::TensorType, 2) => (Self::Shape, 0),
            (Self::Shape, 1) => (Self::Leaf, size_of::<DimensionProto>()),
            _ => (Self::Leaf, 0),
        }
    }
}

/// Looks through a whole file.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    let mut memory = bytes.len().saturating_mul(A_BYTE).saturating_add(MEMORY);
    look(bytes, 0, Kind::Model, &mut memory)
}

/// Looks through a message that begins at byte `first`, of which `memory` bytes may still be taken.
fn look(bytes: &[u8], first: usize, kind: Kind, memory: &mut usize) -> Result<(), String> {
    let outermost = matches!(kind, Kind::Model);
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = first + bytes.len() - rest.len();
        let ends = || match outermost {
            true => format!(
                "the file ends inside a field that begins at byte {at} of {}: a download that broke off?",
                bytes.len()
            ),
            false => format!("the field at byte {at} is longer than what it is part of: the file is damaged"),
        };
        let key = decode_varint(&mut rest).map_err(|_| ends())?;
        // Fields of a model are 1 to 25.
        if outermost && !(1..=25).contains(&(key >> 3)) {
            return Err(format!("not an ONNX file: no model has a field {}", key >> 3));
        }
        let length = match key & 7 {
            0 => decode_varint(&mut rest).map(|_| 0).map_err(|_| ends())?,
            1 => 8,
            2 => decode_varint(&mut rest).map_err(|_| ends())?,
            5 => 4,
            other => return Err(format!("not an ONNX file: byte {at} begins a field of type {other}")),
        };
        let length = usize::try_from(length).ok().filter(|n| *n <= rest.len()).ok_or_else(ends)?;
        let (field, behind) = rest.split_at(length);
        if key & 7 == 2 {
            let (kind, taken) = kind.field(key >> 3);
            *memory = memory.checked_sub(taken).ok_or("has more small parts than a file of its size may have")?;
            if !matches!(kind, Kind::Leaf) {
                look(field, first + bytes.len() - rest.len(), kind, memory)?;
            }
        }
        rest = behind;
    }
    Ok(())
}
