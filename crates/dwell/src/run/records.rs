//! The thread of records: formats them, hands them to sinks, shows them to the console.

use std::sync::Arc;

use crossbeam_channel::Receiver;
use dwell_console::View;
use dwell_engine::Record;
use dwell_output::{EveContext, Format, encode};

use super::evidence::Witness;
use super::outputs::Router;
use super::packets::{Counted, Message};
use super::state::Tellings;

/// The thread's belongings.
pub(super) struct Records {
    receiver: Receiver<Message>,
    context: EveContext,
    router: Router,
    view: Arc<View>,
    /// Where findings are stored before they are sent, if anywhere.
    state: Option<Tellings>,
    /// What findings may stand on, if it is kept.
    witness: Option<Witness>,
}

impl Records {
    pub(super) fn new(
        receiver: Receiver<Message>,
        context: EveContext,
        router: Router,
        view: Arc<View>,
    ) -> Self {
        Self { receiver, context, router, view, state: None, witness: None }
    }

    /// Has findings stored before they are sent.
    pub(super) fn store_with(&mut self, state: Tellings) {
        self.state = Some(state);
    }

    /// Has evidence kept.
    pub(super) fn witness_with(&mut self, witness: Witness) {
        self.witness = Some(witness);
    }

    /// Gives a record to the sinks; a finding is stored before.
    fn send(&self, record: &Record) {
        let forms = self.router.forms(&self.context, record);
        match (&self.state, record) {
            (Some(state), Record::Finding(finding)) => state.tell(finding, &forms),
            (Some(state), Record::Session(session)) => state.note_session(&session.summary),
            _ => {}
        }
        if let Some(witness) = &self.witness {
            witness.see(&self.context, record, &forms);
        }
        self.router.route(&forms);
    }

    /// Shows the latest state of findings and sessions to the console.
    fn show(&self, record: &Record) {
        if View::wants(record)
            && let Some(line) = encode(Format::Eve, &self.context, record)
        {
            self.view.take(record, &line);
        }
    }

    /// Runs until the packet thread is over and everything it gave is handed on.
    pub(super) fn run(mut self) {
        while let Ok(message) = self.receiver.recv() {
            match message {
                Message::Records(records) => {
                    for record in records {
                        self.show(&record);
                        self.send(&record);
                    }
                }
                Message::Stats(counted) => {
                    let Counted { stats, capture, unqueued } = *counted;
                    self.context.capture = capture;
                    self.context.unqueued = unqueued;
                    self.context.sinks = self.router.figures();
                    self.send(&Record::Stats(Box::new(stats)));
                }
            }
        }
    }
}
