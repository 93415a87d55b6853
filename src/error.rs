//! The one error type. Every message names the place (file, tensor, node, step), what was found and what was expected.
use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Anything that can go wrong; `exit_code` groups the variants for the command line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {message}", path.display())]
    File { path: PathBuf, message: String },
    #[error("{place}: {message}")]
    Invalid { place: String, message: String },
    #[error("no usable GPU adapter: {0}")]
    NoAdapter(String),
    #[error("GPU out of memory at {place}: {message}")]
    OutOfMemory { place: String, message: String },
    #[error("GPU device lost at {place}: {message}")]
    DeviceLost { place: String, message: String },
    #[error("GPU error at {place}: {message}")]
    Gpu { place: String, message: String },
    #[error("stopped by the user; nothing was written")]
    Interrupted,
}

/// Exit codes of the command line, and what each says. Stable: scripts rely on them.
pub const EXIT_CODES: &[(i32, &str)] = &[
    (0, "done; what was checked holds"),
    (1, "a check of verify or selftest failed"),
    (2, "bad input: an option, file or model that cannot be used"),
    (3, "no usable GPU adapter"),
    (4, "trouble with the GPU: out of memory, device lost"),
    (130, "interrupted by Ctrl-C; nothing was written"),
];

impl Error {
    /// A problem with a file: what was found there and what was expected.
    pub fn file(path: impl AsRef<Path>, message: impl ToString) -> Self {
        Error::File { path: path.as_ref().to_path_buf(), message: message.to_string() }
    }

    /// A problem with a value: `place` names the option, tensor or node.
    pub fn invalid(place: impl ToString, message: impl ToString) -> Self {
        Error::Invalid { place: place.to_string(), message: message.to_string() }
    }

    /// Exit code of the command line, one of `EXIT_CODES`.
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::File { .. } | Error::Invalid { .. } => 2,
            Error::NoAdapter(_) => 3,
            Error::OutOfMemory { .. } | Error::DeviceLost { .. } | Error::Gpu { .. } => 4,
            Error::Interrupted => 130,
        }
    }
}
