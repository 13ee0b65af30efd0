//! Runs the product's sessions, baselines and analytics over scenarios of plain events, and scores
//! what comes out. Reads no packets.

mod budget;
mod curves;
mod events;
mod play;
mod wire;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use budget::{Budget, Detail, Truth};
use events::Scenario;

/// `cargo xtask scenario`.
#[derive(Args)]
pub(crate) struct Options {
    /// Folders with `flows.tsv`, `bursts.bin` and `truth.json`.
    #[arg(required_unless_present = "pcap", value_name = "DIR")]
    folders: Vec<PathBuf>,

    /// Replay a capture end to end, cold, and hold the findings against its labels.
    #[arg(long, num_args = 2, value_names = ["FILE", "LABELS"], conflicts_with = "folders")]
    pcap: Vec<PathBuf>,

    /// The command to run, in place of a release build.
    #[arg(long, requires = "pcap")]
    dwell: Option<PathBuf>,

    /// Take applications from endpoint telemetry (the process) in place of fingerprints.
    #[arg(long)]
    process: bool,

    /// Where to write the judgements of each scenario as JSON lines; a folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Write the terms of each judgement as well.
    #[arg(long, requires = "out")]
    terms: bool,

    /// Draw recall against false findings, of all scenarios and each, as SVG.
    #[arg(long, value_name = "FILE")]
    curves: Option<PathBuf>,

    /// Count each scenario alone, too.
    #[arg(long)]
    each: bool,
}

/// Runs the task.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    if let [capture, labels] = options.pcap.as_slice() {
        let dwell = match &options.dwell {
            Some(dwell) => dwell.clone(),
            None => crate::conformance::build_dwell(root)?,
        };
        return wire::run(&dwell, capture, labels);
    }
    let mut budget = Budget::default();
    let mut curves = Vec::new();
    for folder in &options.folders {
        let scenario = Scenario::load(folder, options.process)?;
        let played = play::play(&scenario);
        let name =
            folder.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        println!(
            "{name}: {} flows, {} bursts in {:.2} s of CPU: {:.2} M bursts/s",
            scenario.flows.len(),
            scenario.bursts.len(),
            played.seconds,
            f64::from(u32::try_from(scenario.bursts.len())?) / played.seconds / 1e6
        );
        if let Some(out) = &options.out {
            std::fs::create_dir_all(out)?;
            let path = out.join(format!("{name}.jsonl"));
            let file = File::create(&path).with_context(|| format!("{}", path.display()))?;
            let mut file = BufWriter::new(file);
            for row in &played.rows {
                serde_json::to_writer(&mut file, &row.json(options.terms))?;
                file.write_all(b"\n")?;
            }
            file.flush()?;
        }
        let truth = Truth::load(folder)?;
        let [outbound, unseen] = truth.siblings(&played.siblings);
        println!(
            "{name}: AN0144 found {} of campaigns and {} others, AN0145 {} and {}",
            outbound.0, outbound.1, unseen.0, unseen.1
        );
        if options.curves.is_some() {
            let mut alone = Budget::default();
            alone.add(&truth, &played.rows);
            curves.push(alone.curve(&name));
        }
        if options.each {
            let mut alone = Budget::default();
            alone.add(&truth, &played.rows);
            alone.print(&name, Detail::Misses);
        }
        budget.add(&truth, &played.rows);
    }
    if let Some(path) = &options.curves {
        curves.push(budget.curve("all"));
        std::fs::write(path, curves::svg(&curves))
            .with_context(|| format!("{}", path.display()))?;
    }
    budget.print("all", Detail::Figures);
    Ok(())
}
