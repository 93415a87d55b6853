//! Everything that needs no command line: data, run directory, report.
mod data;
mod report;
mod run;
