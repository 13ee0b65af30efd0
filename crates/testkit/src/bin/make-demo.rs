//! Writes the demo capture and its labels: `make-demo DIRECTORY [SEED]`.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use dwell_testkit::office::{DEMO_SEED, Office};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let directory = PathBuf::from(args.next().ok_or("usage: make-demo DIRECTORY [SEED]")?);
    let seed = match args.next() {
        Some(seed) => seed.to_str().ok_or("the seed is no number")?.parse()?,
        None => DEMO_SEED,
    };
    let office = Office::new(seed);
    let mut file = BufWriter::new(File::create(directory.join("demo-office.pcap.gz"))?);
    office.capture.write_pcap_gz(&mut file)?;
    file.flush()?;
    fs::write(directory.join("demo-office.labels.json"), office.labels_json())?;
    Ok(())
}
