//! Lists with a line an entry: JA3 and JA4 tables. Knows no Mercury.

use std::io::{self, Read};

use csv::StringRecord;
use hashbrown::HashSet;

use super::{Import, ImportOptions};
use crate::rule::{is_hex, is_ja4};
use crate::{Os, WrittenRule};

/// `ja3,"application"`; several applications stand in one cell with commas between.
pub(super) fn ja3(input: &mut dyn Read, options: &ImportOptions<'_>) -> io::Result<Import> {
    let mut import = Import::default();
    each(input, b',', options, &mut import, |import, line, record| {
        let ja3 = record.get(0).unwrap_or_default().trim().to_ascii_lowercase();
        let name = record.iter().skip(1).map(str::trim).filter(|cell| !cell.is_empty()).last();
        let Some(name) = name else {
            // A licence text in the first cell, as salesforce's lists have it, or a lone hash.
            import.passed_over += 1;
            return;
        };
        if ja3 == "ja3_md5" || ja3 == "ja3" {
            return;
        }
        if !is_hex(&ja3, 32) {
            let message = format!("`{ja3}` is not a JA3");
            return import.refuse(options.file, line, Some("ja3"), message);
        }
        let shared = name.to_ascii_lowercase().starts_with("used by many");
        let names: Vec<&str> = if shared {
            vec!["shared stack"]
        } else {
            name.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
        };
        for (place, application) in names.into_iter().take(MAX_NAMES).enumerate() {
            let mut rule = rule(options, line, application, JA3_CONFIDENCE);
            if place > 0 {
                rule.id = format!("{}-{place}", rule.id);
            }
            rule.ja3 = vec![ja3.clone()];
            if shared {
                rule.scope = Some("stack");
                rule.note = Some(name.to_owned());
            }
            import.rules.push(rule);
        }
    })?;
    Ok(import)
}

/// FoxIO's mapping: application, library, device, system, then fingerprints of which JA4 is free
/// to use. An application with a library's JA4 only warns: it is built on the library.
pub(super) fn foxio(input: &mut dyn Read, options: &ImportOptions<'_>) -> io::Result<Import> {
    let mut import = Import::default();
    let mut libraries: HashSet<String, foldhash::fast::RandomState> = HashSet::default();
    each(input, b',', options, &mut import, |import, line, record| {
        let cell = |column: usize| record.get(column).unwrap_or_default().trim();
        let (application, library, ja4) = (cell(0), cell(1), cell(4));
        if application == "Application" && ja4 == "ja4" {
            return;
        }
        let name = if application.is_empty() { library } else { application };
        if name.is_empty() || ja4.is_empty() {
            import.passed_over += 1;
            return;
        }
        if !is_ja4(ja4) {
            return import.refuse(options.file, line, Some("ja4"), format!("`{ja4}` is not a JA4"));
        }
        let mut rule = rule(options, line, name, JA4_CONFIDENCE);
        rule.ja4 = vec![ja4.to_owned()];
        if application.is_empty() {
            libraries.insert(ja4.to_owned());
            rule.category = Some("library");
        }
        if let Some(os) = system(cell(3)) {
            rule.allow(os);
        }
        let note = cell(10);
        rule.note = (!note.is_empty()).then(|| note.to_owned());
        import.rules.push(rule);
    })?;
    for rule in &mut import.rules {
        let built_on = rule.ja4.iter().any(|ja4| libraries.contains(ja4));
        if built_on && rule.category.is_none() {
            rule.scope = Some("hint");
        }
    }
    Ok(import)
}

