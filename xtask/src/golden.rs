//! Golden files: what `dwell fingerprint` says of each capture under `pcaps/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use serde_json::Value;

use crate::conformance::build_dwell;
use crate::tsv::{self, cell};

/// Compares every capture with the `.jsonl` beside it, or writes that with `UPDATE_GOLDEN=1`.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let dwell = build_dwell(root)?;
    let folder = root.join("pcaps");
    #[expect(clippy::disallowed_methods, reason = "the one switch of this check")]
    let update = std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1");
    let mut wrong = Vec::new();
    let captures = captures(&folder)?;
    for capture in &captures {
        let name = capture.file_name().and_then(|name| name.to_str()).context("capture name")?;
        let output = Command::new(&dwell)
            .args(["fingerprint", "--format", "jsonl", name])
            .current_dir(&folder)
            .output()?;
        if !output.status.success() {
            bail!("{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let golden = golden_path(capture);
        if update {
            fs::write(&golden, &output.stdout)?;
        } else if fs::read(&golden).with_context(|| format!("{}", golden.display()))?
            != output.stdout
        {
            wrong.push(name.to_owned());
        }
    }
    if !wrong.is_empty() {
        bail!("not as their golden files say: {}", wrong.join(", "));
    }
    println!("golden: {} captures as their golden files say", captures.len());
    independent(&folder)
}

/// Compares the golden files with what two other tools read from the same captures
/// (`fingerprints.tsv`), hello by hello.
fn independent(folder: &Path) -> anyhow::Result<()> {
    const FIELDS: [(&str, &str); 4] =
        [("sni", "server_name"), ("ja3", "ja3"), ("ja4", "ja4"), ("ja3s", "ja3s")];
    let table = tsv::read(&folder.join("fingerprints.tsv"))?;
    let mut wrong = Vec::new();
    for rows in table.chunk_by(|a, b| cell(a, "capture") == cell(b, "capture")) {
        let Some(capture) = rows.first().map(|row| cell(row, "capture")) else { continue };
        let golden = folder.join(format!("{capture}.jsonl"));
        let text = fs::read_to_string(&golden).with_context(|| format!("{}", golden.display()))?;
        let hellos: Vec<Value> =
            text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        if hellos.len() != rows.len() {
            wrong.push(format!("{capture}: {} hellos, expected {}", hellos.len(), rows.len()));
        }
        for (hello, row) in hellos.iter().zip(rows) {
            let differs = |(ours, theirs): &&(&str, &str)| {
                hello.get(*ours).and_then(Value::as_str).unwrap_or_default() != cell(row, theirs)
            };
            wrong.extend(
                FIELDS.iter().filter(differs).map(|(field, _)| format!("{capture}: {field}")),
            );
        }
    }
    if !wrong.is_empty() {
        bail!("golden files against other tools: {}", wrong.join(", "));
    }
    println!("golden: {} hellos as tshark and ja4plus read them", table.len());
    Ok(())
}

fn captures(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        let name = path.to_string_lossy();
        if [".pcap", ".pcapng", ".pcap.gz", ".pcap.zst"].iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() {
        bail!("{}: no captures", folder.display());
    }
    Ok(found)
}

/// `x.jsonl` beside `x.pcap`, `x.pcap.gz` and so on.
fn golden_path(capture: &Path) -> PathBuf {
    let name = capture.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let stem = name.split(".pcap").next().unwrap_or_default().to_owned();
    capture.with_file_name(format!("{stem}.jsonl"))
}
