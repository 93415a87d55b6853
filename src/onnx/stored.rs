//! Constants as a file stores them: element type, shape, bytes. In: a TensorProto whose bytes are there. Out: its numbers, as
//! host tensors in f64 or as f32 weights; every number is looked at once, and none is NaN.
use super::proto::TensorProto;
use super::tensor::{Data, Tensor, count};
use crate::dual::Dual;
use crate::error::{Error, Result};
use half::{bf16, f16};

/// Types of elements that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// FLOAT
    F32,
    /// DOUBLE
    F64,
    /// FLOAT16
    F16,
    /// BFLOAT16
    Bf16,
    /// INT8
    I8,
    /// INT16
    I16,
    /// INT32
    I32,
    /// INT64
    I64,
    /// UINT8
    U8,
    /// UINT16
    U16,
    /// UINT32
    U32,
    /// UINT64
    U64,
    /// BOOL
    Bool,
}

/// The types by their numbers in files, and bytes of an element.
pub const ELEMENTS: &[(i32, &str, Option<Element>, u64)] = &[
    (1, "float", Some(Element::F32), 4),
    (2, "uint8", Some(Element::U8), 1),
    (3, "int8", Some(Element::I8), 1),
    (4, "uint16", Some(Element::U16), 2),
    (5, "int16", Some(Element::I16), 2),
    (6, "int32", Some(Element::I32), 4),
    (7, "int64", Some(Element::I64), 8),
    (8, "string", None, 0),
    (9, "bool", Some(Element::Bool), 1),
    (10, "float16", Some(Element::F16), 2),
    (11, "double", Some(Element::F64), 8),
    (12, "uint32", Some(Element::U32), 4),
    (13, "uint64", Some(Element::U64), 8),
    (14, "complex64", None, 8),
    (15, "complex128", None, 16),
    (16, "bfloat16", Some(Element::Bf16), 2),
    (17, "float8e4m3fn", None, 1),
    (18, "float8e4m3fnuz", None, 1),
    (19, "float8e5m2", None, 1),
    (20, "float8e5m2fnuz", None, 1),
    (21, "uint4", None, 1),
    (22, "int4", None, 1),
    (23, "float4e2m1", None, 1),
    (24, "float8e8m0", None, 1),
    (25, "uint2", None, 1),
    (26, "int2", None, 1),
];

impl Element {
    /// The type of that number, or what is said of one that is not read.
    pub fn of(number: i32) -> std::result::Result<Self, String> {
        match ELEMENTS.iter().find(|row| row.0 == number) {
            Some((_, _, Some(element), _)) => Ok(*element),
            Some((_, name, None, _)) => Err(format!("elements of type {name} are not supported, expected {}", known())),
            None => Err(format!("element type {number} is not one of the standard's, expected {}", known())),
        }
    }

    fn row(self) -> (&'static str, u64) {
        let row = ELEMENTS.iter().find(|row| row.2 == Some(self));
        row.map_or(("", 0), |row| (row.1, row.3)) // every type has its row
    }

    /// Its number in files.
    pub(super) fn number(self) -> i32 {
        ELEMENTS.iter().find(|row| row.2 == Some(self)).map_or(0, |row| row.0)
    }

    /// As the standard calls it.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Whether it is of truth values.
    pub const fn is_truth(self) -> bool {
        matches!(self, Self::Bool)
    }

    /// Whether it is of real numbers.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::Bf16)
    }
}

/// The types that are read.
fn known() -> String {
    ELEMENTS.iter().filter(|row| row.2.is_some()).map(|row| row.1).collect::<Vec<_>>().join(", ")
}

/// A constant of a file.
#[derive(Clone, Debug)]
pub struct Constant {
    /// Outermost axis first.
    pub shape: Vec<usize>,
    /// Of each number.
    pub element: Element,
    tensor: TensorProto,
}

impl Constant {
    /// Bytes that its shape and type take.
    pub(super) fn bytes_of(tensor: &TensorProto) -> Result<u64> {
        let (element, shape) = head(tensor)?;
        Ok(count(&shape)? as u64 * element.row().1)
    }

    /// Of a tensor whose bytes are there; as many as its shape says, none of them NaN.
    pub fn of(tensor: TensorProto) -> Result<Self> {
        let (element, shape) = head(&tensor)?;
        let constant = Self { shape, element, tensor };
        let (found, wanted) = (constant.found(), count(&constant.shape)?);
        if found != Some(wanted) {
            let bytes = constant.tensor.raw_data.len();
            let found = found.map_or(format!("{bytes} bytes"), |n| format!("{n} numbers"));
            let message =
                format!("{found}, expected {wanted} of type {} for its shape {:?}", element.name(), constant.shape);
            return Err(Error::invalid("data", message));
        }
        if let Some(i) = constant.first_nan() {
            return Err(Error::invalid("data", format!("element {i} is NaN")));
        }
        Ok(constant)
    }

    /// Numbers that are stored; none where the bytes are no whole number of them.
    fn found(&self) -> Option<usize> {
        let (t, size) = (&self.tensor, self.element.row().1 as usize);
        if !t.raw_data.is_empty() {
            return t.raw_data.len().is_multiple_of(size).then(|| t.raw_data.len() / size);
        }
        Some(match self.element {
            Element::F32 => t.float_data.len(),
            Element::F64 => t.double_data.len(),
            Element::I64 => t.int64_data.len(),
            Element::U32 | Element::U64 => t.uint64_data.len(),
            _ => t.int32_data.len(),
        })
    }

