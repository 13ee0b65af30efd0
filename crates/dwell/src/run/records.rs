//! The thread of records: formats them, hands them to sinks, shows them to the console.

use crossbeam_channel::Receiver;
use dwell_engine::Record;
use dwell_output::EveContext;

use super::outputs::Router;
use super::packets::Message;

/// The thread's belongings.
pub(super) struct Records {
    receiver: Receiver<Message>,
    context: EveContext,
    router: Router,
}

impl Records {
    pub(super) const fn new(
        receiver: Receiver<Message>,
        context: EveContext,
        router: Router,
    ) -> Self {
        Self { receiver, context, router }
    }

    /// Runs until the packet thread is over and everything it gave is handed on.
    pub(super) fn run(mut self) {
        while let Ok(message) = self.receiver.recv() {
            match message {
                Message::Records(records) => {
                    for record in records {
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
