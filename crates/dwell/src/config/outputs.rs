//! `[[output]]`: the sinks of the configuration.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use dwell_output::{Compress, FileConfig, Format, Rotation, SinkLimits};
use serde::{Deserialize, Serialize};

use super::{Bytes, Period};

/// One sink.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputConfig {
    /// Its name, in metrics and the log.
    pub(crate) name: String,
    /// `"file"` or `"stdout"`.
    #[serde(rename = "type")]
    pub(crate) kind: OutputKind,
    /// `"eve"`, `"ecs"` or `"ocsf"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<FormatChoice>,
    /// The kinds of records it takes; without it all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) records: Option<Vec<String>>,
    /// Most records that wait for it.
    #[serde(default = "default_queue_records")]
    pub(crate) queue_records: usize,
    /// Most bytes that wait for it.
    #[serde(default = "default_queue_bytes")]
    pub(crate) queue_bytes: Bytes,
    /// `file`: where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    /// `file`: rotated once it is this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotate_size: Option<Bytes>,
    /// `file`: rotated once it is this old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotate_every: Option<Period>,
    /// `file`: `"zstd"` or `"no"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) compress: Option<CompressChoice>,
    /// `file`: rotated files older than this are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keep: Option<Period>,
    /// `file`: most bytes of rotated files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keep_size: Option<Bytes>,
}

/// What a sink is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutputKind {
    File,
    Stdout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FormatChoice {
    Eve,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CompressChoice {
    No,
    Zstd,
}

fn default_queue_records() -> usize {
    SinkLimits::default().max_records
}

fn default_queue_bytes() -> Bytes {
    Bytes(SinkLimits::default().max_bytes)
}

/// The kinds of records that a sink can be given.
const KINDS: [&str; 7] = ["flow", "tls", "quic", "http", "session", "alert", "stats"];

impl OutputConfig {
    /// A file at `path` that takes everything.
    pub(crate) fn file(path: PathBuf) -> Self {
        Self {
            name: "file".to_owned(),
            kind: OutputKind::File,
            format: None,
            records: None,
            queue_records: default_queue_records(),
            queue_bytes: default_queue_bytes(),
            path: Some(path),
            rotate_size: None,
            rotate_every: None,
            compress: None,
            keep: None,
            keep_size: None,
        }
    }

    /// Standard output, for a sensor that runs without a configuration.
    pub(crate) fn stdout() -> Self {
        let file = Self::file(PathBuf::new());
        Self { name: "stdout".to_owned(), kind: OutputKind::Stdout, path: None, ..file }
    }

    /// The form of its records.
    pub(crate) fn format(&self) -> Format {
        match self.format {
            None | Some(FormatChoice::Eve) => Format::Eve,
        }
    }

    /// Whether it takes records of a kind.
    pub(crate) fn takes(&self, kind: &str) -> bool {
        self.records.as_ref().is_none_or(|kinds| kinds.iter().any(|known| known == kind))
    }

    /// Bounds of its queue.
    pub(crate) fn limits(&self) -> SinkLimits {
        SinkLimits {
            max_records: self.queue_records,
            max_bytes: self.queue_bytes.0,
            ..SinkLimits::default()
        }
    }

    /// What a file sink is made with.
    pub(crate) fn file_config(&self) -> Option<FileConfig> {
        let bytes = |bytes: Option<Bytes>| {
            bytes.map_or(0, |bytes| u64::try_from(bytes.0).unwrap_or(u64::MAX))
        };
        Some(FileConfig {
            path: self.path.clone()?,
            rotation: Rotation {
                max_bytes: bytes(self.rotate_size),
                every: self.rotate_every.map(|period| period.0),
                compress: match self.compress {
                    Some(CompressChoice::Zstd) => Compress::Zstd,
                    Some(CompressChoice::No) | None => Compress::No,
                },
                keep: self.keep.map(|period| period.0),
                keep_bytes: bytes(self.keep_size),
            },
        })
    }

    fn check(&self) -> anyhow::Result<()> {
        let name = &self.name;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        anyhow::ensure!(
            !name.is_empty() && name.len() <= 32 && name.chars().all(plain),
            "output {name:?}: a name has 1 to 32 lower-case letters, digits, - and _"
        );
        for kind in self.records.iter().flatten() {
            let known = KINDS.contains(&kind.as_str());
            anyhow::ensure!(known, "output {name:?}: records {kind:?} is none of {KINDS:?}");
        }
        anyhow::ensure!(self.queue_records > 0, "output {name:?}: queue_records of at least 1");
        match self.kind {
            OutputKind::File => {
                anyhow::ensure!(self.path.is_some(), "output {name:?}: a file needs a path");
            }
            OutputKind::Stdout => {
                anyhow::ensure!(self.path.is_none(), "output {name:?}: stdout has no path");
            }
        }
        let fast = self.rotate_every.is_some_and(|every| every.0 < Duration::from_secs(1));
        anyhow::ensure!(!fast, "output {name:?}: rotate_every of at least 1s");
        Ok(())
    }
}

/// Fails on the first sink that makes no sense, or a name that is there twice.
pub(super) fn check(outputs: &[OutputConfig]) -> anyhow::Result<()> {
    let mut names = BTreeSet::new();
    for output in outputs {
        output.check()?;
        anyhow::ensure!(names.insert(&output.name), "output {:?} is there twice", output.name);
    }
    Ok(())
}
