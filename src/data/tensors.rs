//! safetensors files: 8-byte length, a JSON header with every tensor's dtype, shape and offsets, then the tensors.
//! In: a source at its start, perhaps the tensor that the user named. Out: where and what its images are.
use super::source::{Dtype, Layout, Source};
use crate::error::Result;
use safetensors::Dtype as Stored;
use safetensors::tensor::Metadata;

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
    if length > MAX_HEADER {
        return Err(source.error(format!("has a safetensors header of {length} bytes, expected at most {MAX_HEADER}")));
    }
    let text = source.read_vec(length, "the safetensors header")?;
    let tensors: Metadata =
        serde_json::from_slice(&text).map_err(|e| source.error(format!("has a bad safetensors header: {e}")))?;

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

fn list(names: &[String]) -> String {
    let mut shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > LISTED {
        shown += ", ..";
    }
    if names.is_empty() { "none".into() } else { shown }
}
