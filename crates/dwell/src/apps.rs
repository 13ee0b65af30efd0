//! `dwell apps`: rules looked up and explained, imported, learned, compared. The work is in the
//! libraries.

pub(crate) mod args;
mod conflicts;
mod import;
mod learn;
pub(crate) mod lookup;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use dwell_attribution::{AppRules, Date, MappingError};

use crate::Exit;
use crate::apps::args::{AppsArgs, AppsCommand};

/// Runs the command.
///
/// # Errors
/// When rules or inputs cannot be read or output cannot be written.
pub(crate) fn run(args: &AppsArgs) -> anyhow::Result<Exit> {
    match &args.command {
        AppsCommand::Lookup(args) => lookup::run(args),
        AppsCommand::Import(args) => import::run(args),
        AppsCommand::Learn(args) => learn::run(args),
        AppsCommand::Conflicts(args) => conflicts::run(args),
    }
}

/// The rules of `paths`, or those that ship; what was refused in them goes to standard error.
pub(crate) fn rules(paths: &[PathBuf]) -> anyhow::Result<(AppRules, Exit)> {
    if paths.is_empty() {
        return Ok((AppRules::builtin(), Exit::Success));
    }
    let (rules, errors) = AppRules::load(paths).context("application rules")?;
    report(&errors);
    Ok((rules, if errors.is_empty() { Exit::Success } else { Exit::Configuration }))
}

/// Tells refused entries on standard error.
pub(crate) fn report(errors: &[MappingError]) {
    for error in errors {
        eprintln!("dwell: {error}");
    }
}

/// The day on which the command runs.
pub(crate) fn today() -> Date {
    Date::of(crate::clock::wall())
}

/// The file to write into, or standard output.
fn output(path: Option<&Path>) -> anyhow::Result<Box<dyn Write>> {
    Ok(match path {
        Some(path) => {
            let file =
                File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            Box::new(BufWriter::new(file))
        }
        None => Box::new(BufWriter::new(io::stdout().lock())),
    })
}
