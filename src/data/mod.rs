//! x
pub fn sha256_file(_p:&std::path::Path)->crate::error::Result<String>{Ok(String::new())}
