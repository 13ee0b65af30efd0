//! Whole processes side by side: rounds, tables, limits. Knows nothing of what the processes do.
//!
//! CPU time is user and system time as the kernel accounts it to the process, of interleaved
//! rounds, so that a busy machine disturbs all alike; compare within one table only.

mod contender;
mod table;

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::conformance::build_dwell;
use crate::pcap_file;
use contender::{Contender, Peer, Run};
use table::{Row, ratio};

/// What to run, how often, on what.
#[derive(Args)]
pub(crate) struct Options {
    /// Captures: classic pcap files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Rounds; in each, every process runs once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(5..))]
    rounds: u32,
    /// Run dwell with these numbers of workers, once each; without it, as dwell decides.
    #[arg(long, value_delimiter = ',')]
    workers: Vec<u32>,
    /// Which other tools to run, of those that are installed.
    #[arg(long, value_delimiter = ',', default_values = ["cat", "tcpdump", "tshark", "ndpi-reader"])]
    peers: Vec<Peer>,
    /// One more process: a command line, split at spaces, with `{}` for the file.
    #[arg(long)]
    also: Vec<String>,
    /// The dwell to measure, instead of building one.
    #[arg(long)]
    dwell: Option<PathBuf>,
    /// Fail when dwell takes more than this many times tcpdump's CPU time.
    #[arg(long)]
    at_most: Option<f64>,
    /// Run dwell and tcpdump on the first quarter, the first half and the whole of each file, and
    /// fail when a packet of the whole costs much more than one of the quarter.
    #[arg(long)]
    sizes: bool,
}

/// Runs everything and prints a table for each file.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let dwell = match &options.dwell {
        Some(path) => path.clone(),
        None => build_dwell(root)?,
    };
    for file in &options.files {
        if options.sizes {
            by_size(&dwell, file, options)?;
        } else {
            side_by_side(&dwell, file, options)?;
        }
    }
    Ok(())
}

fn side_by_side(dwell: &Path, file: &Path, options: &Options) -> anyhow::Result<()> {
    let packets = pcap_file::count_packets(file)?;
    let mut contenders = Contender::dwell(dwell, &options.workers);
    for peer in &options.peers {
        contenders.extend(peer.contender());
    }
    for command in &options.also {
        contenders.push(Contender::from_command(command)?);
    }
    let jobs: Vec<(&Contender, &Path)> = contenders.iter().map(|c| (c, file)).collect();
    let before = load();
    let runs = rounds(&jobs, options.rounds)?;
    let bytes = fs::metadata(file)?.len();
    println!(
        "{}: {packets} packets, {:.1} MB; {} rounds; load {before} before, {} after",
        file.display(),
        bytes as f64 / 1e6,
        options.rounds,
        load()
    );
    let rows: Vec<Row> = contenders
        .iter()
        .zip(runs)
        .map(|(contender, runs)| Row::new(contender.name.clone(), packets, runs))
        .collect();
    let yardstick = rows.iter().find(|row| row.name == YARDSTICK);
    println!("{}", table::render(&rows, yardstick));
    check_limit(&rows, yardstick, options.at_most)
}

/// Fails when a row of dwell's is above the limit.
fn check_limit(rows: &[Row], yardstick: Option<&Row>, at_most: Option<f64>) -> anyhow::Result<()> {
    let Some(limit) = at_most else { return Ok(()) };
    let yardstick = yardstick.context("a limit needs tcpdump, which did not run")?;
    for row in rows.iter().filter(|row| row.name.starts_with(contender::DWELL)) {
        let found = ratio(row.least_cpu(), yardstick.least_cpu());
        if found > limit {
            bail!("{}: {found:.2} times tcpdump, at most {limit:.2} expected", row.name);
        }
    }
    Ok(())
}

