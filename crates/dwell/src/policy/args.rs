//! What may be typed after `dwell policy`. Does nothing.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dwell_attribution::Date;

use crate::apps::args::{OsName, date};

/// `dwell policy`.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

/// What to do with a policy.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Read a policy with the exports it names, and tell what is refused of it.
    Check {
        /// The policy file.
        file: PathBuf,
    },
    /// Say whether an application is expected on a host, and print every rule looked at.
    Explain(Box<ExplainArgs>),
}

/// `dwell policy explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The host: its name or its address.
    pub(crate) host: String,
    /// The application; what the rules know of it (family, vendor, category) is filled in.
    pub(crate) app: String,
    /// The policy file (default: the one that ships).
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// The host's address, where the host is given by name.
    #[arg(long)]
    pub(crate) address: Option<std::net::IpAddr>,
    /// The host's operating system by its SYN.
    #[arg(long, value_enum)]
    pub(crate) os: Option<OsName>,
    /// Where the session goes.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) destination: String,
    /// The flow's TLS stack, in place of the application's own.
    #[arg(long)]
    pub(crate) stack: Option<String>,
    /// Team that signed the process, by endpoint telemetry.
    #[arg(long)]
    pub(crate) team: Option<String>,
    /// Path of the executable, by endpoint telemetry.
    #[arg(long)]
    pub(crate) path: Option<String>,
    /// Bundle identifier of the process, by endpoint telemetry.
    #[arg(long)]
    pub(crate) bundle: Option<String>,
    /// The day of the session, YYYY-MM-DD (default: today).
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(crate) at: Option<Date>,
    /// Application rules in place of the built-in ones.
    #[arg(long, value_name = "PATH")]
    pub(crate) apps: Vec<PathBuf>,
}
