//! The program: its arguments to the command line, whose exit code is its own.
use vorticity::cli;

fn main() {
    std::process::exit(cli::main(&std::env::args_os().collect::<Vec<_>>()));
}
