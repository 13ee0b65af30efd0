//! The thread of records: formats them, hands them to sinks, shows them to the console.

use std::sync::Arc;

use crossbeam_channel::Receiver;
use dwell_console::View;
use dwell_engine::Record;
use dwell_output::{EveContext, Format, encode};

use super::outputs::Router;
use super::packets::Message;

/// The thread's belongings.
pub(super) struct Records {
    receiver: Receiver<Message>,
    context: EveContext,
    router: Router,
    view: Arc<View>,
}

impl Records {
    pub(super) const fn new(
        receiver: Receiver<Message>,
        context: EveContext,
        router: Router,
        view: Arc<View>,
    ) -> Self {
        Self { receiver, context, router, view }
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
                        self.router.route(&self.context, &record);
                    }
                }
                Message::Stats(stats, capture) => {
                    self.context.capture = capture;
                    self.router.route(&self.context, &Record::Stats(stats));
                }
            }
        }
    }
}
