//! The manual page and the shells' completions, from the definition of the command line.

use std::io;

use clap::CommandFactory as _;

use crate::Exit;
use crate::cli::Cli;

/// Prints the manual page of the command and of all its subcommands.
///
/// # Errors
/// When output cannot be written.
pub(crate) fn man() -> anyhow::Result<Exit> {
    let mut out = io::stdout().lock();
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut out)?;
    for subcommand in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("dwell {}", subcommand.get_name());
        let subcommand = subcommand.clone().display_name(name);
        let man = clap_mangen::Man::new(subcommand);
        for part in [
            clap_mangen::Man::render_synopsis_section,
            clap_mangen::Man::render_description_section,
            clap_mangen::Man::render_options_section,
        ] {
            part(&man, &mut out)?;
        }
    }
    Ok(Exit::Success)
}

/// Prints completions.
///
/// # Errors
/// None: what cannot be written ends the process.
pub(crate) fn completions(shell: clap_complete::Shell) -> anyhow::Result<Exit> {
    clap_complete::generate(shell, &mut Cli::command(), "dwell", &mut io::stdout());
    Ok(Exit::Success)
}
