//! safetensors files: 8-byte length, a JSON header with every tensor's dtype, shape and offsets, then the tensors.
//! In: a source at its start, perhaps the tensor that the user named. Out: where and what its images are.
use super::source::{Dtype, Layout, Source};
use crate::error::Result;
use safetensors::Dtype as Stored;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// The format's own limit.
const MAX_HEADER: u64 = 100_000_000;
/// Tensor names listed in a message.
const LISTED: usize = 8;

pub fn sniff(head: &[u8]) -> bool {
    head.get(8) == Some(&b'{')
}

pub fn header(source: &mut Source) -> Result<Layout> {
    let mut length = [0; 8];
    source.read_exact(&mut length, "the safetensors header")?;
    let length = u64::from_le_bytes(length);
    check_header(length).map_err(|e| source.error(e))?;
    let text = source.read_vec(length, "the safetensors header")?;
    let tensors = metadata(&text).map_err(|e| source.error(format!("has a bad safetensors header: {e}")))?;

    let names = tensors.offset_keys();
    let name = match (&source.tensor, &names[..]) {
        (Some(name), _) => name,
        (None, [only]) => only,
        (None, _) => {
            let said =
                format!("holds {} tensors, expected one: name it as FILE#tensor ({})", names.len(), list(&names));
            return Err(source.error(said));
        }
    };
    let Some(info) = tensors.info(name) else {
        return Err(source.error(format!("has no tensor '{name}', it holds {}", list(&names))));
    };
    let dtype = match info.dtype {
        Stored::U8 => Dtype::U8,
        Stored::U16 => Dtype::U16,
        Stored::I32 => Dtype::I32,
        Stored::I64 => Dtype::I64,
        Stored::F16 => Dtype::F16,
        Stored::BF16 => Dtype::Bf16,
        Stored::F32 => Dtype::F32,
        Stored::F64 => Dtype::F64,
        other => return Err(source.error(format!("tensor '{name}' holds {other:?} values, {}", Dtype::EXPECTED))),
    };
    let (begin, end) = info.data_offsets;
    let after = (tensors.data_len() - end) as u64; // offsets are checked to be contiguous by `Metadata`
    Ok(Layout { dims: info.shape.clone(), dtype, big_endian: false, before: begin as u64, after })
}

/// Where the tensors of a whole file begin, and what they are.
pub fn of_file(bytes: &[u8]) -> Result<(usize, Metadata), String> {
    let (length, rest) = bytes.split_first_chunk().ok_or("is shorter than the length of its safetensors header")?;
    let length = u64::from_le_bytes(*length);
    check_header(length)?;
    let text = usize::try_from(length).ok().and_then(|length| rest.get(..length));
    let text = text.ok_or_else(|| format!("ends inside its safetensors header of {length} bytes"))?;
    let tensors = metadata(text).map_err(|e| format!("has a bad safetensors header: {e}"))?;
    let (held, promised) = (rest.len() - text.len(), tensors.data_len());
    if held != promised {
        return Err(format!("holds {held} bytes of tensors, its header promises {promised}"));
    }
    Ok((bytes.len() - held, tensors))
}

fn check_header(length: u64) -> Result<(), String> {
    match length <= MAX_HEADER {
        true => Ok(()),
        false => Err(format!("has a safetensors header of {length} bytes, expected at most {MAX_HEADER}")),
    }
}

/// What a header says of every tensor: `Metadata` checks that they follow one another without gaps, and that each is as
/// long as its shape and type say.
fn metadata(header: &[u8]) -> Result<Metadata, String> {
    let Header(tensors) = serde_json::from_slice(header).map_err(|e| e.to_string())?;
    let mut tensors: Vec<(String, TensorInfo)> = tensors.into_iter().collect();
    tensors.sort_by_key(|(_, tensor)| tensor.data_offsets);
    Metadata::new(None, tensors).map_err(|e| e.to_string())
}

/// The JSON of a header. Of two tensors of one name a plain map would keep the last and say nothing.
struct Header(BTreeMap<String, TensorInfo>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(Tensors)
    }
}

struct Tensors;

impl<'de> Visitor<'de> for Tensors {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut tensors = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
            } else {
                let said = format!("two tensors '{name}'");
                if tensors.insert(name, map.next_value()?).is_some() {
                    return Err(A::Error::custom(said));
                }
            }
        }
        Ok(Header(tensors))
    }
}

/// Names for a message.
pub(super) fn list(names: &[String]) -> String {
    let mut shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > LISTED {
        shown += ", ..";
    }
    if names.is_empty() { "none".into() } else { shown }
}
