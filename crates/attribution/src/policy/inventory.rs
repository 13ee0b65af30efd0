//! Approved software by host, as management tools export it: Jamf, Munki, osquery. Judges nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hashbrown::{HashMap, HashSet};
use serde::Deserialize;
use serde_json::Value;

use super::Program;
use crate::config::MappingError;
use crate::{Attribution, HostRef};

/// An export named in a policy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    #[serde(rename = "type")]
    kind: Kind,
    /// The file, or a folder of files, beside the policy or by its full path.
    pub(super) path: PathBuf,
    /// The host that it is of, where the export does not say; without it, any host.
    host: Option<String>,
    /// Columns of a Jamf export, where they are not named as Jamf names them.
    #[serde(default)]
    columns: Columns,
}

/// Forms of exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// A table of applications by computer.
    JamfCsv,
    /// Manifests or a ManagedInstallReport, as property list or JSON.
    Munki,
    /// Rows of osquery's `apps` table: a JSON array, or lines of results.
    OsqueryApps,
}

/// Which columns a Jamf export has.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Columns {
    host: String,
    application: String,
    bundle: String,
}

impl Default for Columns {
    /// As Jamf's report of applications by computer names them.
    fn default() -> Self {
        Self {
            host: "Computer Name".to_owned(),
            application: "Application Title".to_owned(),
            bundle: "Bundle ID".to_owned(),
        }
    }
}

/// Approved software, united over all exports.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    anywhere: HashSet<String, foldhash::fast::RandomState>,
    by_host:
        HashMap<String, HashSet<String, foldhash::fast::RandomState>, foldhash::fast::RandomState>,
    names: usize,
}

impl Inventory {
    /// The name under which the application is approved on `host`, if it is.
    pub(super) fn approves(
        &self,
        host: &HostRef,
        attribution: &Attribution,
        program: &Program<'_>,
    ) -> Option<String> {
        if self.names == 0 {
            return None;
        }
        let family = attribution.family.as_deref();
        let names = [Some(&*attribution.application), family, program.bundle];
        let host = host.name.as_deref().map(str::to_ascii_lowercase);
        let own = host.and_then(|host| self.by_host.get(&host));
        names
            .into_iter()
            .flatten()
            .map(plain)
            .find(|name| self.anywhere.contains(name) || own.is_some_and(|own| own.contains(name)))
    }

    /// How many names are approved, over all hosts.
    pub(super) const fn names(&self) -> usize {
        self.names
    }

    /// Takes an export in; what is refused of it is told, and the rest is kept.
    pub(super) fn read(&mut self, export: &Export, base: &Path, errors: &mut Vec<MappingError>) {
        let path = base.join(&export.path);
        for file in files(&path, errors) {
            let mut reading =
                Reading { inventory: self, export, file: file.display().to_string(), errors };
            match std::fs::metadata(&file).and_then(|meta| {
                if meta.len() > MAX_BYTES {
                    return Err(std::io::Error::other(format!("more than {MAX_BYTES} bytes")));
                }
                std::fs::read(&file)
            }) {
                Ok(bytes) => reading.bytes(&bytes),
                Err(error) => reading.refuse(0, None, error.to_string()),
            }
        }
    }

    fn approve(&mut self, host: Option<&str>, name: &str) {
        let name = plain(name);
        if name.is_empty() || self.names >= MAX_NAMES {
            return;
        }
        let added = match host {
            None => self.anywhere.insert(name),
            Some(host) => self.by_host.entry(host.to_ascii_lowercase()).or_default().insert(name),
        };
        self.names += usize::from(added);
    }
}

/// One file being read.
struct Reading<'r> {
    inventory: &'r mut Inventory,
    export: &'r Export,
    file: String,
    errors: &'r mut Vec<MappingError>,
}

