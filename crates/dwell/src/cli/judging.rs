//! The command line of what was learnt and found. Does nothing.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::units::duration;

/// Where the sensor keeps its database.
const DEFAULT_DATABASE: &str = "/var/lib/dwell/dwell.db";

/// Which database.
#[derive(Debug, Args)]
pub(crate) struct DatabaseArgs {
    /// The database.
    #[arg(short, long, global = true, value_name = "FILE", default_value = DEFAULT_DATABASE)]
    pub(crate) database: PathBuf,
}

/// `dwell baseline`.
#[derive(Debug, Args)]
pub(crate) struct BaselineArgs {
    #[command(subcommand)]
    pub(crate) command: BaselineCommand,

    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

/// What to do with a baseline.
#[derive(Debug, Subcommand)]
pub(crate) enum BaselineCommand {
    /// Say how much was learnt, since when, and what was changed by hand.
    Stats,
    /// Say what is expected of an application on a host towards a destination.
    Explain {
        /// Host by its first address.
        host: IpAddr,
        /// Application by the name shown.
        application: String,
        /// Destination: a registrable domain, or `ip:` and an address.
        destination: String,
    },
    /// Write what was learnt, and nothing else, to another database.
    Export {
        /// The database to make.
        file: PathBuf,
    },
    /// Take in what another database has learnt.
    Import {
        /// The other database.
        file: PathBuf,
    },
    /// Forget what was learnt. Findings, labels and open sessions stay.
    Reset,
}

/// `dwell findings`.
#[derive(Debug, Args)]
pub(crate) struct FindingsArgs {
    #[command(subcommand)]
    pub(crate) command: FindingsCommand,

    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}

/// What to do with findings.
#[derive(Debug, Subcommand)]
pub(crate) enum FindingsCommand {
    /// One line each, the highest score first.
    List {
        /// Only those without a label, or labelled open.
        #[arg(long)]
        open: bool,
    },
    /// A finding with its reasons and what people said of it.
    Show {
        /// Its identity, or how that begins.
        id: String,
    },
    /// Say what a finding is. The last word counts, all are kept.
    Label {
        /// Its identity, or how that begins.
        id: String,
        /// What it is.
        #[arg(value_enum)]
        label: LabelArg,
        /// Who says so.
        #[arg(long)]
        by: String,
        /// Why.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// All findings as JSON lines; or one of them with what it stands on in an archive, in which
    /// SHA256SUMS has the digest of every file.
    Export {
        /// Its identity, or how that begins.
        #[arg(requires = "bundle")]
        id: Option<String>,
        /// The archive to make (.tar.zst).
        #[arg(long, value_name = "FILE", requires = "id")]
        bundle: Option<PathBuf>,
        /// Where evidence is, if the database does not say so.
        #[arg(long, value_name = "DIR", requires = "bundle")]
        evidence: Option<PathBuf>,
    },
}

/// What a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LabelArg {
    /// What it looks like.
    TruePositive,
    /// Not what it looks like.
    FalsePositive,
    /// What it looks like, and allowed.
    Benign,
    /// Not known yet.
    Open,
}

/// `dwell tune`.
#[derive(Debug, Args)]
pub(crate) struct TuneArgs {
    /// How far back, from the newest session stored.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "7d")]
    pub(crate) since: Duration,

    /// alert=BITS, session_duration=DURATION, min_bursts=N, or
    /// exception=APPLICATION->DESTINATION (either may be `*`). May be given again.
    #[arg(long = "set", value_name = "KEY=VALUE", required = true)]
    pub(crate) set: Vec<String>,

    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
}
