//! `dwell apps conflicts`: fingerprints that name no single application. Prints.

use std::io::{self, Write as _};

use crate::Exit;
use crate::apps::args::ConflictsArgs;

/// Runs the command.
///
/// # Errors
/// When rules cannot be read or output cannot be written.
pub(crate) fn run(args: &ConflictsArgs) -> anyhow::Result<Exit> {
    let (rules, exit) = super::rules(&args.apps)?;
    let mut out = io::stdout().lock();
    let mut shown = 0_usize;
    for shared in rules.conflicts() {
        if args.key.as_ref().is_some_and(|key| *key != shared.key) {
            continue;
        }
        shown += 1;
        writeln!(out, "{} {}", shared.part, shared.key)?;
        for (application, rules, flows) in &shared.applications {
            let flows = flows.map_or_else(String::new, |flows| format!(", {flows} flows"));
            writeln!(out, "  {application}: {rules} rules{flows}")?;
        }
    }
    writeln!(out, "{shown} fingerprints are shared by several applications")?;
    Ok(exit)
}
