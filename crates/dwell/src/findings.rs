//! `dwell findings`: what was found, and what people say of it. Judges nothing.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use dwell_store::{FindingRow, Label, LabelRow, Store};
use serde_json::{Value, json};

use crate::cli::judging::{FindingsArgs, FindingsCommand, LabelArg};
use crate::units::spoken;
use crate::{Exit, clock};

/// Runs the command.
///
/// # Errors
/// When the database cannot be read or written, or no finding has the identity.
pub(crate) fn run(args: &FindingsArgs) -> anyhow::Result<Exit> {
    if let FindingsCommand::Export { id: Some(id), bundle: Some(file), evidence } = &args.command {
        return pack(&args.database.database, id, (file, evidence.as_deref()));
    }
    let store = Store::open_existing(&args.database.database)?;
    let mut out = io::stdout().lock();
    match &args.command {
        FindingsCommand::List { open } => {
            for row in store.findings()? {
                let settled = row.label.as_deref().is_some_and(|label| label != Label::Open.name());
                if !(*open && settled) {
                    writeln!(out, "{}", line(&row))?;
                }
            }
        }
        FindingsCommand::Show { id } => {
            let row = one(&store, id)?;
            writeln!(out, "{}\n{}", line(&row), row.sentence)?;
            for reason in reasons(&row) {
                let text = reason.get("text").and_then(Value::as_str).unwrap_or_default();
                let weight = reason.get("weight").and_then(Value::as_f64).unwrap_or(0.0);
                writeln!(out, "  {weight:+5.2}  {text}")?;
            }
            for label in store.labels(&row.id)? {
                writeln!(out, "  {} by {}: {}", label.label, label.person, label.note)?;
            }
        }
        FindingsCommand::Label { id, label, by, note } => {
            let row = one(&store, id)?;
            let label = match label {
                LabelArg::TruePositive => Label::TruePositive,
                LabelArg::FalsePositive => Label::FalsePositive,
                LabelArg::Benign => Label::Benign,
                LabelArg::Open => Label::Open,
            };
            let said = LabelRow {
                label: label.name().to_owned(),
                person: by.clone(),
                note: note.clone(),
                at: clock::wall(),
            };
            store.label(&row.id, &said)?;
            store.log(said.at, "label", &format!("{} {} by {by}: {note}", row.id, label.name()))?;
            writeln!(out, "{} is {}", row.id, label.name())?;
        }
        FindingsCommand::Export { .. } => {
            for row in store.findings()? {
                writeln!(out, "{}", export(&store, &row)?)?;
            }
        }
    }
    Ok(Exit::Success)
}

/// Packs a finding with what it stands on into `file`.
fn pack(
    database: &Path,
    id: &str,
    (file, evidence): (&Path, Option<&Path>),
) -> anyhow::Result<Exit> {
    // Evidence of a replay can be packed without a database.
    let store = match (database.exists(), evidence) {
        (false, Some(_)) => None,
        _ => Some(Store::open_existing(database)?),
    };
    let (id, more) = match &store {
        Some(store) => {
            let row = one(store, id)?;
            let text = format!("{:#}\n", export(store, &row)?);
            (row.id, vec![("finding.json", text.into_bytes())])
        }
        None => (whole_id(id, evidence)?, Vec::new()),
    };
    let known = store.and_then(|store| store.evidence(&id)).map(PathBuf::from);
    let folder = evidence.map(|root| root.join(&id)).or(known);
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        bail!("{id}: no evidence was kept, or it was removed since");
    };
    let bundled = dwell_evidence::bundle(&id, Some(&folder), &more, file)
        .with_context(|| format!("{}: cannot write", file.display()))?;
    println!("{}: {} of finding {id}", file.display(), bundled.files.join(", "));
    Ok(Exit::Success)
}

/// The one folder of evidence whose name begins so.
fn whole_id(prefix: &str, evidence: Option<&Path>) -> anyhow::Result<String> {
    let mut names: Vec<String> = evidence
        .map(std::fs::read_dir)
        .transpose()?
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.starts_with(prefix))
        .collect();
    match (names.pop(), names.len()) {
        (Some(name), 0) => Ok(name),
        (None, _) => bail!("no evidence begins with {prefix}"),
        (Some(_), more) => bail!("{} findings begin with {prefix}", more.saturating_add(1)),
    }
}

/// The one finding whose identity begins so.
fn one(store: &Store, prefix: &str) -> anyhow::Result<FindingRow> {
    let mut rows = store.findings_named(prefix)?;
    match (rows.pop(), rows.len()) {
        (Some(row), 0) => Ok(row),
        (None, _) => bail!("no finding begins with {prefix}"),
        (Some(_), more) => bail!("{} findings begin with {prefix}", more.saturating_add(1)),
    }
}

fn line(row: &FindingRow) -> String {
    let id = row.id.get(..12).unwrap_or(&row.id);
    let provisional = if row.provisional { ", provisional" } else { "" };
    format!(
        "{id}  {}  {:5.1} {}{provisional}  {} {} -> {}  {}  {}",
        row.analytic,
        row.score_bits,
        row.level,
        row.host_name.as_deref().unwrap_or(&row.host),
        row.application,
        row.destination,
        spoken(Duration::try_from_secs_f64(row.held_s).unwrap_or_default()),
        row.label.as_deref().unwrap_or(&row.life)
    )
}

fn reasons(row: &FindingRow) -> Vec<Value> {
    serde_json::from_str(&row.reasons).unwrap_or_default()
}

fn export(store: &Store, row: &FindingRow) -> anyhow::Result<Value> {
    let labels: Vec<Value> = store
        .labels(&row.id)?
        .into_iter()
        .map(|label| json!({"label": label.label, "by": label.person, "note": label.note}))
        .collect();
    Ok(json!({
        "id": row.id,
        "analytic": row.analytic,
        "life": row.life,
        "level": row.level,
        "score": row.score_bits,
        "provisional": row.provisional,
        "host": row.host,
        "host_name": row.host_name,
        "application": row.application,
        "destination": row.destination,
        "held_s": row.held_s,
        "sentence": row.sentence,
        "reasons": reasons(row),
        "labels": labels,
    }))
}
