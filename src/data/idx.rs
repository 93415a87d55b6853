//! IDX files (MNIST's own format): `00 00 dtype ndims`, then the dimensions as big-endian u32, then the values.
//! In: a source at its start. Out: where and what the images are. Reference: <https://yann.lecun.org/exdb/mnist/>.
use super::source::{Dtype, Layout, Source};
use crate::error::Result;

pub fn sniff(head: &[u8]) -> bool {
    matches!(head, [0, 0, 0x08 | 0x09 | 0x0b..=0x0e, ndims, ..] if *ndims > 0)
}

pub fn header(source: &mut Source) -> Result<Layout> {
    if let Some(tensor) = &source.tensor {
        return Err(source.error(format!("is an IDX file, which has no named tensors such as '#{tensor}'")));
    }
    let mut magic = [0; 4];
    source.read_exact(&mut magic, "the IDX header")?;
    let dtype = match magic[2] {
        0x08 => Dtype::U8,
        0x0d => Dtype::F32,
        0x0e => Dtype::F64,
        other => {
            let name = match other {
                0x09 => "i8",
                0x0b => "i16",
                _ => "i32",
            };
            return Err(source.error(format!("holds {name} values, {}", Dtype::EXPECTED)));
        }
    };
    let mut dims = Vec::new();
    for _ in 0..magic[3] {
        let mut dim = [0; 4];
        source.read_exact(&mut dim, "the IDX header")?;
        dims.push(u32::from_be_bytes(dim) as usize);
    }
    Ok(Layout { dims, dtype, big_endian: true, before: 0, after: 0 })
}
