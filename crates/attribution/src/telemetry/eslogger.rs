//! eslogger's process executions (Endpoint Security messages as JSON). It logs no sockets.

use std::sync::Arc;

use serde_json::Value;

use super::clock;
use super::json::{Fault, at, flag, name, needed, small, text};
use super::notes::Notes;
use super::observation::When;
use super::process::ProcessFacts;

/// Takes an execution: the new process, and the one that called it.
pub(crate) fn read(line: &Value, notes: &mut Notes<'_>) -> Result<(), Fault> {
    if let Some(time) = text(line, "time") {
        let time = clock::date_time(time)
            .ok_or_else(|| Fault::key("time", "an RFC 3339 time is needed"))?;
        notes.at = When::At(time);
    }
    let caller = at(line, "process").map(process).transpose()?;
    if let Some(target) = at(line, "event.exec.target") {
        let mut process = process(target)?;
        if let (Some(effective), Some(caller)) = (&process.effective, &caller)
            && effective.pid == caller.pid
        {
            process.effective = Some(Arc::new(caller.clone()));
        }
        // A process that replaces itself by another program is its own caller.
        let replaced = caller.as_ref().is_some_and(|caller| caller.pid == process.pid);
        if let Some(caller) = caller.filter(|_| !replaced) {
            notes.process(caller);
        }
        notes.process(process);
    } else if let Some(caller) = caller {
        notes.process(caller);
    }
    Ok(())
}

fn process(value: &Value) -> Result<ProcessFacts, Fault> {
    let pid = needed(value, "audit_token.pid")?;
    let responsible = small(value, "responsible_audit_token.pid")?;
    let responsible = responsible.filter(|&other| other != pid);
    Ok(ProcessFacts {
        pidversion: small(value, "audit_token.pidversion")?,
        path: name(value, "executable.path"),
        uid: small(value, "audit_token.euid")?,
        signing_id: name(value, "signing_id"),
        team_id: name(value, "team_id"),
        platform_binary: flag(value, "is_platform_binary"),
        effective: responsible.map(ProcessFacts::of_pid).map(Arc::new),
        ..ProcessFacts::of_pid(pid)
    })
}
