//! `dwell apps import`: a published list in, a mapping file out. Reads no list itself.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};

use anyhow::{Context as _, bail};
use dwell_attribution::{AppRules, ImportFormat, ImportOptions, import};

use crate::Exit;
use crate::apps::args::{ImportArgs, ListFormat};

/// Runs the command.
///
/// # Errors
/// When the list cannot be read, its form cannot be told, or output cannot be written.
pub(crate) fn run(args: &ImportArgs) -> anyhow::Result<Exit> {
    let name = args.file.display().to_string();
    let context = || format!("cannot read {name}");
    let mut plain = BufReader::new(File::open(&args.file).with_context(context)?);
    let packed = plain.fill_buf().with_context(context)?.starts_with(&[0x1f, 0x8b]);
    let unpacked: Box<dyn Read> =
        if packed { Box::new(flate2::read::MultiGzDecoder::new(plain)) } else { Box::new(plain) };
    let mut input = BufReader::with_capacity(GUESS_BYTES, unpacked);
    let format = match args.format {
        Some(format) => format.into(),
        None => match ImportFormat::guess(input.fill_buf().with_context(context)?) {
            Some(format) => format,
            None => bail!("{name}: the form of the list cannot be told, use --format"),
        },
    };
    let options = ImportOptions {
        format,
        file: &name,
        licence: args.licence.as_deref(),
        date: args.date,
        confidence: args.confidence,
        macos_only: args.macos_only,
    };
    let found = import(&mut input, &options, &AppRules::builtin()).with_context(context)?;
    super::report(&found.errors);
    let mut out = super::output(args.out.as_deref())?;
    writeln!(out, "# Imported from {}.", dwell_attribution::printable(name.as_bytes(), 200))?;
    for rule in &found.rules {
        rule.write(&mut out)?;
    }
    out.flush()?;
    eprintln!(
        "dwell: {name}: {} rules from {} entries, {} without use for a rule, {} refused",
        found.rules.len(),
        found.read,
        found.passed_over,
        found.refused,
    );
    Ok(if found.refused == 0 { Exit::Success } else { Exit::Damaged })
}

impl From<ListFormat> for ImportFormat {
    fn from(format: ListFormat) -> Self {
        match format {
            ListFormat::Ja3Csv => Self::Ja3Csv,
            ListFormat::FoxioCsv => Self::FoxioCsv,
            ListFormat::Ja4Csv => Self::Ja4Csv,
            ListFormat::Mercury => Self::Mercury,
        }
    }
}

/// How much is read before the form is told.
const GUESS_BYTES: usize = 64 * 1024;