    fn first_nan(&self) -> Option<usize> {
        if !self.element.is_float() {
            return None;
        }
        let mut nan = None;
        self.each_float(|i, v| nan = nan.or(v.is_nan().then_some(i)));
        nan
    }

    /// Hands over every number of a floating-point constant.
    fn each_float(&self, mut take: impl FnMut(usize, f64)) {
        let t = &self.tensor;
        let raw = &t.raw_data[..];
        let mut all = |values: &mut dyn Iterator<Item = f64>| values.enumerate().for_each(|(i, v)| take(i, v));
        let halves = |bits: i32| bits as u16;
        match (self.element, raw.is_empty()) {
            (Element::F32, false) => all(&mut numbers(raw).map(|b| f64::from(f32::from_le_bytes(b)))),
            (Element::F32, true) => all(&mut t.float_data.iter().map(|&v| f64::from(v))),
            (Element::F64, false) => all(&mut numbers(raw).map(f64::from_le_bytes)),
            (Element::F64, true) => all(&mut t.double_data.iter().copied()),
            (Element::F16, false) => all(&mut numbers(raw).map(|b| f16::from_le_bytes(b).to_f64())),
            (Element::F16, true) => all(&mut t.int32_data.iter().map(|&b| f16::from_bits(halves(b)).to_f64())),
            (Element::Bf16, false) => all(&mut numbers(raw).map(|b| bf16::from_le_bytes(b).to_f64())),
            (Element::Bf16, true) => all(&mut t.int32_data.iter().map(|&b| bf16::from_bits(halves(b)).to_f64())),
            _ => {}
        }
    }

    fn ints(&self) -> Result<Vec<i64>> {
        let t = &self.tensor;
        let raw = &t.raw_data[..];
        let wide =
            |v: u64| i64::try_from(v).map_err(|_| Error::invalid("data", format!("{v} is larger than an int64")));
        Ok(match (self.element, raw.is_empty()) {
            (Element::I8, false) => numbers(raw).map(|b| i64::from(i8::from_le_bytes(b))).collect(),
            (Element::U8 | Element::Bool, false) => numbers(raw).map(|[b]| i64::from(b)).collect(),
            (Element::I16, false) => numbers(raw).map(|b| i64::from(i16::from_le_bytes(b))).collect(),
            (Element::U16, false) => numbers(raw).map(|b| i64::from(u16::from_le_bytes(b))).collect(),
            (Element::I32, false) => numbers(raw).map(|b| i64::from(i32::from_le_bytes(b))).collect(),
            (Element::U32, false) => numbers(raw).map(|b| i64::from(u32::from_le_bytes(b))).collect(),
            (Element::I64, false) => numbers(raw).map(i64::from_le_bytes).collect(),
            (Element::U64, false) => numbers(raw).map(|b| wide(u64::from_le_bytes(b))).collect::<Result<_>>()?,
            (Element::I64, true) => t.int64_data.clone(),
            (Element::U32 | Element::U64, true) => t.uint64_data.iter().map(|&v| wide(v)).collect::<Result<_>>()?,
            (_, true) => t.int32_data.iter().map(|&v| i64::from(v)).collect(),
            _ => vec![],
        })
    }

    /// As a file has it, its bytes inside.
    pub(super) fn proto(&self, name: &str) -> TensorProto {
        let inside = TensorProto { name: name.into(), ..self.tensor.clone() };
        TensorProto { external_data: vec![], data_location: 0, ..inside }
    }

    /// The little-endian bytes of a floating-point constant, number by number.
    pub(super) fn bytes(&self) -> Vec<u8> {
        if !self.tensor.raw_data.is_empty() {
            return self.tensor.raw_data.to_vec();
        }
        let t = &self.tensor;
        match self.element {
            Element::F32 => t.float_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Element::F64 => t.double_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
            // Halves are bits in the lower part of an int32.
            _ => t.int32_data.iter().flat_map(|&v| (v as u16).to_le_bytes()).collect(),
        }
    }

    /// The file beside the model's that its bytes came from, if they did.
    pub(super) fn beside(&self) -> Option<&str> {
        let entry = self.tensor.external_data.iter().find(|e| e.key == "location");
        entry.filter(|_| self.tensor.data_location == 1).map(|e| e.value.as_str())
    }

    /// Its numbers on the host.
    pub fn tensor(&self) -> Result<Tensor> {
        let data = match self.element {
            e if e.is_float() => {
                let mut values = Vec::with_capacity(count(&self.shape)?);
                self.each_float(|_, v| values.push(Dual::constant(v)));
                Data::Float(values)
            }
            Element::Bool => Data::Bool(self.ints()?.iter().map(|&v| v != 0).collect()),
            _ => Data::Int(self.ints()?),
        };
        Ok(Tensor { shape: self.shape.clone(), data })
    }

    /// Its numbers as weights; those of double precision are rounded. None of a constant that is not of real numbers.
    pub fn floats(&self) -> Option<Vec<f32>> {
        self.element.is_float().then(|| {
            let mut values = vec![];
            self.each_float(|_, v| values.push(v as f32));
            values
        })
    }
}

/// Element type and shape.
fn head(tensor: &TensorProto) -> Result<(Element, Vec<usize>)> {
    let element = Element::of(tensor.data_type).map_err(|e| Error::invalid("type", e))?;
    let size = |&d: &i64| usize::try_from(d).map_err(|_| Error::invalid("shape", format!("has an axis of size {d}")));
    Ok((element, tensor.dims.iter().map(size).collect::<Result<_>>()?))
}

/// The bytes, number by number.
fn numbers<const N: usize>(raw: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    raw.chunks_exact(N).map(|b| std::array::from_fn(|i| b[i]))
}