/// Cost by size: the beginning of a file must cost as much a packet as all of it.
fn by_size(dwell: &Path, file: &Path, options: &Options) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let bytes = fs::metadata(file).with_context(|| format!("{}", file.display()))?.len();
    let mut parts = Vec::new();
    for (name, divisor) in [("quarter", 4), ("half", 2), ("whole", 1)] {
        let part = folder.path().join(name);
        let packets = pcap_file::cut(file, bytes / divisor, &part)?;
        parts.push((name, part, packets));
    }
    let mut contenders = Contender::dwell(dwell, &options.workers);
    contenders.extend(Peer::Tcpdump.contender());
    let mut jobs: Vec<(&Contender, &Path)> = Vec::new();
    for contender in &contenders {
        jobs.extend(parts.iter().map(|(_, part, _)| (contender, part.as_path())));
    }
    let before = load();
    let mut runs = rounds(&jobs, options.rounds)?.into_iter();
    println!(
        "{}: {} rounds; load {before} before, {} after",
        file.display(),
        options.rounds,
        load()
    );
    let mut steep = Vec::new();
    for contender in &contenders {
        let rows: Vec<Row> = parts
            .iter()
            .zip(&mut runs)
            .map(|((name, _, packets), runs)| {
                Row::new(format!("{}, {name}", contender.name), *packets, runs)
            })
            .collect();
        println!("{}", table::render(&rows, None));
        let cost = |row: Option<&Row>| row.map_or(0.0, Row::least_ns_per_packet);
        let growth = cost(rows.last()) / cost(rows.first());
        println!("{}: a packet of the whole costs {growth:.2} of the quarter's", contender.name);
        if contender.name.starts_with(contender::DWELL) && growth > STEEP {
            steep.push(format!("{} {growth:.2}", contender.name));
        }
    }
    if !steep.is_empty() {
        bail!("cost grows faster than the file: {} (at most {STEEP})", steep.join(", "));
    }
    Ok(())
}

/// The runs of each job: in every round each job once, in the order given.
fn rounds(jobs: &[(&Contender, &Path)], rounds: u32) -> anyhow::Result<Vec<Vec<Run>>> {
    let mut runs: Vec<Vec<Run>> = jobs.iter().map(|_| Vec::new()).collect();
    let is_watched = std::io::stderr().is_terminal();
    for round in 1..=rounds {
        for ((contender, file), runs) in jobs.iter().zip(&mut runs) {
            if is_watched {
                eprint!("\rround {round} of {rounds}: {:40}\r", contender.name);
            }
            runs.push(contender.run(file)?);
        }
    }
    Ok(runs)
}

/// Load averages, as the kernel writes them.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().map_or_else(|| "unknown".to_owned(), str::to_owned)
}

/// Whose CPU time is 1.
const YARDSTICK: &str = "tcpdump";

/// How much dearer a packet of the whole may be than one of the first quarter: the table of a
/// longer capture holds more flows and leaves the caches, which took a prototype of the flow table
/// from 25 to 40 ns between 100,000 and a million flows; a quadratic cost would give 4.
const STEEP: f64 = 1.5;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn row(name: &str, cpu_ms: &[u64]) -> Row {
        let run = |ms: &u64| Run {
            cpu: Duration::from_millis(*ms),
            wall: Duration::from_millis(*ms),
            peak_bytes: 1 << 20,
        };
        Row::new(name.to_owned(), 1_000, cpu_ms.iter().map(run).collect())
    }

    #[test]
    fn a_limit_fails_on_the_least_of_dwell_alone() {
        let rows = [row("dwell", &[30, 11]), row("tcpdump", &[10, 20]), row("tshark", &[900])];
        check_limit(&rows, rows.get(1), Some(1.2)).unwrap();
        let message = check_limit(&rows, rows.get(1), Some(1.0)).unwrap_err().to_string();
        assert_eq!(message, "dwell: 1.10 times tcpdump, at most 1.00 expected");
        assert!(check_limit(&rows, None, Some(1.0)).is_err());
        check_limit(&rows, None, None).unwrap();
    }

    #[test]
    fn every_round_runs_every_process_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cat = Contender::from_command("cat {}").unwrap();
        let echo = Contender::from_command("true").unwrap();
        let runs = rounds(&[(&cat, file.path()), (&echo, file.path())], 3).unwrap();
        assert_eq!(runs.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
        assert!(runs.iter().flatten().all(|run| run.peak_bytes > 0));
    }

    #[test]
    fn a_process_that_fails_is_named_with_its_command() {
        let failing = Contender::from_command("cat /nonexistent/{}").unwrap();
        let message = failing.run(Path::new("x")).unwrap_err().to_string();
        assert!(message.contains("cat /nonexistent/x"), "{message}");
        assert!(Contender::from_command("  ").is_err());
    }
}