/// A table whose header names `ja4` and the application; `ja3`, `family`, `vendor` and
/// `confidence` are used if they are there. Commas or tabs.
pub(super) fn ja4(input: &mut dyn Read, options: &ImportOptions<'_>) -> io::Result<Import> {
    let mut text = String::new();
    input.take(MAX_BYTES).read_to_string(&mut text)?;
    let first = text.lines().next().unwrap_or_default();
    let delimiter = if first.contains('\t') { b'\t' } else { b',' };
    let mut import = Import::default();
    let mut header: Option<Header> = None;
    each(&mut text.as_bytes(), delimiter, options, &mut import, |import, line, record| {
        let Some(header) = &header else {
            header = Some(Header::of(record));
            return;
        };
        let cell = |column: Option<usize>| {
            column.and_then(|column| record.get(column)).map(str::trim).filter(|c| !c.is_empty())
        };
        let (Some(application), Some(ja4)) = (cell(header.application), cell(header.ja4)) else {
            import.passed_over += 1;
            return;
        };
        if !is_ja4(ja4) {
            return import.refuse(options.file, line, Some("ja4"), format!("`{ja4}` is not a JA4"));
        }
        let mut rule = rule(options, line, application, JA4_CONFIDENCE);
        rule.ja4 = vec![ja4.to_owned()];
        if let Some(ja3) = cell(header.ja3) {
            if !is_hex(ja3, 32) {
                let message = format!("`{ja3}` is not a JA3");
                return import.refuse(options.file, line, Some("ja3"), message);
            }
            rule.ja3 = vec![ja3.to_owned()];
        }
        if let Some(confidence) = cell(header.confidence) {
            match confidence.parse::<f64>() {
                Ok(confidence) if confidence > 0.0 && confidence <= 1.0 => {
                    rule.confidence = options.confidence.unwrap_or(confidence);
                }
                Ok(_) | Err(_) => {
                    let message = format!("0 < x <= 1 is needed, not `{confidence}`");
                    return import.refuse(options.file, line, Some("confidence"), message);
                }
            }
        }
        rule.family = cell(header.family).map(str::to_owned);
        rule.vendor = cell(header.vendor).map(str::to_owned);
        import.rules.push(rule);
    })?;
    Ok(import)
}

/// Where a table's columns are.
struct Header {
    application: Option<usize>,
    ja4: Option<usize>,
    ja3: Option<usize>,
    family: Option<usize>,
    vendor: Option<usize>,
    confidence: Option<usize>,
}

impl Header {
    fn of(record: &StringRecord) -> Self {
        let find = |names: &[&str]| {
            let is = |cell: &str| names.iter().any(|name| cell.trim().eq_ignore_ascii_case(name));
            record.iter().position(is)
        };
        Self {
            application: find(&["application", "app", "process", "program", "label"]),
            ja4: find(&["ja4", "ja4_fingerprint"]),
            ja3: find(&["ja3", "ja3_fingerprint"]),
            family: find(&["family", "app_family"]),
            vendor: find(&["vendor"]),
            confidence: find(&["confidence"]),
        }
    }
}

/// Gives each record with its line to `take`; what is no record is refused.
fn each(
    input: &mut dyn Read,
    delimiter: u8,
    options: &ImportOptions<'_>,
    import: &mut Import,
    mut take: impl FnMut(&mut Import, u64, &StringRecord),
) -> io::Result<()> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .comment(Some(b'#'))
        .from_reader(input.take(MAX_BYTES));
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(io::Error::from)? {
        let line = record.position().map_or(0, csv::Position::line);
        import.read = import.read.saturating_add(1);
        if import.read > MAX_RECORDS {
            import.refuse(options.file, line, None, format!("more than {MAX_RECORDS} entries"));
            break;
        }
        match StringRecord::from_byte_record(record.clone()) {
            Ok(record) => take(import, line, &record),
            Err(_) => import.refuse(options.file, line, None, "not UTF-8".to_owned()),
        }
    }
    Ok(())
}

fn rule(options: &ImportOptions<'_>, line: u64, application: &str, confidence: f64) -> WrittenRule {
    let file = options.file.rsplit('/').next().unwrap_or(options.file);
    WrittenRule {
        id: format!("{file}-{line}"),
        application: application.to_owned(),
        confidence: options.confidence.unwrap_or(confidence),
        date: options.date.map(|date| date.to_string()),
        source: format!("{file}, line {line}"),
        licence: options.licence.map(str::to_owned),
        ..WrittenRule::default()
    }
}

/// The system that a name such as `Windows 10` or `Mac OSX/iPhone` stands for.
fn system(name: &str) -> Option<Os> {
    let name = name.to_ascii_lowercase();
    let known = [
        ("windows", Os::Windows),
        ("mac", Os::Macos),
        ("ubuntu", Os::Linux),
        ("linux", Os::Linux),
        ("android", Os::Android),
    ];
    known.into_iter().find(|(word, _)| name.contains(word)).map(|(_, os)| os)
}

/// What a label of a JA3 list is worth: measured on a year's flows of macOS, where the lists' own
/// labels were right for .34 of the flows that had one.
const JA3_CONFIDENCE: f64 = 0.34;

/// What an unverified label of a JA4 list is worth: a judgement.
const JA4_CONFIDENCE: f64 = 0.5;

/// Most bytes of a list: a thousand times the largest that is published.
const MAX_BYTES: u64 = 64 << 20;

/// Most entries of a list.
const MAX_RECORDS: u64 = 1_000_000;

/// Most applications in one cell.
const MAX_NAMES: usize = 16;
