//! `lsof -i -n -P -F…`: one field a line (or a NUL), a letter first; processes, then their files.
//! A snapshot without a time.

use dwell_packet::Transport;

use super::json::Fault;
use super::notes::Notes;
use super::process::{ProcessFacts, label};
use super::sockets;

/// What earlier fields said.
#[derive(Debug, Default)]
pub(crate) struct Lsof {
    process: Option<ProcessFacts>,
    transport: Option<Transport>,
    other_protocol: bool,
}

impl Lsof {
    /// Whether a line can be the first: a process field.
    pub(crate) fn recognises(line: &str) -> bool {
        line.strip_prefix('p').is_some_and(|pid| {
            let pid = pid.split('\0').next().unwrap_or_default();
            !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit())
        })
    }

    /// Takes one line: a field, or several that NULs end.
    pub(crate) fn read(&mut self, line: &str, notes: &mut Notes<'_>) -> Result<(), Fault> {
        for field in line.split('\0').filter(|field| !field.is_empty()) {
            self.field(field, notes)?;
        }
        Ok(())
    }

    fn field(&mut self, field: &str, notes: &mut Notes<'_>) -> Result<(), Fault> {
        let mut letters = field.chars();
        let (letter, value) = (letters.next().unwrap_or_default(), letters.as_str());
        match letter {
            'p' => {
                let pid = value.parse().map_err(|_| Fault::key("p", "a pid is needed"));
                self.process = None;
                self.process = Some(ProcessFacts::of_pid(pid?));
                self.new_file();
            }
            'f' => self.new_file(),
            'P' => {
                self.transport = sockets::transport(value);
                self.other_protocol = self.transport.is_none();
            }
            'n' => self.name(value, notes)?,
            _ => {
                let Some(process) = &mut self.process else { return Ok(()) };
                match letter {
                    'c' => process.name = label(value.as_bytes()),
                    'L' => process.user = label(value.as_bytes()),
                    'u' => {
                        let uid = value.parse().map_err(|_| Fault::key("u", "a uid is needed"));
                        process.uid = Some(uid?);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn new_file(&mut self) {
        (self.transport, self.other_protocol) = (None, false);
    }

    /// A file's name: a socket with two ends, or something else.
    fn name(&mut self, value: &str, notes: &mut Notes<'_>) -> Result<(), Fault> {
        if self.other_protocol || !value.contains("->") {
            return Ok(());
        }
        let Some(process) = &self.process else {
            return Err(Fault::key("n", "a socket before any process"));
        };
        // `->` also stands in names of Unix sockets and pipes.
        if let Some(socket) = sockets::pair(value).and_then(sockets::name) {
            notes.socket((socket, self.transport), None, process.clone());
        }
        Ok(())
    }
}
