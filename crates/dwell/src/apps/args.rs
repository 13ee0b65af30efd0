//! What may be typed after `dwell apps`. Does nothing.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use dwell_attribution::Date;

/// `dwell apps`.
#[derive(Debug, Args)]
pub(crate) struct AppsArgs {
    #[command(subcommand)]
    pub(crate) command: AppsCommand,
}

/// What to do with application rules.
#[derive(Debug, Subcommand)]
pub(crate) enum AppsCommand {
    /// Say which application the evidence names, and print the chain of rules tried.
    Lookup(LookupArgs),
    /// Turn a published fingerprint list into application rules.
    Import(ImportArgs),
    /// Learn application rules from captures or records whose application is known.
    Learn(LearnArgs),
    /// List fingerprints that several applications share.
    Conflicts(ConflictsArgs),
}

/// `dwell apps lookup`.
#[derive(Debug, Args)]
pub(crate) struct LookupArgs {
    /// JA4 of the ClientHello.
    #[arg(long)]
    pub(crate) ja4: Option<String>,
    /// JA4 without the extensions that come and go with resumption (`ja4_stable` of
    /// `dwell fingerprint`).
    #[arg(long, value_name = "JA4")]
    pub(crate) ja4_stable: Option<String>,
    /// JA3 of the ClientHello.
    #[arg(long)]
    pub(crate) ja3: Option<String>,
    /// Server name.
    #[arg(long)]
    pub(crate) sni: Option<String>,
    /// HTTP User-Agent.
    #[arg(long)]
    pub(crate) user_agent: Option<String>,
    /// First application protocol offered.
    #[arg(long)]
    pub(crate) alpn: Option<String>,
    /// Destination port.
    #[arg(long, default_value_t = 443)]
    pub(crate) port: u16,
    /// Operating system by the SYN.
    #[arg(long, value_enum)]
    pub(crate) os: Option<OsName>,
    /// The day of the flow, YYYY-MM-DD: rules are as old as that day makes them (default: today).
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(crate) at: Option<Date>,
    /// Application rules (TOML files or folders of them) in place of the built-in ones.
    #[arg(long, value_name = "PATH")]
    pub(crate) apps: Vec<PathBuf>,
}

/// Operating systems that a SYN tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OsName {
    /// macOS.
    Macos,
    /// iOS.
    Ios,
    /// Windows.
    Windows,
    /// Linux.
    Linux,
    /// Android.
    Android,
}

/// `dwell apps import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The list, plain or .gz.
    pub(crate) file: PathBuf,
    /// Its form; told by its beginning if this is not given.
    #[arg(long, value_enum)]
    pub(crate) format: Option<ListFormat>,
    /// Licence of the list, kept in each rule.
    #[arg(long, value_name = "TEXT")]
    pub(crate) licence: Option<String>,
    /// The day of the list's facts, YYYY-MM-DD: confidence ages from here. Without it, Mercury's
    /// own dates count, and the rules of other lists do not age.
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(crate) date: Option<Date>,
    /// Confidence of each rule in place of the form's own (not for Mercury's, which is measured).
    #[arg(long, value_name = "0..1", value_parser = confidence)]
    pub(crate) confidence: Option<f64>,
    /// Only processes seen on macOS (Mercury's lists).
    #[arg(long)]
    pub(crate) macos_only: bool,
    /// Where to write the rules (default: standard output).
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Forms of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// `ja3,"application"` (salesforce/ja3).
    Ja3Csv,
    /// FoxIO's ja4plus-mapping.csv.
    FoxioCsv,
    /// A table whose header names `ja4` and `application`.
    Ja4Csv,
    /// Cisco Mercury's fingerprint_db.json.
    Mercury,
}

/// `dwell apps learn`.
#[derive(Debug, Args)]
pub(crate) struct LearnArgs {
    /// Captures of one application each: `NAME=FILE`, or a file whose name without ending is the
    /// application's.
    #[arg(value_name = "CAPTURE")]
    pub(crate) captures: Vec<String>,
    /// Labelled flows as JSON lines: {"application", "ja4", "ja4_stable", "ja3", "server_name",
    /// "flows"}, or dwell's own tls and quic records to which endpoint telemetry joined a process.
    #[arg(long, value_name = "FILE")]
    pub(crate) flows: Vec<PathBuf>,
    /// The day of the observations, YYYY-MM-DD (default: of the newest packet, else today).
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(crate) date: Option<Date>,
    /// First word of the rules' identifiers: tell files that are used together apart.
    #[arg(long, default_value = "learned", value_name = "WORD")]
    pub(crate) prefix: String,
    /// Where to write the rules (default: standard output).
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `dwell apps conflicts`.
#[derive(Debug, Args)]
pub(crate) struct ConflictsArgs {
    /// Application rules (TOML files or folders of them) in place of the built-in ones.
    #[arg(long, value_name = "PATH")]
    pub(crate) apps: Vec<PathBuf>,
    /// Only this fingerprint.
    #[arg(long, value_name = "JA4|JA3")]
    pub(crate) key: Option<String>,
}

/// A day as YYYY-MM-DD.
pub(crate) fn date(text: &str) -> Result<Date, String> {
    text.parse().map_err(str::to_owned)
}

fn confidence(text: &str) -> Result<f64, String> {
    let fits = |value: &f64| *value > 0.0 && *value <= 1.0;
    text.parse().ok().filter(fits).ok_or_else(|| "0 < x <= 1 is needed".to_owned())
}
