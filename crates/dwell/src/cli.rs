//! The command line: what may be typed. Does nothing.

pub(crate) mod judging;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::apps::args::AppsArgs;
use crate::policy::args::PolicyArgs;

/// What was typed.
#[derive(Debug, Parser)]
#[command(
    name = "dwell",
    version,
    about = "Names the application behind every long-lived HTTP(S) session on the wire",
    after_help = "Exit codes: 0 all well; 1 failed; 2 wrong usage; 3 wrong configuration; \
                  4 a capture cannot be opened; 5 an input file is damaged (what came before the \
                  damage was reported); 10 findings at or above --fail-on; 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// When to use colour; NO_COLOR switches it off as well.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read captures and tell which application on which host held which session, which of them
    /// are unexpected, long-lived and irregular, and why.
    Replay(ReplayArgs),
    /// Read captures and tell, host by host, what could not be seen: no hello, ECH, proxies, shared
    /// fingerprints, no telemetry, and so on.
    Coverage(CoverageArgs),
    /// Print one row for each TLS, QUIC and DTLS ClientHello: SNI, ALPN, JA3, JA3S, JA4.
    Fingerprint(FingerprintArgs),
    /// Application rules: look up and explain, import, learn, compare.
    Apps(AppsArgs),
    /// Policies: check a file, and explain what it says of an application on a host.
    Policy(PolicyArgs),
    /// Capture interfaces, judge sessions while they run, serve metrics, write records.
    Run(RunArgs),
    /// List the interfaces of this machine, what can be captured, and why not.
    Interfaces,
    /// Check a configuration and everything it names; changes nothing.
    Check(CheckArgs),
    /// Ask a running sensor on this machine whether it is well (for container health checks).
    Health {
        /// Where it serves metrics and health.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:10146")]
        http: std::net::SocketAddr,
    },
    /// Print the manual page (roff), made from this very description.
    #[command(hide = true)]
    Man,
    /// Print completions for a shell.
    #[command(hide = true)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Look into what is normal here, carry it elsewhere, or begin anew.
    Baseline(judging::BaselineArgs),
    /// List what was found, show why, say what it is.
    Findings(judging::FindingsArgs),
    /// Preview what other thresholds, or an exception, would have changed; changes nothing.
    Tune(judging::TuneArgs),
}

/// `dwell run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Interfaces to capture, in place of those of the configuration.
    #[arg(short, long, value_name = "IFACE", num_args = 1..)]
    pub(crate) interface: Vec<String>,

    /// Configuration (TOML); without -i, /etc/dwell/dwell.toml.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Only packets that this filter (pcap-filter(7)) matches.
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) filter: Option<String>,

    /// Write records to this file, in place of the outputs of the configuration. Without any
    /// output they go to standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Where to serve metrics, API and page (such as 127.0.0.1:10146), or `off`.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Option<String>,

    /// How lines of the sensor's own log look.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) log_format: crate::log::LogFormat,
}

/// `dwell check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Configuration (TOML).
    #[arg(short, long, value_name = "FILE", default_value = crate::config::DEFAULT_PATH)]
    pub(crate) config: PathBuf,

    /// Print the configuration with every default written out.
    #[arg(long)]
    pub(crate) dump: bool,

    /// Give rights up as `dwell run` does, then try what must fail.
    #[arg(long, conflicts_with = "dump")]
    pub(crate) sandbox: bool,
}

