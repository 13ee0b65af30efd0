//! `dwell interfaces`: what can be captured, and why not. Prints; the looking is capture's.

use std::io::{self, Write as _};

use anyhow::Context as _;

use crate::Exit;
use crate::cli::Color;
use crate::terminal;

/// Column heads of the table.
const HEADER: [&str; 5] = ["INTERFACE", "STATE", "MTU", "MBIT/S", "CAPTURE"];

/// Runs the command.
///
/// # Errors
/// When libpcap lists nothing or output cannot be written.
pub(crate) fn run(color: Color) -> anyhow::Result<Exit> {
    let interfaces = dwell_capture::interfaces().context("cannot list interfaces")?;
    let mut table = terminal::table(&HEADER, terminal::colour(color));
    for interface in interfaces {
        let state = match (interface.up, interface.running) {
            (false, _) => "down",
            (true, false) => "up, no carrier",
            (true, true) => "up",
        };
        let number = |n: Option<u32>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let mut capture = interface.obstacle.unwrap_or_else(|| "yes".to_owned());
        if let Some(offloads) = dwell_capture::offloads(&interface.name) {
            for (on, what) in [(offloads.gro, "GRO"), (offloads.lro, "LRO")] {
                if on && capture.starts_with("yes") && interface.name != "lo" {
                    capture.push_str(&format!("; {what} is on and merges packets"));
                }
            }
        }
        table.add_row([
            dwell_output::printable(interface.name.as_bytes()),
            state.to_owned(),
            number(interface.mtu),
            number(interface.speed_mbits),
            capture,
        ]);
    }
    writeln!(io::stdout(), "{}", table.trim_fmt())?;
    Ok(Exit::Success)
}
