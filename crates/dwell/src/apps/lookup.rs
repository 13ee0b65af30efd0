//! `dwell apps lookup`: one answer and why. Prints.

use std::io::{self, Write};
use std::time::Duration;

use dwell_attribution::{Date, Evidence, Explanation, Fate, Opening, Os, OsGuess};
use dwell_packet::Timestamp;

use crate::Exit;
use crate::apps::args::{LookupArgs, OsName};

/// Runs the command.
///
/// # Errors
/// When rules cannot be read or output cannot be written.
pub(crate) fn run(args: &LookupArgs) -> anyhow::Result<Exit> {
    let (rules, exit) = super::rules(&args.apps)?;
    let hello =
        [&args.ja4, &args.ja4_stable, &args.ja3, &args.sni].into_iter().any(Option::is_some);
    let day = args.at.unwrap_or_else(super::today);
    let evidence = Evidence {
        opening: if hello { Opening::Hello } else { Opening::HttpRequest },
        ja4: args.ja4.as_deref(),
        stable: args.ja4_stable.as_deref(),
        ja3: args.ja3.as_deref(),
        server_name: args.sni.as_deref().map(str::as_bytes),
        user_agent: args.user_agent.as_deref().map(str::as_bytes),
        alpn: args.alpn.as_deref().map(str::as_bytes),
        port: args.port,
        os: args.os.map(|os| OsGuess { os: os.into(), or: None }),
        at: start_of(day),
    };
    print(&mut io::stdout().lock(), &rules.explain(&evidence))?;
    Ok(exit)
}

impl From<OsName> for Os {
    fn from(name: OsName) -> Self {
        match name {
            OsName::Macos => Self::Macos,
            OsName::Ios => Self::Ios,
            OsName::Windows => Self::Windows,
            OsName::Linux => Self::Linux,
            OsName::Android => Self::Android,
        }
    }
}

/// Midnight, UTC.
pub(crate) fn start_of(day: Date) -> Timestamp {
    let epoch = Timestamp::from_nanos(0);
    let days = day.days_since(Date::of(epoch));
    epoch.saturating_add(Duration::from_secs(days.saturating_mul(86_400)))
}

fn print(out: &mut impl Write, explanation: &Explanation) -> io::Result<()> {
    let answer = &explanation.answer;
    writeln!(out, "application  {} ({})", answer.application, answer.outcome.name())?;
    if let Some(family) = &answer.family {
        writeln!(out, "family       {family}")?;
    }
    writeln!(out, "category     {}", answer.category.name())?;
    if let Some(stack) = &answer.stack {
        writeln!(out, "stack        {stack}")?;
    }
    writeln!(out, "evidence     {}, confidence {:.2}", answer.level.name(), answer.confidence)?;
    if let Some(rule) = &answer.rule {
        writeln!(out, "rule         {rule}")?;
    }
    for candidate in &answer.candidates {
        writeln!(
            out,
            "candidate    {} by {} ({}, confidence {:.2})",
            candidate.application,
            candidate.rule,
            candidate.level.name(),
            candidate.confidence,
        )?;
    }
    for contradiction in &answer.contradictions {
        writeln!(out, "contradicts  {contradiction}")?;
    }
    writeln!(out, "looked up, the most specific first:")?;
    for step in &explanation.steps {
        let key = dwell_attribution::printable(step.key.as_bytes(), MAX_KEY_BYTES);
        if step.tried.is_empty() {
            writeln!(out, "  {key}: no rule")?;
            continue;
        }
        writeln!(out, "  {key}")?;
        for tried in &step.tried {
            let mark = if tried.fate == Fate::Answers { '>' } else { ' ' };
            let level = tried.level.map_or("", dwell_attribution::EvidenceLevel::name);
            writeln!(
                out,
                "  {mark} {:.2} {} by {} {level}: {}",
                tried.confidence,
                tried.application,
                tried.rule,
                tried.fate.text(),
            )?;
        }
    }
    Ok(())
}

/// Longest key shown: a JA4 and a name of the longest kind.
const MAX_KEY_BYTES: usize = 320;
