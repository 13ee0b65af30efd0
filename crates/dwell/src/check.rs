//! `dwell check`: a configuration and everything it names, read and judged. Changes nothing.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use dwell_capture::interfaces;

use crate::Exit;
use crate::cli::CheckArgs;
use crate::config::Config;
use crate::run::{Materials, privileges};

/// Runs the command.
///
/// # Errors
/// When output cannot be written; a wrong configuration is an exit code.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<Exit> {
    let checked = Config::load(&args.config).and_then(|config| {
        Materials::load(&config)?;
        Ok(config)
    });
    let config = match checked {
        Ok(config) => config,
        Err(error) => {
            eprintln!("dwell: {error:#}");
            return Ok(Exit::Configuration);
        }
    };
    if args.sandbox {
        return sandbox(&config, &args.config);
    }
    let mut out = io::stdout().lock();
    if args.dump {
        out.write_all(toml::to_string(&config)?.as_bytes())?;
        return Ok(Exit::Success);
    }
    let known = interfaces().unwrap_or_default();
    for capture in &config.capture {
        let name = &capture.interface;
        match known.iter().find(|interface| interface.name == *name) {
            None => writeln!(out, "warning: interface {name} is not there now")?,
            Some(interface) => {
                if let Some(obstacle) = &interface.obstacle {
                    writeln!(out, "warning: interface {name}: {obstacle}")?;
                }
            }
        }
    }
    if config.capture.is_empty() {
        writeln!(out, "warning: no [[capture]]: dwell run needs -i")?;
    }
    writeln!(out, "{}: the configuration is right", args.config.display())?;
    Ok(Exit::Success)
}

/// Gives rights up for good, and tries what must fail then.
fn sandbox(config: &Config, path: &Path) -> anyhow::Result<Exit> {
    privileges::give_up(config, Some(path)).context("privileges")?;
    let mut exit = Exit::Success;
    for (what, refused) in privileges::try_forbidden(config) {
        let outcome = if refused { "refused" } else { "ALLOWED" };
        println!("{outcome}  {what}");
        if !refused {
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}
