//! osquery results: `process_open_sockets`, `socket_events`, `es_process_events`, in differential,
//! batch and snapshot form. Columns tell the table: the query's name is the operator's.

use std::sync::Arc;

use dwell_packet::Endpoint;
use serde_json::Value;

use super::clock;
use super::json::{Fault, at, flag, name, needed, small, text};
use super::notes::Notes;
use super::observation::{SocketName, When, machine};
use super::process::{ProcessFacts, TelemetrySource};
use super::santa::end;
use super::sockets;

/// Takes a result's rows; rows that went away say nothing of now.
pub(crate) fn read(line: &Value, notes: &mut Notes<'_>) -> Result<(), Fault> {
    notes.machine = text(line, "hostIdentifier").and_then(machine);
    if let Some(seconds) = small::<u64>(line, "unixTime")? {
        notes.at = When::At(dwell_packet::Timestamp::from_parts(seconds, 0));
    }
    if text(line, "action") != Some("removed")
        && let Some(columns) = at(line, "columns")
    {
        row(columns, notes)?;
    }
    for rows in ["snapshot", "diffResults.added"] {
        let rows = at(line, rows).and_then(Value::as_array);
        for columns in rows.map(Vec::as_slice).unwrap_or_default() {
            row(columns, notes)?;
        }
    }
    Ok(())
}

fn row(columns: &Value, notes: &mut Notes<'_>) -> Result<(), Fault> {
    let of_line = notes.at;
    if let Some(seconds) = text(columns, "time").and_then(clock::epoch) {
        notes.at = When::At(seconds);
    }
    let done = if at(columns, "local_port").is_some() && at(columns, "remote_port").is_some() {
        socket(columns, notes)
    } else if at(columns, "pid").is_some() && at(columns, "path").is_some() {
        process_event(columns, notes)
    } else {
        Ok(())
    };
    notes.at = of_line;
    done
}

fn socket(columns: &Value, notes: &mut Notes<'_>) -> Result<(), Fault> {
    let events = at(columns, "action").is_some();
    notes.source =
        if events { TelemetrySource::SocketEvents } else { TelemetrySource::OpenSockets };
    let process = process(columns, ["username", "identifier", "team_identifier"])?;
    let transport = match text(columns, "protocol") {
        None => None,
        Some(protocol) => match sockets::transport(protocol) {
            None => return Ok(()),
            some => some,
        },
    };
    if let Some(id) = text(columns, "community_id") {
        notes.socket((SocketName::CommunityId(id.into()), transport), None, process);
        return Ok(());
    }
    // Listening and unbound sockets have no other end.
    if text(columns, "local_address").is_none() || text(columns, "remote_address").is_none() {
        return Ok(());
    }
    let local: Endpoint = end(columns, "local_address", "local_port")?;
    let remote = end(columns, "remote_address", "remote_port")?;
    if let Some(socket) = SocketName::of_ends(local, remote) {
        notes.socket((socket, transport), None, process);
    }
    Ok(())
}

fn process_event(columns: &Value, notes: &mut Notes<'_>) -> Result<(), Fault> {
    if text(columns, "event_type").is_some_and(|kind| kind != "exec") {
        return Ok(());
    }
    notes.source = TelemetrySource::ProcessEvents;
    let mut process = process(columns, ["username", "signing_id", "team_id"])?;
    process.platform_binary = flag(columns, "platform_binary");
    notes.process(process);
    Ok(())
}

fn process(columns: &Value, [user, signing_id, team_id]: [&str; 3]) -> Result<ProcessFacts, Fault> {
    let pid = needed(columns, "pid")?;
    let responsible = small(columns, "responsible_pid")?.filter(|&other| other != pid && other > 0);
    Ok(ProcessFacts {
        pidversion: small(columns, "pidversion")?,
        name: name(columns, "name"),
        path: name(columns, "path"),
        user: name(columns, user),
        uid: small(columns, "uid")?,
        signing_id: name(columns, signing_id),
        team_id: name(columns, team_id),
        effective: responsible.map(ProcessFacts::of_pid).map(Arc::new),
        ..ProcessFacts::of_pid(pid)
    })
}
