//! Published fingerprint lists as mapping rules. Knows the lists' forms; fetches nothing.

mod lists;
mod mercury;

use std::io::{self, Read};

use crate::{AppRules, Date, MappingError, WrittenRule};

/// The form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportFormat {
    /// `ja3,"application"` lines (salesforce/ja3 lists; abuse.ch has two dates between).
    Ja3Csv,
    /// FoxIO's ja4plus-mapping.csv, of which only the JA4 column is used.
    FoxioCsv,
    /// A table with a header that names `ja4` and `application`.
    Ja4Csv,
    /// Cisco Mercury's fingerprint_db.json: a fingerprint a line, with processes, destinations and
    /// counts. It is learned from, so that confidence is measured.
    Mercury,
}

impl ImportFormat {
    /// The form that `text` (the beginning of a file) has, if it can be told.
    #[must_use]
    pub fn guess(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text.get(..GUESS_BYTES.min(text.len()))?);
        if text.trim_start().starts_with('{') {
            return text.contains("\"str_repr\"").then_some(Self::Mercury);
        }
        let first = text.lines().next()?.to_ascii_lowercase();
        if first.starts_with("application,library,") {
            return Some(Self::FoxioCsv);
        }
        if first.split([',', '\t']).any(|column| column.trim_matches('"') == "ja4") {
            return Some(Self::Ja4Csv);
        }
        let hash = |line: &str| {
            let cell = line.split(',').next().unwrap_or_default().trim_matches('"');
            crate::rule::is_hex(&cell.to_ascii_lowercase(), 32)
        };
        text.lines().any(hash).then_some(Self::Ja3Csv)
    }
}

/// What an import is told of its list.
#[derive(Clone, Copy, Debug)]
pub struct ImportOptions<'a> {
    /// The form.
    pub format: ImportFormat,
    /// The name the list goes by in errors and in the rules' `source`.
    pub file: &'a str,
    /// Licence of the list, for the rules' `licence`.
    pub licence: Option<&'a str>,
    /// The day of the list's facts; without it they do not age (Mercury's carry their own).
    pub date: Option<Date>,
    /// Confidence of each rule in place of the form's own; not for Mercury's, which is measured.
    pub confidence: Option<f64>,
    /// Only processes seen on macOS; for Mercury's alone, which says where they ran.
    pub macos_only: bool,
}

/// What came of an import.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Import {
    /// The rules.
    pub rules: Vec<WrittenRule>,
    /// Lines that were refused, the first [`MAX_ERRORS`] of them.
    pub errors: Vec<MappingError>,
    /// Lines with an entry.
    pub read: u64,
    /// Lines whose entry says nothing that a rule can use (no fingerprint of the client, no
    /// application).
    pub passed_over: u64,
    /// Lines that were refused.
    pub refused: u64,
}

/// Reads a list, already decompressed. `known` lends family, vendor and category to applications
/// that it names.
///
/// # Errors
/// When the list cannot be read. A bad line is no error: it is reported, and the rest is kept.
pub fn import(
    input: &mut dyn Read,
    options: &ImportOptions<'_>,
    known: &AppRules,
) -> io::Result<Import> {
    let mut import = match options.format {
        ImportFormat::Ja3Csv => lists::ja3(input, options)?,
        ImportFormat::FoxioCsv => lists::foxio(input, options)?,
        ImportFormat::Ja4Csv => lists::ja4(input, options)?,
        ImportFormat::Mercury => return mercury::read(input, options, known),
    };
    let facts = crate::written::Facts::new(known);
    import.rules.iter_mut().for_each(|rule| facts.lend(rule));
    Ok(import)
}

impl Import {
    /// Notes a line that is refused.
    fn refuse(&mut self, file: &str, line: u64, key: Option<&str>, message: String) {
        self.refused = self.refused.saturating_add(1);
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(MappingError {
                file: file.to_owned(),
                line: usize::try_from(line).unwrap_or(usize::MAX),
                key: key.map(str::to_owned),
                message: crate::printable(message.as_bytes(), MAX_MESSAGE_BYTES),
            });
        }
    }
}

/// Most refused lines told one by one: after so many the list has another form.
pub const MAX_ERRORS: usize = 100;

/// Longest message of a refused line, in bytes.
const MAX_MESSAGE_BYTES: usize = 200;

/// How much of a file its form is guessed from: past salesforce's licence text.
const GUESS_BYTES: usize = 4096;
