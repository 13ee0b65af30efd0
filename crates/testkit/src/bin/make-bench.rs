//! Writes a capture for benches from a seed:
//! `make-bench KIND OUT [--bytes SIZE] [--packets N] [--flows N] [--seed N]`.
//!
//! Kinds: `internet`, `small`, `worst`, `syn-flood`; sizes as `1GB`, `64MB`, `100kB` or bytes.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use dwell_testkit::traffic::{Limit, Mix, Traffic};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().ok_or(USAGE)?;
    let path = PathBuf::from(arguments.next().ok_or(USAGE)?);
    let mut limit = Limit::NONE;
    let mut flows = None;
    let mut seed = 1;
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{option}: no value"))?;
        let number = size(&value).ok_or_else(|| format!("{option} {value}: not a number"))?;
        match option.as_str() {
            "--bytes" => limit.bytes = number,
            "--packets" => limit.packets = number,
            "--flows" => flows = Some(u32::try_from(number)?),
            "--seed" => seed = number,
            _ => return Err(USAGE.into()),
        }
    }
    let mix = match (kind.as_str(), flows) {
        ("internet", None) => Mix::Internet,
        ("small", None) => Mix::Small,
        ("worst", flows) => Mix::Worst { flows: flows.unwrap_or(1_000_000) },
        ("syn-flood", flows) => Mix::SynFlood { flows: flows.unwrap_or(1_000_000) },
        ("internet" | "small", Some(_)) => return Err("--flows is for worst and syn-flood".into()),
        _ => return Err(USAGE.into()),
    };
    if limit == Limit::NONE && !matches!(mix, Mix::SynFlood { .. }) {
        return Err("this kind has no end: give --bytes or --packets".into());
    }
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    let written = Traffic::new(mix, seed).write_pcap(limit, &mut out)?;
    out.flush()?;
    println!("{}: {} packets, {} bytes", path.display(), written.packets, written.bytes);
    Ok(())
}

/// A number, with or without a decimal unit of bytes.
fn size(text: &str) -> Option<u64> {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    let found = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (number, factor) = found.unwrap_or((text, 1));
    number.parse::<u64>().ok()?.checked_mul(factor)
}

const USAGE: &str = "usage: make-bench internet|small|worst|syn-flood OUT \
                     [--bytes SIZE] [--packets N] [--flows N] [--seed N]";
