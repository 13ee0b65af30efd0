//! `nettop -L 0` as CSV: a row for a process, then one for each of its sockets. Times are of the
//! day, without a date.

use super::clock;
use super::json::Fault;
use super::notes::Notes;
use super::observation::When;
use super::process::{ProcessFacts, label};
use super::sockets;

/// What earlier lines said.
#[derive(Debug)]
pub(crate) struct Nettop {
    time: usize,
    name: usize,
    process: Option<ProcessFacts>,
}

impl Nettop {
    /// Reads the header: `time,,interface,…` names its columns, the nameless one is the row's.
    pub(crate) fn of_header(line: &str) -> Option<Self> {
        let columns: Vec<&str> = line.trim_end().split(',').collect();
        let time = columns.iter().position(|&column| column == "time")?;
        let name = columns.iter().position(|column| column.is_empty())?;
        columns.contains(&"bytes_in").then_some(Self { time, name, process: None })
    }

    /// Takes one row.
    pub(crate) fn read(&mut self, line: &str, notes: &mut Notes<'_>) -> Result<(), Fault> {
        if let Some(header) = Self::of_header(line) {
            *self = header;
            return Ok(());
        }
        let column = |at: usize| line.split(',').nth(at).unwrap_or_default().trim();
        let row = column(self.name);
        if row.is_empty() {
            return Err(Fault::line("no process or socket"));
        }
        let of_day = clock::time_of_day(column(self.time));
        notes.at = of_day.map_or(When::Unknown, When::TimeOfDay);
        let (protocol, rest) = row.split_once(' ').unwrap_or((row, ""));
        let transport = matches!(protocol, "tcp4" | "tcp6" | "udp4" | "udp6" | "quic4" | "quic6")
            .then(|| sockets::transport(&protocol.replace("quic", "udp")))
            .flatten();
        if transport.is_none() || !rest.contains("<->") {
            return self.process_row(row, notes);
        }
        let Some(process) = &self.process else {
            return Err(Fault::line("a socket before any process"));
        };
        if rest.contains('*') {
            return Ok(());
        }
        let ends = sockets::pair(rest).ok_or_else(|| Fault::line("no socket as LOCAL<->REMOTE"))?;
        if let Some(socket) = sockets::name(ends) {
            notes.socket((socket, transport), None, process.clone());
        }
        Ok(())
    }

    /// `NAME.PID`; names are cut to 15 bytes and may hold dots and spaces.
    fn process_row(&mut self, row: &str, notes: &mut Notes<'_>) -> Result<(), Fault> {
        self.process = None;
        let named = row.rsplit_once('.').and_then(|(name, pid)| Some((name, pid.parse().ok()?)));
        let (name, pid) = named.ok_or_else(|| Fault::line("no process as NAME.PID"))?;
        let process = ProcessFacts { name: label(name.as_bytes()), ..ProcessFacts::of_pid(pid) };
        notes.process(process.clone());
        self.process = Some(process);
        Ok(())
    }
}
