//! `dwell policy`: a file checked, a judgement explained. Judges nothing itself.

pub(crate) mod args;

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;

use anyhow::Context as _;
use dwell_attribution::telemetry::{
    Agreement, Join, ProcessFacts, ProcessIdentity, TelemetrySource, WireView,
};
use dwell_attribution::{
    Attribution, Destination, EvidenceLevel, HostRef, NameSource, OsGuess, Policy,
    PolicyExplanation, Subject,
};

use crate::Exit;
use crate::apps::lookup::start_of;
use crate::policy::args::{ExplainArgs, PolicyArgs, PolicyCommand};

/// Runs the command.
///
/// # Errors
/// When output cannot be written, or rules cannot be read.
pub(crate) fn run(args: &PolicyArgs) -> anyhow::Result<Exit> {
    match &args.command {
        PolicyCommand::Check { file } => check(file),
        PolicyCommand::Explain(args) => explain(args),
    }
}

fn check(file: &Path) -> anyhow::Result<Exit> {
    let Some(policy) = load(file) else { return Ok(Exit::Configuration) };
    let (groups, exceptions, software) = policy.counts();
    writeln!(
        io::stdout(),
        "{}: {groups} host groups, {exceptions} exceptions, {software} names of approved software, \
         {} entries refused",
        file.display(),
        policy.refused().len(),
    )?;
    Ok(if policy.refused().is_empty() { Exit::Success } else { Exit::Configuration })
}

/// The policy of a file; what is wrong with it goes to standard error.
fn load(file: &Path) -> Option<Policy> {
    match Policy::load(file) {
        Ok(policy) => {
            crate::apps::report(policy.refused());
            Some(policy)
        }
        Err(error) => {
            eprintln!("dwell: {:#}", anyhow::Error::new(error));
            None
        }
    }
}

fn explain(args: &ExplainArgs) -> anyhow::Result<Exit> {
    let policy = match &args.policy {
        None => Policy::builtin(),
        Some(file) => match load(file) {
            Some(policy) => policy,
            None => return Ok(Exit::Configuration),
        },
    };
    let (rules, exit) = crate::apps::rules(&args.apps)?;
    let mut attribution = rules.describe(&args.app);
    if let Some(stack) = &args.stack {
        attribution.stack = Some(stack.as_str().into());
    }
    attribution.process = process(args).map(Into::into);
    let at = start_of(args.at.unwrap_or_else(crate::apps::today));
    let host = host(args, at).context("the host")?;
    let name = Some((args.destination.as_bytes(), NameSource::Sni));
    let destination = Destination::new(name, IpAddr::from([0, 0, 0, 0]), 443);
    let subject = Subject { host: &host, attribution: &attribution, destination: &destination, at };
    print(&mut io::stdout().lock(), &attribution, &policy.explain(&subject))?;
    Ok(exit)
}

fn host(args: &ExplainArgs, at: dwell_packet::Timestamp) -> anyhow::Result<HostRef> {
    let by_address = args.host.parse::<IpAddr>().ok();
    let addr = args.address.or(by_address).unwrap_or(IpAddr::from([0, 0, 0, 0]));
    Ok(HostRef {
        name: by_address.is_none().then(|| args.host.as_str().into()),
        os: args.os.map(|os| OsGuess { os: os.into(), or: None }),
        ..HostRef::of_address(addr, at)
    })
}

/// The process, if anything is said of one.
fn process(args: &ExplainArgs) -> Option<ProcessIdentity> {
    let text = |text: &Option<String>| text.as_deref().map(Into::into);
    let (path, team_id, signing_id) = (text(&args.path), text(&args.team), text(&args.bundle));
    if path.is_none() && team_id.is_none() && signing_id.is_none() {
        return None;
    }
    Some(ProcessIdentity {
        facts: ProcessFacts { path, team_id, signing_id, ..ProcessFacts::of_pid(0) },
        source: TelemetrySource::Json,
        join: Join::Untimed,
        wire: WireView {
            application: args.app.as_str().into(),
            level: EvidenceLevel::None,
            confidence: 0.0,
            agreement: Agreement::CannotTell,
        },
    })
}

fn print(
    out: &mut impl Write,
    attribution: &Attribution,
    explanation: &PolicyExplanation,
) -> io::Result<()> {
    let judgement = &explanation.judgement;
    writeln!(out, "verdict      {}", judgement.verdict.name())?;
    writeln!(out, "rule         {}", judgement.rule.as_deref().unwrap_or("none"))?;
    writeln!(out, "group        {}", judgement.group.as_deref().unwrap_or("none"))?;
    let family = attribution.family.as_deref().unwrap_or("none known");
    let category = attribution.category.name();
    let name = dwell_attribution::printable(attribution.application.as_bytes(), 96);
    writeln!(out, "application  {name} (family {family}, category {category})")?;
    writeln!(out, "looked at, in order:")?;
    for step in &explanation.steps {
        writeln!(out, "  {}: {}", step.rule, step.outcome)?;
    }
    Ok(())
}
