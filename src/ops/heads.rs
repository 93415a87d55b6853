//! Heads: runs of a tensor's channels, all of one length, that ops treat apart. In: numbers of channels and heads. Out: channels of a
//! head; whether kernels may take heads block by block.
use crate::error::{Error, Result};

/// Channels of one head, or what is wrong.
pub(super) fn per_head(channels: usize, heads: usize) -> Result<usize> {
    if heads > 0 && channels.is_multiple_of(heads) {
        return Ok(channels / heads);
    }
    Err(Error::invalid("heads", format!("{channels} channels do not form {heads} equal heads")))
}

/// True where no two heads share a block of 4 channels, with any of these many channels per head.
pub(super) fn aligned<const N: usize>(heads: usize, sizes: [usize; N]) -> bool {
    heads == 1 || sizes.iter().all(|size| size.is_multiple_of(4))
}
