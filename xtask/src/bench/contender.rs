//! One process to be measured: its command line, and what the kernel says that it took.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use wait4::Wait4 as _;

/// What dwell's names begin with.
pub(super) const DWELL: &str = "dwell";

/// A tool to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Peer {
    /// `cat FILE`: what copying the file once costs.
    Cat,
    /// `tcpdump -r FILE -w /dev/null`: reads packets through libpcap and writes them.
    Tcpdump,
    /// `tshark -r FILE -Y tls.handshake.type==1 -T fields -e tls.handshake.ja3`: dissects all.
    Tshark,
    /// `ndpiReader -q -i FILE`: keeps flows and detects their applications.
    NdpiReader,
}

impl Peer {
    /// The tool's process; `None`, with a word on it, when it is not installed.
    pub(super) fn contender(self) -> Option<Contender> {
        let (name, arguments) = match self {
            Self::Cat => ("cat", "{}"),
            Self::Tcpdump => ("tcpdump", "-r {} -w /dev/null"),
            Self::Tshark => {
                ("tshark", "-n -r {} -Y tls.handshake.type==1 -T fields -e tls.handshake.ja3")
            }
            Self::NdpiReader => ("ndpiReader", "-q -i {}"),
        };
        if !is_installed(name) {
            println!("{name}: not installed, skipped");
            return None;
        }
        let arguments = arguments.split(' ').map(str::to_owned).collect();
        Some(Contender { name: name.to_owned(), program: name.into(), arguments })
    }
}

/// A process to be measured.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) name: String,
    program: PathBuf,
    /// `{}` stands for the file.
    arguments: Vec<String>,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// User and system time.
    pub(super) cpu: Duration,
    pub(super) wall: Duration,
    /// The most memory resident at once, mapped files included.
    pub(super) peak_bytes: u64,
}

impl Contender {
    /// `dwell replay`, once for each number of workers.
    pub(super) fn dwell(program: &Path, workers: &[u32]) -> Vec<Self> {
        let contender = |name: String, more: &[String]| {
            let mut arguments: Vec<String> =
                ["replay", "--format", "eve"].map(str::to_owned).to_vec();
            arguments.extend_from_slice(more);
            arguments.push("{}".to_owned());
            Self { name, program: program.to_owned(), arguments }
        };
        if workers.is_empty() {
            return vec![contender(DWELL.to_owned(), &[])];
        }
        workers
            .iter()
            .map(|count| {
                let more = ["--workers".to_owned(), count.to_string()];
                contender(format!("{DWELL} --workers {count}"), &more)
            })
            .collect()
    }

    /// Any command line, split at spaces.
    pub(super) fn from_command(command: &str) -> anyhow::Result<Self> {
        let mut words = command.split_whitespace().map(str::to_owned);
        let program: PathBuf = words.next().context("an empty command")?.into();
        let name = program.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Self { name: name.unwrap_or_default(), program, arguments: words.collect() })
    }

    /// Runs once with its output thrown away.
    pub(super) fn run(&self, file: &Path) -> anyhow::Result<Run> {
        let file = file.to_string_lossy();
        let arguments: Vec<String> =
            self.arguments.iter().map(|word| word.replace("{}", &file)).collect();
        let line = || format!("{} {}", self.program.display(), arguments.join(" "));
        let began = now();
        let mut child = Command::new(&self.program)
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(line)?;
        let used = child.wait4().with_context(line)?;
        let wall = now().duration_since(began);
        if !used.status.success() {
            bail!("{}: {}", line(), used.status);
        }
        let usage = used.rusage;
        Ok(Run { cpu: usage.utime + usage.stime, wall, peak_bytes: usage.maxrss })
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the time that passes here")]
fn now() -> Instant {
    Instant::now()
}

/// Whether the shell would find a program.
fn is_installed(name: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "where programs are, is in the environment")]
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}
