//! `dwell baseline`: what is normal here, for people. Learns nothing itself.

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use dwell_attribution::{HostId, Policy};
use dwell_detect::{DetectConfig, Detector, Outlook};
use dwell_store::{Opened, Store};

use crate::cli::judging::{BaselineArgs, BaselineCommand};
use crate::units::spoken;
use crate::{Exit, clock};

/// Runs the command.
///
/// # Errors
/// When a database cannot be read or written.
pub(crate) fn run(args: &BaselineArgs) -> anyhow::Result<Exit> {
    let path = &args.database.database;
    let mut store = Store::open_existing(path)?;
    match &args.command {
        BaselineCommand::Stats => stats(&store)?,
        BaselineCommand::Explain { host, application, destination } => {
            explain(&store, *host, application, &destination.as_str().into())?;
        }
        BaselineCommand::Export { file } => {
            let mut rows = store.load()?;
            (rows.sessions, rows.findings) = (Vec::new(), Vec::new());
            let mut other = open_or_make(file)?;
            other.save(&rows)?;
            println!("{} contacts and {} votes written", rows.contacts.len(), rows.votes.len());
        }
        BaselineCommand::Import { file } => {
            let mut rows = Store::open_existing(file)?.load()?;
            (rows.sessions, rows.findings) = (Vec::new(), Vec::new());
            let mut both = learnt(&store)?;
            both.learn_from(&rows);
            store.save(&both.snapshot())?;
            store.log(clock::wall(), "import", &file.display().to_string())?;
            println!("{} contacts and {} votes taken in", rows.contacts.len(), rows.votes.len());
        }
        BaselineCommand::Reset => {
            store.reset_baseline()?;
            store.log(clock::wall(), "reset", "everything learnt was forgotten")?;
            println!("everything learnt was forgotten");
        }
    }
    Ok(Exit::Success)
}

/// Opens a database, or makes it; says so when one had to be moved aside.
pub(crate) fn open_or_make(path: &Path) -> anyhow::Result<Store> {
    let (store, opened) =
        Store::open(path).with_context(|| format!("database {}", path.display()))?;
    if let Opened::MovedAside { to, reason } = opened {
        eprintln!(
            "dwell: database {}: {reason}; moved aside to {}, a fresh one started",
            path.display(),
            to.display()
        );
    }
    Ok(store)
}

/// A detector that has learnt what the store has.
fn learnt(store: &Store) -> anyhow::Result<Detector> {
    let policy = Arc::new(Policy::without_opinion());
    let mut detector = Detector::new(DetectConfig::default(), policy);
    detector.learn_from(&store.load()?);
    Ok(detector)
}

fn stats(store: &Store) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let rows = store.load()?;
    let until = learnt(store)?.learnt_until();
    match rows.first {
        Some(first) => {
            writeln!(out, "learning for {}", spoken(until.saturating_since(first)))?;
        }
        None => writeln!(out, "nothing learnt yet")?,
    }
    for (table, count) in store.counts()? {
        writeln!(out, "{table:<10} {count}")?;
    }
    writeln!(out, "size       {} bytes", store.size_bytes()?)?;
    for (at, what, detail) in store.log_lines(10)? {
        writeln!(out, "{at} {what}: {detail}", at = at.as_secs_f64())?;
    }
    Ok(())
}

fn explain(
    store: &Store,
    host: IpAddr,
    application: &str,
    destination: &Arc<str>,
) -> anyhow::Result<()> {
    let detector = learnt(store)?;
    let now = store.newest()?.max(detector.learnt_until());
    let outlook = detector.outlook(HostId(host), application, destination, now);
    let mut out = io::stdout().lock();
    let Outlook { hosts, with: [with_application, with_destination, with_both], .. } = outlook;
    writeln!(out, "application   {} ({with_application} of {hosts} other hosts)", application)?;
    writeln!(out, "kind          {}", outlook.kind.unwrap_or("not seen here"))?;
    writeln!(
        out,
        "destination   {destination}, {} ({with_destination} of {hosts} other hosts)",
        outlook.class
    )?;
    writeln!(out, "both          {with_both} of {hosts} other hosts")?;
    let or_never = |known: Option<std::time::Duration>| known.map_or("never".to_owned(), spoken);
    writeln!(out, "known here    {}", or_never(outlook.known_for))?;
    writeln!(out, "user expects  {}", or_never(outlook.user_expected))?;
    writeln!(out, "elsewhere     longest {}", or_never(outlook.longest_elsewhere))?;
    if let Some((held, place)) = &outlook.longest_here {
        writeln!(out, "other here    longest {} ({place})", spoken(*held))?;
    }
    if outlook.lengths.is_empty() {
        writeln!(
            out,
            "the host, or the fleet, is known for less than a day: judged by the catalogue"
        )?;
    }
    for frequency in &outlook.lengths {
        let ((such, of), (kind_such, kind_of)) = (frequency.such, frequency.of_kind);
        writeln!(
            out,
            "{:<13} on {such} of {of} days of other hosts, for its kind on {kind_such} of {kind_of}",
            spoken(frequency.held)
        )?;
    }
    Ok(())
}
