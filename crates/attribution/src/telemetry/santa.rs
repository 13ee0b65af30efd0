//! Santa's NetworkActivity messages (santa.proto, as JSON): flows with process and signature.

use std::sync::Arc;

use dwell_packet::{Endpoint, Timestamp, Transport};
use serde_json::Value;

use super::clock;
use super::json::{Fault, at, flag, name, needed, small, text};
use super::notes::Notes;
use super::observation::{SocketName, When};
use super::process::ProcessFacts;
use super::sockets;

/// Takes a message's flows; messages of other kinds say nothing of sockets.
pub(crate) fn read(line: &Value, notes: &mut Notes<'_>) -> Result<(), Fault> {
    let Some(activity) = at(line, "network_activity") else { return Ok(()) };
    notes.machine = text(line, "machine_id").and_then(super::observation::machine);
    if let Some(time) = text(line, "event_time") {
        let time = clock::date_time(time)
            .ok_or_else(|| Fault::key("event_time", "an RFC 3339 time is needed"))?;
        notes.at = When::At(time);
    }
    let processes = at(activity, "processes").and_then(Value::as_array);
    let processes =
        processes.ok_or_else(|| Fault::key("network_activity.processes", "a list is needed"))?;
    for entry in processes {
        let process = process(at(entry, "process").unwrap_or(&Value::Null))?;
        let flows = at(entry, "flows").and_then(Value::as_array);
        for flow in flows.map(Vec::as_slice).unwrap_or_default() {
            self::flow(flow, &process, notes)?;
        }
        notes.process(process);
    }
    Ok(())
}

fn process(value: &Value) -> Result<ProcessFacts, Fault> {
    let pid = needed(value, "id.pid")?;
    let responsible = small(value, "responsible_id.pid")?.filter(|&other| other != pid);
    Ok(ProcessFacts {
        pidversion: small(value, "id.pidversion")?,
        path: name(value, "executable.path"),
        user: name(value, "effective_user.name"),
        uid: small(value, "effective_user.uid")?,
        signing_id: name(value, "code_signature.signing_id"),
        team_id: name(value, "code_signature.team_id"),
        platform_binary: flag(value, "is_platform_binary"),
        effective: responsible.map(ProcessFacts::of_pid).map(Arc::new),
        ..ProcessFacts::of_pid(pid)
    })
}

fn flow(flow: &Value, process: &ProcessFacts, notes: &mut Notes<'_>) -> Result<(), Fault> {
    let local = end(flow, "local_address", "local_port")?;
    let remote = end(flow, "remote_address", "remote_port")?;
    let Some(socket) = SocketName::of_ends(local, remote) else { return Ok(()) };
    let transport = match small::<u8>(flow, "protocol")? {
        Some(6) => Some(Transport::Tcp),
        Some(17) => Some(Transport::Udp),
        Some(_) => return Ok(()),
        None => None,
    };
    let since: Option<Timestamp> = match text(flow, "start_time") {
        Some(time) => Some(
            clock::date_time(time)
                .ok_or_else(|| Fault::key("start_time", "an RFC 3339 time is needed"))?,
        ),
        None => None,
    };
    // A message may be stamped before the last of its flows began.
    let of_message = notes.at;
    if let (When::At(at), Some(since)) = (of_message, since) {
        notes.at = When::At(at.max(since));
    }
    notes.socket((socket, transport), since, process.clone());
    notes.at = of_message;
    Ok(())
}

/// An address and a port under two keys.
pub(crate) fn end(value: &Value, addr: &str, port: &str) -> Result<Endpoint, Fault> {
    let text = text(value, addr).ok_or_else(|| Fault::key(addr, "is missing"))?;
    let found = sockets::addr(text).ok_or_else(|| Fault::key(addr, "no IP address"))?;
    Ok(Endpoint { addr: found, port: needed(value, port)? })
}
