//! `dwell fingerprint` against a corpus of captures with expected hellos. Computes no
//! fingerprint itself.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::tsv::{self, Row, cell};

/// The fields that are compared.
const FIELDS: [&str; 4] = ["ja3", "ja4", "sni", "ja3s"];

/// Runs the whole corpus and prints its figures; fails when a gold row is missing or wrong.
pub(crate) fn run(root: &Path, dir: &Path, misses: usize) -> anyhow::Result<()> {
    let dwell = build_dwell(root)?;
    let dir = dir.canonicalize().with_context(|| format!("{}", dir.display()))?;
    let mut failures = Vec::new();
    let expected = tsv::read(&dir.join("expected.tsv"))?;
    let gold: Vec<&Row> = expected.iter().filter(|row| cell(row, "level") == "gold").collect();
    let mut captures: Vec<&str> = gold.iter().map(|row| cell(row, "pcap")).collect();
    captures.dedup();
    let rows = fingerprint(&dwell, &dir.join("captures"), &captures)?;
    println!("gold rows of {} captures", captures.len());
    failures.extend(score(&gold, &rows));
    failures.extend(synthetic(&dwell, &dir)?);
    failures.extend(encapsulations(&dwell, &dir)?);
    for failure in failures.iter().take(misses) {
        println!("  {failure}");
    }
    if failures.is_empty() {
        println!("conformance: everything found and right");
        return Ok(());
    }
    bail!("{} rows missing or wrong", failures.len())
}

