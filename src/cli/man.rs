//! `vorticity man`: manual pages in roff, the program's own and one per verb.
//! In: the description of the command line, perhaps a folder. Out: the program's page on standard output, or all as files.
use super::{examples, text::show};
use crate::error::{EXIT_CODES, Error, Result};
use crate::run::write_file;
use clap::builder::Resettable;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::path::PathBuf;

/// Print the manual page, or write the pages of the program and of every verb to a folder.
///
/// vorticity man | man -l -
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Folder for vorticity.1, vorticity-circulation.1 and so on; made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Prints or writes the pages; the exit code.
pub fn run(args: &Args, command: clap::Command) -> Result<i32> {
    // The help of the verb `help` and the exit codes as plain help text have no place in a page.
    let mut command = command.disable_help_subcommand(true).after_help(Resettable::Reset);
    command.build();
    let Some(folder) = &args.out else {
        show(&page(Man::new(command), "")?)?;
        return Ok(0);
    };
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, format!("cannot be created: {e}")))?;
    let mut left = vec![(&command, String::new())];
    while let Some((command, verb)) = left.pop() {
        let words = |own: &str| format!("{verb} {own}").trim_start().to_string();
        left.extend(command.get_subcommands().map(|own| (own, words(own.get_name()))));
        let man = Man::new(command.clone());
        let path = folder.join(man.get_filename());
        write_file(&path, page(man, &verb)?.as_bytes())?;
    }
    Ok(0)
}

/// One page, with examples, as they are typed, and the exit codes at its end.
fn page(man: Man, verb: &str) -> Result<String> {
    let mut page = vec![];
    let mut status = Roff::default();
    status.control("SH", ["EXAMPLES"]).control("nf", []);
    for line in examples::text(verb).lines() {
        status.text([roman(line)]);
    }
    status.control("fi", []);
    status.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXIT_CODES {
        status.control("TP", ["6"]).text([roman(code.to_string())]).text([roman(*meaning)]);
    }
    man.render(&mut page).map_err(|e| Error::invalid("manual page", e))?;
    page.extend(status.to_roff().bytes());
    String::from_utf8(page).map_err(|e| Error::invalid("manual page", e))
}
