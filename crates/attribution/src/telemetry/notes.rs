//! What a reader collects of one line. Knows no tool.

use std::sync::Arc;

use dwell_packet::{Timestamp, Transport};

use super::observation::{Observation, Seen, SocketName, SocketSighting, When};
use super::process::{ProcessFacts, TelemetrySource};

/// Observations of a line, all by one source, machine and time.
pub(crate) struct Notes<'o> {
    pub(crate) source: TelemetrySource,
    pub(crate) machine: Option<Arc<str>>,
    pub(crate) at: When,
    pub(crate) out: &'o mut Vec<Observation>,
}

impl Notes<'_> {
    /// A process holds a socket.
    pub(crate) fn socket(
        &mut self,
        (socket, transport): (SocketName, Option<Transport>),
        since: Option<Timestamp>,
        process: ProcessFacts,
    ) {
        let sighting = SocketSighting { socket, transport, since, process };
        self.push(Seen::Socket(Box::new(sighting)));
    }

    /// A process exists.
    pub(crate) fn process(&mut self, process: ProcessFacts) {
        self.push(Seen::Process(Box::new(process)));
    }

    fn push(&mut self, seen: Seen) {
        if self.out.len() < MAX_OF_LINE {
            let (machine, at, source) = (self.machine.clone(), self.at, self.source);
            self.out.push(Observation { machine, at, source, seen });
        }
    }
}

/// Observations taken from one line: a Santa message carries the flows of some minutes.
pub(crate) const MAX_OF_LINE: usize = 16_384;
