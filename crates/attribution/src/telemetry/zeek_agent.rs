//! Zeek Agent's sockets as Zeek writes them: tab-separated with a `#fields` header, or JSON.

use dwell_packet::Endpoint;
use serde_json::Value;

use super::clock;
use super::json::{Fault, at, name, needed, small, text};
use super::notes::Notes;
use super::observation::{SocketName, When, machine};
use super::process::{ProcessFacts, label};
use super::santa::end;
use super::sockets;

/// What the header said.
#[derive(Debug, Default)]
pub(crate) struct ZeekAgent {
    separator: Option<char>,
    fields: Vec<String>,
}

impl ZeekAgent {
    /// Takes one line of a tab-separated log.
    pub(crate) fn read(&mut self, line: &str, notes: &mut Notes<'_>) -> Result<(), Fault> {
        if let Some(header) = line.strip_prefix('#') {
            self.header(header);
            return Ok(());
        }
        if self.fields.is_empty() {
            return Err(Fault::line("a row before the #fields header"));
        }
        let separator = self.separator.unwrap_or('\t');
        let cells: Vec<&str> = line.split(separator).collect();
        let cell = |wanted: &str| {
            let place = self.fields.iter().position(|field| field == wanted)?;
            cells.get(place).copied().filter(|cell| !matches!(*cell, "-" | "(empty)" | ""))
        };
        notes.machine = cell("hid").and_then(machine);
        if let Some(time) = cell("t").or_else(|| cell("ts")) {
            let time = clock::epoch(time).ok_or_else(|| Fault::key("t", "no time"))?;
            notes.at = When::At(time);
        }
        let Some(pid) = cell("pid") else { return Err(Fault::key("pid", "is missing")) };
        let process = ProcessFacts {
            name: cell("process").and_then(|name| label(name.as_bytes())),
            ..ProcessFacts::of_pid(pid.parse().map_err(|_| Fault::key("pid", "no number"))?)
        };
        let transport = match cell("protocol").map(sockets::transport) {
            Some(None) => return Ok(()),
            other => other.flatten(),
        };
        let end = |addr: &str, port: &str| -> Result<Option<Endpoint>, Fault> {
            let Some((ip, number)) = cell(addr).zip(cell(port)) else { return Ok(None) };
            let ip = sockets::addr(ip).ok_or_else(|| Fault::key(addr, "no IP address"))?;
            let number = number.parse().map_err(|_| Fault::key(port, "no port"))?;
            Ok(Some(Endpoint { addr: ip, port: number }))
        };
        let ends = end("local_addr", "local_port")?.zip(end("remote_addr", "remote_port")?);
        if let Some(socket) = ends.and_then(|(from, to)| SocketName::of_ends(from, to)) {
            notes.socket((socket, transport), None, process.clone());
        }
        notes.process(process);
        Ok(())
    }

    fn header(&mut self, header: &str) {
        if let Some(separator) = header.strip_prefix("separator ") {
            // Written as `\x09`.
            let code =
                separator.strip_prefix("\\x").and_then(|hex| u32::from_str_radix(hex, 16).ok());
            self.separator = code.and_then(char::from_u32).or_else(|| separator.chars().next());
        } else if let Some(fields) = header.strip_prefix("fields") {
            let separator = self.separator.unwrap_or('\t');
            let fields = fields.split(separator).filter(|field| !field.is_empty());
            self.fields = fields.take(MAX_FIELDS).map(str::to_owned).collect();
        }
    }
}

/// Takes one line of a JSON log.
pub(crate) fn read_json(line: &Value, notes: &mut Notes<'_>) -> Result<(), Fault> {
    notes.machine = text(line, "hid").and_then(machine);
    let time = at(line, "t").or_else(|| at(line, "ts"));
    if let Some(time) =
        time.map(|time| time.as_str().map_or_else(|| time.to_string(), str::to_owned))
    {
        notes.at = clock::any_form(&time).ok_or_else(|| Fault::key("t", "no time"))?;
    }
    let process = ProcessFacts {
        name: name(line, "process"),
        uid: small(line, "uid").unwrap_or_default(),
        ..ProcessFacts::of_pid(needed(line, "pid")?)
    };
    let transport = text(line, "protocol").and_then(sockets::transport).or_else(|| {
        let number = small::<u8>(line, "protocol").ok().flatten()?;
        sockets::transport(&number.to_string())
    });
    if text(line, "remote_addr").is_some() && text(line, "local_addr").is_some() {
        let (from, to) =
            (end(line, "local_addr", "local_port")?, end(line, "remote_addr", "remote_port")?);
        if let Some(socket) = SocketName::of_ends(from, to) {
            notes.socket((socket, transport), None, process.clone());
        }
    }
    notes.process(process);
    Ok(())
}

/// Columns of a log: ten times what the agent has.
const MAX_FIELDS: usize = 256;
