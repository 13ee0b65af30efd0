//! dwell's own plain shape, for tools without a reader of their own: one JSON object a socket, by
//! Community ID or by five-tuple in EVE's names.

use std::sync::Arc;

use serde_json::Value;

use super::clock;
use super::json::{Fault, at, flag, name, needed, small, text};
use super::notes::Notes;
use super::observation::{SocketName, machine};
use super::process::{ProcessFacts, label};
use super::santa::end;
use super::sockets;

/// Takes one line. Unknown keys are refused: the shape is ours.
pub(crate) fn read(line: &Value, notes: &mut Notes<'_>) -> Result<(), Fault> {
    let keys = line.as_object().into_iter().flat_map(serde_json::Map::keys);
    for key in keys {
        if !KEYS.contains(&key.as_str()) {
            let key = label(key.as_bytes()).unwrap_or_default();
            return Err(Fault::key(&key, "unknown key"));
        }
    }
    notes.machine = text(line, "host").and_then(machine);
    if let Some(time) = at(line, "timestamp") {
        let time = time.as_str().map_or_else(|| time.to_string(), str::to_owned);
        notes.at = clock::any_form(&time).ok_or_else(|| Fault::key("timestamp", "no time"))?;
    }
    let process = process(line)?;
    let transport = match text(line, "proto") {
        None => None,
        Some(proto) => Some(
            sockets::transport(proto).ok_or_else(|| Fault::key("proto", "TCP or UDP is needed"))?,
        ),
    };
    if let Some(id) = text(line, "community_id") {
        if !id.starts_with("1:") || id.len() != COMMUNITY_ID_LEN {
            return Err(Fault::key("community_id", "a version 1 Community ID is needed"));
        }
        notes.socket((SocketName::CommunityId(id.into()), transport), None, process.clone());
    } else if at(line, "src_ip").is_some() {
        let (from, to) = (end(line, "src_ip", "src_port")?, end(line, "dest_ip", "dest_port")?);
        if let Some(socket) = SocketName::of_ends(from, to) {
            notes.socket((socket, transport), None, process.clone());
        }
    }
    notes.process(process);
    Ok(())
}

fn process(line: &Value) -> Result<ProcessFacts, Fault> {
    let effective = small(line, "effective_pid")?.map(|pid| {
        Arc::new(ProcessFacts {
            name: name(line, "effective_name"),
            path: name(line, "effective_path"),
            ..ProcessFacts::of_pid(pid)
        })
    });
    Ok(ProcessFacts {
        pidversion: small(line, "pidversion")?,
        name: name(line, "name"),
        path: name(line, "path"),
        user: name(line, "user"),
        uid: small(line, "uid")?,
        signing_id: name(line, "signing_id"),
        team_id: name(line, "team_id"),
        platform_binary: flag(line, "platform_binary"),
        effective,
        ..ProcessFacts::of_pid(needed(line, "pid")?)
    })
}

/// Everything that a line may say.
const KEYS: [&str; 20] = [
    "timestamp",
    "host",
    "community_id",
    "src_ip",
    "src_port",
    "dest_ip",
    "dest_port",
    "proto",
    "pid",
    "pidversion",
    "name",
    "path",
    "user",
    "uid",
    "signing_id",
    "team_id",
    "platform_binary",
    "effective_pid",
    "effective_name",
    "effective_path",
];

/// `1:` and the base64 of 20 bytes.
const COMMUNITY_ID_LEN: usize = 30;
