//! What a gzipped file holds: its members, one after the other, as gzip itself unpacks them. Zeros behind the last are
//! padding, as tapes and block devices leave it; any other bytes there are an error. Reference: RFC 1952.
use flate2::bufread::GzDecoder;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result};

const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads what the members of a gzipped file hold.
pub struct Unpacked<R> {
    /// None behind the last member.
    member: Option<GzDecoder<BufReader<R>>>,
}

impl<R: Read> Unpacked<R> {
    /// `packed` stands at the first member.
    pub fn of(packed: R) -> Self {
        Self { member: Some(GzDecoder::new(BufReader::new(packed))) }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        while let Some(member) = &mut self.member {
            match member.read(out) {
                Ok(0) if !out.is_empty() => {}
                Err(e) if e.kind() == ErrorKind::InvalidInput || e.kind() == ErrorKind::InvalidData => {
                    return Err(damaged(&format!("the gzip stream is damaged: {e}")));
                }
                read => return read,
            }
            self.member = match self.member.take() {
                Some(ended) => following(ended.into_inner())?,
                None => None,
            };
        }
        Ok(0)
    }
}

/// The member that begins where one ended, if the file does not end there.
fn following<R: Read>(mut packed: BufReader<R>) -> Result<Option<GzDecoder<BufReader<R>>>> {
    let mut padding = 0u64;
    loop {
        let bytes = packed.fill_buf()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        if zeros < bytes.len() {
            let next = bytes[zeros..].iter().copied().take(MAGIC.len());
            // The first byte alone tells where the buffer ends with it.
            return match padding == 0 && zeros == 0 && next.zip(MAGIC).all(|(a, b)| a == b) {
                true => Ok(Some(GzDecoder::new(packed))),
                false => {
                    Err(damaged("has bytes after the end of its gzip stream that are neither zeros nor another stream"))
                }
            };
        }
        padding += zeros as u64;
        packed.consume(zeros);
    }
}

fn damaged(message: &str) -> Error {
    Error::new(ErrorKind::InvalidData, message)
}