/// `dwell replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Captures (pcap or pcapng, plain, .gz or .zst), read as one in the order of their first
    /// packets; `-` reads standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// A table for people, or JSON lines in the shape of Suricata's EVE.
    #[arg(long, value_enum, default_value_t = ReplayFormat::Table)]
    pub(crate) format: ReplayFormat,

    /// Show at most this many sessions in the table.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) sessions: usize,

    /// Only packets that this filter (pcap-filter(7)) matches.
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) filter: Option<String>,

    /// Application rules (TOML files or folders of them) in place of the built-in ones.
    #[arg(long, value_name = "PATH")]
    pub(crate) apps: Vec<PathBuf>,

    /// Policy file (TOML) in place of the built-in one.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// Sessions shorter than this are never found (ATT&CK AN0146's SessionDuration), such as 30m.
    #[arg(long, value_name = "DURATION", value_parser = crate::units::duration)]
    pub(crate) session_duration: Option<std::time::Duration>,

    /// Judge against what this database has learnt, and learn into it; made if it is not there.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// Learn nothing into the database of --baseline: it stays the reference that it is.
    #[arg(long, requires = "baseline")]
    pub(crate) frozen: bool,

    /// Endpoint telemetry that names the processes behind flows: Santa, osquery, unified log,
    /// eslogger, nettop, lsof, Zeek Agent or plain JSON lines, told by content or given as
    /// KIND:FILE; KIND@ADDRESS:FILE lets it speak for that host only. May be given again.
    #[arg(long, value_name = "[KIND[@ADDRESS,…]:]FILE")]
    pub(crate) telemetry: Vec<crate::telemetry::TelemetrySpec>,

    /// What the site says of its hosts (CSV or JSON: address, mac, name, user, tags). May be given
    /// again; what comes later counts first.
    #[arg(long, value_name = "FILE")]
    pub(crate) inventory: Vec<PathBuf>,

    /// How long after a flow's last packet telemetry that saw its socket still counts.
    #[arg(long, value_name = "DURATION", value_parser = crate::units::duration, default_value = "1m")]
    pub(crate) telemetry_window: std::time::Duration,

    /// How far the endpoints' clocks are ahead of the capture's; `-5s` for behind.
    #[arg(
        long,
        value_name = "DURATION",
        allow_hyphen_values = true,
        default_value = "0s",
        value_parser = crate::units::skew
    )]
    pub(crate) telemetry_skew: crate::units::Skew,

    /// What besides the five-tuple keeps two flows apart.
    #[arg(long, value_enum, default_value_t = FlowKeyScope::Plain)]
    pub(crate) flow_key: FlowKeyScope,

    /// Whose bytes win where early TCP segments overlap: as the captured hosts do it.
    #[arg(long, value_enum, default_value_t = TcpOverlap::First)]
    pub(crate) tcp_overlap: TcpOverlap,

    /// Take copies of a packet that come within 2 ms for packets of their own. Mirror ports that
    /// span both directions make such copies, which are counted and left out.
    #[arg(long)]
    pub(crate) keep_duplicates: bool,

    /// Threads to work with; what is written is the same for any number. As many as there are
    /// processors, at most 4, when not given.
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<std::num::NonZeroUsize>,

    /// Exit with code 10 when a finding reaches this level.
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(crate) fail_on: Option<FailLevel>,

    /// Also write findings and sessions into this HTML file, which opens without a server.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Keep what each finding stands on in a folder of its own below this one: packets, records of
    /// its flows, the baseline it was judged by. Captures are read twice.
    #[arg(long, value_name = "DIR")]
    pub(crate) evidence: Option<PathBuf>,

    /// How fast: `1` as it was captured, `60` an hour a minute, `max` as fast as it can be read.
    #[arg(long, value_name = "SPEED", value_parser = speed, default_value = "max")]
    pub(crate) speed: Speed,

    /// Run the whole sensor of this configuration, with these captures in the place of its
    /// interfaces: outputs, metrics, state, evidence. What its database took in is left out.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = SENSOR_LESS)]
    pub(crate) config: Option<PathBuf>,

    /// Where the sensor of --config serves metrics, API and page, or `off`.
    #[arg(long, value_name = "ADDRESS", requires = "config")]
    pub(crate) http: Option<String>,

    /// Show no progress bar.
    #[arg(long)]
    pub(crate) no_progress: bool,
}

/// What `--config` says in another way.
const SENSOR_LESS: [&str; 11] = [
    "format",
    "filter",
    "apps",
    "policy",
    "session_duration",
    "baseline",
    "frozen",
    "telemetry",
    "inventory",
    "report",
    "evidence",
];

/// How fast captures are replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Speed {
    /// As fast as they can be read.
    Max,
    /// So many times as fast as they were captured.
    Times(f64),
}

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    let times: f64 = text.parse().map_err(|_| "a number, or max, is wanted".to_owned())?;
    if (0.001..=1e6).contains(&times) {
        Ok(Speed::Times(times))
    } else {
        Err("a number from 0.001 to 1000000 is wanted".to_owned())
    }
}

/// `dwell coverage`.
#[derive(Debug, Args)]
pub(crate) struct CoverageArgs {
    /// Captures, read as one in the order of their first packets; `-` reads standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// A table for people, or a JSON object for each host and one for all.
    #[arg(long, value_enum, default_value_t = CoverageFormat::Table)]
    pub(crate) format: CoverageFormat,

    /// Endpoint telemetry, as for `dwell replay`.
    #[arg(long, value_name = "[KIND[@ADDRESS,…]:]FILE")]
    pub(crate) telemetry: Vec<crate::telemetry::TelemetrySpec>,

    /// What the site says of its hosts, as for `dwell replay`.
    #[arg(long, value_name = "FILE")]
    pub(crate) inventory: Vec<PathBuf>,

    /// Show no progress bar.
    #[arg(long)]
    pub(crate) no_progress: bool,
}

/// How `dwell coverage` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CoverageFormat {
    /// One aligned row a host, shares in percent of its flows.
    Table,
    /// One JSON object a line.
    Jsonl,
}

/// How `dwell replay` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReplayFormat {
    /// Findings, sessions and totals for people.
    Table,
    /// One JSON record a line: flow, tls, quic, http, alert, stats.
    Eve,
    /// The same records in the fields of the Elastic Common Schema.
    Ecs,
    /// The same records in the classes of the Open Cybersecurity Schema Framework.
    Ocsf,
}

/// What besides the five-tuple keeps two flows apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlowKeyScope {
    /// Nothing.
    Plain,
    /// VLAN tags.
    Vlan,
    /// VLAN tags and the innermost tunnel.
    Encapsulation,
}

/// Whose bytes win where early TCP segments overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TcpOverlap {
    /// The first copy: Linux, Windows, macOS.
    First,
    /// The last copy: Cisco IOS.
    Last,
    /// The last copy where it starts before the other: older BSDs.
    Bsd,
}

/// Levels of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailLevel {
    /// Watch and above.
    Watch,
    /// Alert and above.
    Alert,
    /// High only.
    High,
}

/// `dwell fingerprint`.
#[derive(Debug, Args)]
pub(crate) struct FingerprintArgs {
    /// Captures; `-` reads standard input. Each stands for itself.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// A table for people, or JSON lines with fixed fields.
    #[arg(long, value_enum, default_value_t = FingerprintFormat::Table)]
    pub(crate) format: FingerprintFormat,
}

/// How `dwell fingerprint` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FingerprintFormat {
    /// One aligned row a hello.
    Table,
    /// One JSON object a line.
    Jsonl,
}
