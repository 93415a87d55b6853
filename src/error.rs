//! The one error type. Every message names the place (file, tensor, node, step), what was found and what was expected.
use std::path::{Path, PathBuf};

/// What everything that can fail returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Anything that can go wrong; `exit_code` groups the variants for the command line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that is missing, damaged or not what was expected.
    #[error("{}: {}", plain(path.display()), plain(message))]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What was found and what was expected.
        message: String,
    },
    /// An argument, option or value that is refused.
    #[error("{}: {}", plain(place), plain(message))]
    Invalid {
        /// The option, tensor or node.
        place: String,
        /// What was found and what was expected.
        message: String,
    },
    /// No adapter that can run the kernels, and why.
    #[error("no usable GPU adapter: {0}")]
    NoAdapter(String),
    /// An allocation that the device refused.
    #[error("GPU out of memory at {place}: {message}")]
    OutOfMemory {
        /// What was being done.
        place: String,
        /// What was found and what was expected.
        message: String,
    },
    /// The device went away: driver reset, watchdog, unplugged.
    #[error("GPU device lost at {place}: {message}")]
    DeviceLost {
        /// What was being done.
        place: String,
        /// What was found and what was expected.
        message: String,
    },
    /// Anything else that the graphics stack reports.
    #[error("GPU error at {place}: {message}")]
    Gpu {
        /// What was being done.
        place: String,
        /// What was found and what was expected.
        message: String,
    },
    /// A function of the caller's failed, with an error of its own.
    #[error("{}: {}", plain(place), plain(source))]
    Closure {
        /// The field that it is of.
        place: String,
        /// What it said, as it said it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The observer of a run asked to stop.
    #[error("stopped by the user")]
    Interrupted,
}

/// Characters of a part of a message that are shown: a file chooses the names in it.
const SHOWN: usize = 2000;

/// Text that may quote a file, as one line which a terminal shows as it is: control characters become their escapes.
pub(crate) fn plain(text: impl ToString) -> String {
    let text = text.to_string();
    let mut shown = String::new();
    for c in text.chars().take(SHOWN) {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str(" ..");
    }
    shown
}

/// Exit code of a verb that finished with results that are not finite.
pub const NOT_FINITE: i32 = 5;

/// Exit codes of the command line, and what each says. Stable: scripts rely on them.
pub const EXIT_CODES: &[(i32, &str)] = &[
    (0, "done; what was checked holds"),
    (1, "a check of verify or selftest failed"),
    (2, "bad input: an option, file or model that cannot be used"),
    (3, "no usable GPU adapter"),
    (4, "trouble with the GPU that could not be got over: out of memory, device lost"),
    (NOT_FINITE, "done, but some results are not finite: marked NaN, and left out of every statistic"),
    (130, "interrupted by Ctrl-C; a run goes on from there with the same command"),
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
            Error::File { .. } | Error::Invalid { .. } | Error::Closure { .. } => 2,
            Error::NoAdapter(_) => 3,
            Error::OutOfMemory { .. } | Error::DeviceLost { .. } | Error::Gpu { .. } => 4,
            Error::Interrupted => 130,
        }
    }
}