impl Reading<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        match self.export.kind {
            Kind::JamfCsv => self.jamf(bytes),
            Kind::Munki => self.munki(bytes),
            Kind::OsqueryApps => self.osquery(bytes),
        }
    }

    fn jamf(&mut self, bytes: &[u8]) {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let columns = &self.export.columns;
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return self.refuse(1, None, error.to_string()),
        };
        let place = |name: &str| {
            header.iter().position(|cell| {
                cell.trim_start_matches('\u{feff}').trim().eq_ignore_ascii_case(name)
            })
        };
        let (host, bundle) = (place(&columns.host), place(&columns.bundle));
        let Some(application) = place(&columns.application) else {
            let key = columns.application.clone();
            return self.refuse(1, Some(&key), "no such column".to_owned());
        };
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    let line = error.position().map_or(0, csv::Position::line);
                    self.refuse(line, None, error.to_string());
                    continue;
                }
            };
            let line = record.position().map_or(0, csv::Position::line);
            let cell = |at: Option<usize>| {
                at.and_then(|at| record.get(at)).map(str::trim).filter(|cell| !cell.is_empty())
            };
            let Some(name) = cell(Some(application)) else {
                let key = self.export.columns.application.clone();
                self.refuse(line, Some(&key), "empty".to_owned());
                continue;
            };
            let host = cell(host).or(self.export.host.as_deref());
            self.inventory.approve(host, name);
            if let Some(bundle) = cell(bundle) {
                self.inventory.approve(host, bundle);
            }
        }
    }

    fn munki(&mut self, bytes: &[u8]) {
        let value: Value = if bytes.trim_ascii_start().starts_with(b"{") {
            match serde_json::from_slice(bytes) {
                Ok(value) => value,
                Err(error) => return self.refuse(line_of(&error), None, error.to_string()),
            }
        } else {
            match plist::Value::from_reader(std::io::Cursor::new(bytes)) {
                Ok(value) => json(&value, MAX_DEPTH),
                Err(error) => return self.refuse(0, None, error.to_string()),
            }
        };
        let told = value.pointer("/MachineInfo/hostname").and_then(Value::as_str);
        let host = told.or(self.export.host.as_deref()).map(str::to_owned);
        let mut found = false;
        for key in MUNKI_LISTS {
            let Some(list) = value.get(key).and_then(Value::as_array) else { continue };
            found = true;
            for item in list {
                let names = [Some(item), item.get("name"), item.get("display_name")];
                let names = names.into_iter().flatten().filter_map(Value::as_str);
                let names: BTreeSet<&str> = names.collect();
                if names.is_empty() {
                    self.refuse(0, Some(key), "an entry without a name".to_owned());
                }
                for name in names {
                    self.inventory.approve(host.as_deref(), name);
                }
            }
        }
        if !found {
            let lists = MUNKI_LISTS.join(", ");
            self.refuse(0, None, format!("no list of software, one of {lists} is needed"));
        }
    }

    fn osquery(&mut self, bytes: &[u8]) {
        if let Ok(Value::Array(rows)) = serde_json::from_slice(bytes) {
            for (place, row) in (1_u64..).zip(&rows) {
                self.row(place, row, None);
            }
            return;
        }
        for (line, text) in (1_u64..).zip(bytes.split(|byte| *byte == b'\n')) {
            if text.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<Value>(text) {
                Ok(value) => self.result(line, &value),
                Err(error) => self.refuse(line, None, error.to_string()),
            }
        }
    }

    /// A line of osquery's results log: a row, a difference, or a snapshot.
    fn result(&mut self, line: u64, value: &Value) {
        let host = value.get("hostIdentifier").and_then(Value::as_str);
        if value.get("action").and_then(Value::as_str) == Some("removed") {
            return;
        }
        if let Some(rows) = value.get("snapshot").and_then(Value::as_array) {
            for row in rows {
                self.row(line, row, host);
            }
        } else {
            self.row(line, value.get("columns").unwrap_or(value), host);
        }
    }

    /// A row of the `apps` table.
    fn row(&mut self, line: u64, row: &Value, host: Option<&str>) {
        let text = |key: &str| row.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let Some(name) = text("name") else {
            return self.refuse(line, Some("name"), "a row of apps without it".to_owned());
        };
        let host = host.or(self.export.host.as_deref());
        let more = [text("bundle_name"), text("display_name"), text("bundle_identifier")];
        for name in std::iter::once(name).chain(more.into_iter().flatten()) {
            self.inventory.approve(host, name);
        }
    }

    fn refuse(&mut self, line: u64, key: Option<&str>, message: String) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(MappingError {
                file: self.file.clone(),
                line: usize::try_from(line).unwrap_or(usize::MAX),
                key: key.map(str::to_owned),
                message: crate::printable(message.as_bytes(), MAX_MESSAGE_BYTES),
            });
        }
    }
}

/// The file itself, or the files of a folder by name.
fn files(path: &Path, errors: &mut Vec<MappingError>) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let listed = std::fs::read_dir(path).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
    });
    match listed {
        Ok(mut found) => {
            found.retain(|path| path.is_file());
            found.sort();
            found.truncate(MAX_FILES);
            found
        }
        Err(error) => {
            errors.push(MappingError {
                file: path.display().to_string(),
                line: 0,
                key: None,
                message: error.to_string(),
            });
            Vec::new()
        }
    }
}

/// A property list as JSON, as far as names and lists go: what is deeper than `depth` is null.
fn json(value: &plist::Value, depth: usize) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::Null };
    match value {
        plist::Value::Array(items) => items.iter().map(|item| json(item, depth)).collect(),
        plist::Value::Dictionary(entries) => {
            let entries = entries.iter().map(|(key, value)| (key.clone(), json(value, depth)));
            Value::Object(entries.collect())
        }
        plist::Value::String(text) => Value::String(text.clone()),
        _ => Value::Null,
    }
}

fn line_of(error: &serde_json::Error) -> u64 {
    u64::try_from(error.line()).unwrap_or(u64::MAX)
}

/// A name as it is compared: without `.app`, in lower case.
fn plain(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    name.strip_suffix(".app").unwrap_or(&name).to_owned()
}

/// Lists of software in Munki's manifests and reports.
const MUNKI_LISTS: [&str; 7] = [
    "managed_installs",
    "optional_installs",
    "default_installs",
    "featured_items",
    "InstalledItems",
    "ManagedInstalls",
    "installed_items",
];

/// How deep a property list is read: names stand on the third level.
const MAX_DEPTH: usize = 8;

/// Most bytes of one export: a row is about 100, so half a million rows.
const MAX_BYTES: u64 = 64 << 20;

/// Most names approved over all hosts: 250 on each of 20,000 hosts would be about 500 MB.
const MAX_NAMES: usize = 5_000_000;

/// Most files of a folder: a manifest a host.
const MAX_FILES: usize = 50_000;

/// Most refused entries told one by one.
const MAX_ERRORS: usize = 1000;

/// Longest message of a refused entry, in bytes.
const MAX_MESSAGE_BYTES: usize = 200;
