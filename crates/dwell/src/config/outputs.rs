//! `[[output]]`: the sinks of the configuration.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use dwell_output::{
    Compress, FileConfig, Format, IpfixConfig, IpfixTransport, Rotation, SinkLimits, SyslogConfig,
    SyslogTransport, WebhookConfig,
};
use serde::{Deserialize, Serialize};

use super::{Bytes, Period};

/// One sink.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputConfig {
    /// Its name, in metrics and the log.
    pub(crate) name: String,
    /// `"file"`, `"stdout"`, `"syslog"`, `"webhook"` or `"ipfix"`.
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
    /// `syslog`, `ipfix`: host and port of the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// `syslog`: `"udp"`, `"tcp"` or `"tls"`; `ipfix`: `"udp"` or `"tcp"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) transport: Option<TransportChoice>,
    /// `syslog` over TLS, `webhook`: who may sign the far side's certificate (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authorities: Option<PathBuf>,
    /// `syslog`: facility, 0 to 23; 16 (local0) where it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) facility: Option<u8>,
    /// `webhook`: where records are posted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// `webhook`: a file with a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// `webhook`: how long one request may take; 10s where it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<Period>,
    /// `ipfix`: observation domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) domain: Option<u32>,
}

/// How records travel to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TransportChoice {
    Udp,
    Tcp,
    Tls,
}

/// What a sink is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutputKind {
    File,
    Stdout,
    Syslog,
    Webhook,
    Ipfix,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FormatChoice {
    Eve,
    Ecs,
    Ocsf,
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
            address: None,
            transport: None,
            authorities: None,
            facility: None,
            url: None,
            token_file: None,
            timeout: None,
            domain: None,
        }
    }

    /// Standard output, for a sensor that runs without a configuration.
    pub(crate) fn stdout() -> Self {
        let file = Self::file(PathBuf::new());
        Self { name: "stdout".to_owned(), kind: OutputKind::Stdout, path: None, ..file }
    }

    /// The form of its records.
    pub(crate) fn format(&self) -> Format {
        if self.kind == OutputKind::Ipfix {
            return Format::Ipfix;
        }
        match self.format {
            None | Some(FormatChoice::Eve) => Format::Eve,
            Some(FormatChoice::Ecs) => Format::Ecs,
            Some(FormatChoice::Ocsf) => Format::Ocsf,
        }
    }

    /// Whether it takes records of a kind; a web hook takes findings unless told otherwise.
    pub(crate) fn takes(&self, kind: &str) -> bool {
        match (&self.records, self.kind) {
            (Some(kinds), _) => kinds.iter().any(|known| known == kind),
            (None, OutputKind::Webhook) => kind == "alert",
            (None, _) => true,
        }
    }

    /// What a syslog sink is made with; `hostname` is the sensor's.
    pub(crate) fn syslog_config(&self, hostname: &str) -> Option<SyslogConfig> {
        let transport = match self.transport {
            None | Some(TransportChoice::Udp) => SyslogTransport::Udp,
            Some(TransportChoice::Tcp) => SyslogTransport::Tcp,
            Some(TransportChoice::Tls) => {
                SyslogTransport::Tls { authorities: self.authorities.clone()? }
            }
        };
        let hostname = hostname.to_owned();
        let facility = self.facility.unwrap_or(16);
        Some(SyslogConfig { transport, address: self.address.clone()?, facility, hostname })
    }

    /// What a web hook is made with.
    pub(crate) fn webhook_config(&self) -> Option<WebhookConfig> {
        Some(WebhookConfig {
            url: self.url.clone()?,
            token_file: self.token_file.clone(),
            authorities: self.authorities.clone(),
            timeout: self.timeout.map_or(Duration::from_secs(10), |period| period.0),
        })
    }

    /// What an IPFIX sink is made with.
    pub(crate) fn ipfix_config(&self) -> Option<IpfixConfig> {
        let transport = match self.transport {
            None | Some(TransportChoice::Udp) => IpfixTransport::Udp,
            Some(TransportChoice::Tcp | TransportChoice::Tls) => IpfixTransport::Tcp,
        };
        let domain = self.domain.unwrap_or(0);
        Some(IpfixConfig { address: self.address.clone()?, transport, domain })
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

    /// A key that is set and belongs to another type of sink.
    fn foreign_key(&self) -> Option<&'static str> {
        use OutputKind::{File, Ipfix, Stdout, Syslog, Webhook};
        let keys: [(&str, bool, &[OutputKind]); 14] = [
            ("format", self.format.is_some(), &[File, Stdout, Syslog, Webhook]),
            ("path", self.path.is_some(), &[File]),
            ("rotate_size", self.rotate_size.is_some(), &[File]),
            ("rotate_every", self.rotate_every.is_some(), &[File]),
            ("compress", self.compress.is_some(), &[File]),
            ("keep", self.keep.is_some(), &[File]),
            ("keep_size", self.keep_size.is_some(), &[File]),
            ("address", self.address.is_some(), &[Syslog, Ipfix]),
            ("transport", self.transport.is_some(), &[Syslog, Ipfix]),
            ("authorities", self.authorities.is_some(), &[Syslog, Webhook]),
            ("facility", self.facility.is_some(), &[Syslog]),
            ("url", self.url.is_some(), &[Webhook]),
            ("token_file", self.token_file.is_some(), &[Webhook]),
            ("domain", self.domain.is_some(), &[Ipfix]),
        ];
        let foreign = keys.iter().find(|(_, set, of)| *set && !of.contains(&self.kind));
        foreign.map(|(key, ..)| *key)
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
            OutputKind::Stdout => {}
            OutputKind::Syslog | OutputKind::Ipfix => {
                let address = self.address.as_deref().unwrap_or_default();
                let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
                anyhow::ensure!(
                    port.is_some(),
                    "output {name:?}: address {address:?} is no host:port"
                );
                let tls = self.transport == Some(TransportChoice::Tls);
                let ipfix = self.kind == OutputKind::Ipfix;
                anyhow::ensure!(!(tls && ipfix), "output {name:?}: ipfix has no tls");
                anyhow::ensure!(
                    !tls || self.authorities.is_some(),
                    "output {name:?}: tls needs authorities"
                );
                let facility = self.facility.unwrap_or(16);
                anyhow::ensure!(facility < 24, "output {name:?}: facility of 0 to 23");
            }
            OutputKind::Webhook => {
                anyhow::ensure!(self.url.is_some(), "output {name:?}: a webhook needs a url");
            }
        }
        if let Some(key) = self.foreign_key() {
            anyhow::bail!("output {name:?}: {key} is of no use to this type");
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