/// Builds the release binary and gives its path.
pub(crate) fn build_dwell(root: &Path) -> anyhow::Result<PathBuf> {
    let cargo = env!("CARGO");
    let output = Command::new(cargo)
        .args(["build", "--release", "--package", "dwell", "--message-format", "json"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo build")?;
    if !output.status.success() {
        bail!("cargo build failed");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .next_back()
        .context("cargo built no executable")
}

/// The rows that `dwell fingerprint` prints for `captures`, read from within `folder`.
pub(crate) fn fingerprint(
    dwell: &Path,
    folder: &Path,
    captures: &[&str],
) -> anyhow::Result<Vec<Value>> {
    let mut rows = Vec::new();
    for chunk in captures.chunks(200) {
        let output = Command::new(dwell)
            .args(["fingerprint", "--format", "jsonl"])
            .args(chunk)
            .current_dir(folder)
            .stderr(Stdio::piped())
            .output()
            .with_context(|| format!("{}", dwell.display()))?;
        // Damaged captures are part of the corpus: their results before the damage count.
        if !matches!(output.status.code(), Some(0 | 5)) {
            std::io::stderr().write_all(&output.stderr)?;
            bail!("dwell fingerprint ended with {}", output.status);
        }
        for line in String::from_utf8(output.stdout)?.lines() {
            rows.push(serde_json::from_str(line).with_context(|| line.to_owned())?);
        }
    }
    Ok(rows)
}

/// Pcap, client address and port, server address and port.
type Key = (String, String, String, String, String);

/// Found and right, by field.
#[derive(Default)]
struct Tally {
    rows: usize,
    missing: usize,
    /// Right and asked, of each of [`FIELDS`].
    fields: [(usize, usize); FIELDS.len()],
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rows {:5}  found {:5}", self.rows, self.rows - self.missing)?;
        for (field, (right, asked)) in FIELDS.iter().zip(&self.fields) {
            write!(f, "  {field} {right}/{asked}")?;
        }
        Ok(())
    }
}

/// Compares by the corpus's own matching rule: same capture and four-tuple; several hellos of one
/// four-tuple by value, then by order.
fn score(expected: &[&Row], rows: &[Value]) -> Vec<String> {
    let mut got: BTreeMap<Key, Vec<&Value>> = BTreeMap::new();
    for row in rows {
        got.entry(key_of(row)).or_default().push(row);
    }
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut failures = Vec::new();
    for row in expected {
        let column = |name| cell(row, name).to_owned();
        let key = (column("pcap"), column("src"), column("sport"), column("dst"), column("dport"));
        let candidates = got.entry(key.clone()).or_default();
        let matched = match choose(row, candidates) {
            Some(at) if candidates.len() > 1 => Some(candidates.remove(at)),
            Some(_) => candidates.first().copied(),
            None => None,
        };
        let wrong = matched.map(|value| wrong_fields(row, value));
        let multi = if cell(row, "reassembly") == "multi" { "-multi" } else { "" };
        for group in [format!("{}{multi}", cell(row, "transport")), "all".to_owned()] {
            tally(tallies.entry(group).or_default(), row, wrong.as_deref());
        }
        match wrong {
            None => failures.push(format!("{key:?}: missing ({})", cell(row, "tags"))),
            Some(wrong) if !wrong.is_empty() => {
                failures.push(format!("{key:?}: {wrong:?} ({})", cell(row, "tags")));
            }
            Some(_) => {}
        }
    }
    for (group, tally) in &tallies {
        println!("{group:12} {tally}");
    }
    failures
}

fn key_of(row: &Value) -> Key {
    let text = |name: &str| match row.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    (text("pcap"), text("src"), text("sport"), text("dst"), text("dport"))
}

/// Which candidate answers the expected row.
fn choose(row: &Row, candidates: &[&Value]) -> Option<usize> {
    let number = |value: &Value| value.get("hello_no").map(ToString::to_string);
    let same = |field: &str| {
        let wanted = cell(row, field);
        let is = |value: &Value| !wanted.is_empty() && text(value, field) == wanted;
        // Of equal hellos (DTLS sends one again with a cookie), the one of the same number.
        let numbered = |value: &Value| number(value).as_deref() == Some(cell(row, "hello_no"));
        let exact = candidates.iter().position(|value| is(value) && numbered(value));
        exact.or_else(|| candidates.iter().position(|value| is(value)))
    };
    same("ja4").or_else(|| same("ja3")).or((!candidates.is_empty()).then_some(0))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Whether the corpus vouches for this field of this row.
fn is_asked(row: &Row, field: &str) -> bool {
    field != "ja3s" || (!cell(row, "ja3s").is_empty() && cell(row, "gold_ja3s") == "gold")
}

fn wrong_fields(row: &Row, value: &Value) -> Vec<(&'static str, String, String)> {
    FIELDS
        .iter()
        .filter(|field| is_asked(row, field) && cell(row, field) != text(value, field))
        .map(|field| (*field, cell(row, field).to_owned(), text(value, field).to_owned()))
        .collect()
}

fn tally(tally: &mut Tally, row: &Row, wrong: Option<&[(&'static str, String, String)]>) {
    tally.rows += 1;
    let Some(wrong) = wrong else {
        tally.missing += 1;
        return;
    };
    for (field, (right, asked)) in FIELDS.iter().zip(&mut tally.fields) {
        if is_asked(row, field) {
            *asked += 1;
            *right += usize::from(!wrong.iter().any(|(name, ..)| name == field));
        }
    }
}

/// The corner cases: one flow each, every hello with all its fields.
fn synthetic(dwell: &Path, dir: &Path) -> anyhow::Result<Vec<String>> {
    let mut expected = tsv::read(&dir.join("synth/expected_synth.tsv"))?;
    // A case without any fingerprint says that nothing is to be found.
    let silent: Vec<String> = expected
        .extract_if(.., |row| cell(row, "ja4").is_empty() && cell(row, "ja3").is_empty())
        .map(|row| cell(&row, "pcap").to_owned())
        .collect();
    for row in &mut expected {
        row.insert("gold_ja3s".to_owned(), "gold".to_owned());
    }
    let mut captures: Vec<&str> = expected.iter().map(|row| cell(row, "pcap")).collect();
    captures.dedup();
    let rows = fingerprint(dwell, dir, &captures)?;
    println!("synthetic corner cases, {} captures", captures.len());
    let mut failures = score(&expected.iter().collect::<Vec<_>>(), &rows);
    let quiet: Vec<&str> = silent.iter().map(String::as_str).collect();
    for row in fingerprint(dwell, dir, &quiet)? {
        failures.push(format!("{}: a hello where none is", text(&row, "pcap")));
    }
    Ok(failures)
}

/// The encapsulations: the same two hellos in every link layer, tunnel and file format.
fn encapsulations(dwell: &Path, dir: &Path) -> anyhow::Result<Vec<String>> {
    let expected = tsv::read(&dir.join("synth/expected_encap.tsv"))?;
    let mut failures = Vec::new();
    for row in &expected {
        let pcap = cell(row, "pcap");
        let rows = fingerprint(dwell, &dir.join("synth/encap"), &[pcap])?;
        let mut found: Vec<&str> = rows.iter().map(|row| text(row, "ja4")).collect();
        found.sort_unstable();
        found.dedup();
        let mut wanted: Vec<&str> =
            cell(row, "expected_ja4").split('+').filter(|ja4| ja4.contains('_')).collect();
        wanted.sort_unstable();
        if found != wanted {
            failures.push(format!("{pcap}: found {found:?}, expected {wanted:?}"));
        }
    }
    println!("encapsulations {}/{}", expected.len() - failures.len(), expected.len());
    Ok(failures)
}
