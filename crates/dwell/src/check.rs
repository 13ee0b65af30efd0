//! `dwell check`: a configuration and everything it names, read and judged. Changes nothing.

use std::io::{self, Write as _};

use dwell_capture::interfaces;

use crate::Exit;
use crate::cli::CheckArgs;
use crate::config::Config;
use crate::run::Materials;

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
