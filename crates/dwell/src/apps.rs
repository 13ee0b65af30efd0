//! `dwell apps`: look rules up, and explain the answer. Learns nothing.

use std::io::{self, Write};

use anyhow::Context as _;
use dwell_attribution::{AppRules, Evidence, Opening};

use crate::Exit;
use crate::cli::{AppsArgs, AppsCommand};

/// Runs the command.
///
/// # Errors
/// When rules cannot be read or output cannot be written.
pub(crate) fn run(args: &AppsArgs) -> anyhow::Result<Exit> {
    match &args.command {
        AppsCommand::Lookup { ja4, ja3, sni, user_agent, apps } => {
            let (rules, errors) = if apps.is_empty() {
                (AppRules::builtin(), Vec::new())
            } else {
                AppRules::load(apps).context("application rules")?
            };
            for error in &errors {
                eprintln!("dwell: {error}");
            }
            let hello = ja4.is_some() || ja3.is_some() || sni.is_some();
            let evidence = Evidence {
                opening: if hello { Opening::Hello } else { Opening::HttpRequest },
                ja4: ja4.as_deref(),
                ja3: ja3.as_deref(),
                server_name: sni.as_deref().map(str::as_bytes),
                user_agent: user_agent.as_deref().map(str::as_bytes),
                port: 443,
                ..Evidence::default()
            };
            explain(&mut io::stdout().lock(), &rules, &evidence)?;
            Ok(if errors.is_empty() { Exit::Success } else { Exit::Configuration })
        }
    }
}

fn explain(out: &mut impl Write, rules: &AppRules, evidence: &Evidence<'_>) -> io::Result<()> {
    let answer = rules.attribute(evidence);
    writeln!(out, "application  {} ({})", answer.application, answer.outcome.name())?;
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
    Ok(())
}
