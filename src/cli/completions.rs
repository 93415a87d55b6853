//! `vorticity completions SHELL`: what a shell needs to complete verbs and options.
//! In: a shell and the description of the command line. Out: a script on standard output.
use super::text::show;
use crate::error::{Error, Result};
use clap_complete::{Shell, generate};

/// Print a script that teaches a shell to complete vorticity's verbs and options.
///
/// bash: vorticity completions bash > ~/.local/share/bash-completion/completions/vorticity
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Shell that will read the script
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints the script; the exit code.
pub fn run(args: &Args, mut command: clap::Command) -> Result<i32> {
    let mut script = vec![];
    generate(args.shell, &mut command, "vorticity", &mut script);
    show(&String::from_utf8(script).map_err(|e| Error::invalid("completions", e))?)?;
    Ok(0)
}
