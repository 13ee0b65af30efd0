//! The thread of a sink: takes records from the queue, writes, waits and tries again. Knows no
//! formats and no destinations.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::queue::Next;
use super::{Again, Failure, Item, Queue, Sink};
use crate::{SinkDrop, SinkFigures, SinkMetrics};

/// Bounds of a sink's queue and patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkLimits {
    /// Most records that wait.
    pub max_records: usize,
    /// Most bytes that wait.
    pub max_bytes: usize,
    /// Pause before a record is tried again; doubles up to `max_pause`.
    pub pause: Duration,
    /// The longest pause.
    pub max_pause: Duration,
}

impl Default for SinkLimits {
    /// 65,536 records or 64 MiB: minutes of an office's traffic, a second of a flood.
    fn default() -> Self {
        Self {
            max_records: 65_536,
            max_bytes: 64 << 20,
            pause: Duration::from_millis(200),
            max_pause: Duration::from_secs(30),
        }
    }
}

/// Records handed to a sink at a time.
const BATCH: usize = 256;

/// How long a queue may be silent before the sink looks at its time.
const TICK: Duration = Duration::from_secs(1);

/// What is told of a sink's trouble: its name and what happened.
pub type Complain = fn(&str, &str);

/// A sink with its thread and queue.
#[derive(Debug)]
pub struct RunningSink {
    name: String,
    queue: Arc<Queue>,
    metrics: SinkMetrics,
    thread: Option<JoinHandle<()>>,
}

impl RunningSink {
    /// Starts the thread. `complain` gets one line when trouble begins and one when it is over.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        name: &str,
        sink: Box<dyn Sink>,
        limits: SinkLimits,
        metrics: SinkMetrics,
        complain: Complain,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(limits.max_records, limits.max_bytes));
        let worker = Worker {
            name: name.to_owned(),
            sink,
            limits,
            queue: Arc::clone(&queue),
            metrics: metrics.clone(),
            complain,
            troubled: false,
        };
        // Linux keeps 15 characters of a thread's name.
        let short: String = format!("sink-{name}").chars().take(15).collect();
        let thread = std::thread::Builder::new().name(short).spawn(move || worker.run())?;
        Ok(Self { name: name.to_owned(), queue, metrics, thread: Some(thread) })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hands a record over; never waits.
    pub fn push(&self, item: Arc<Item>) {
        let dropped = self.queue.push(item);
        if dropped > 0 {
            self.metrics.dropped(SinkDrop::QueueFull, dropped);
        }
    }

    /// Asks it to open its files again.
    pub fn reopen(&self) {
        self.queue.reopen();
    }

    /// Publishes how many records wait.
    pub fn publish(&self) {
        self.metrics.queued(self.queue.len());
    }

    /// What became of its records so far.
    #[must_use]
    pub fn figures(&self) -> SinkFigures {
        self.metrics.figures(self.queue.len())
    }

    /// Lets nothing more in; the thread writes what waits, and tries nothing twice from here on.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Waits for the thread; it ends once the queue is closed.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A sink that panicked has said so on standard error.
            let _ = thread.join();
        }
    }

    /// Whether the thread is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

struct Worker {
    name: String,
    sink: Box<dyn Sink>,
    limits: SinkLimits,
    queue: Arc<Queue>,
    metrics: SinkMetrics,
    complain: Complain,
    troubled: bool,
}

impl Worker {
    fn run(mut self) {
        loop {
            let outcome = match self.queue.next(BATCH, TICK) {
                Next::Items(items) => {
                    self.deliver(&items);
                    Ok(())
                }
                Next::Idle => self.sink.tick(),
                Next::Reopen => self.sink.reopen(),
                Next::Closed => break,
            };
            if let Err(failure) = outcome {
                self.note(&failure);
            }
        }
        // What a sink still has in hand goes out with its last look at the time.
        if let Err(failure) = self.sink.tick() {
            self.note(&failure);
        }
    }

    /// Writes every record, or counts it as dropped.
    fn deliver(&mut self, items: &[Arc<Item>]) {
        let mut rest = items;
        let mut pause = self.limits.pause;
        while !rest.is_empty() {
            let failure = match self.sink.write(rest) {
                Ok(()) => {
                    self.count(rest);
                    self.note_success();
                    return;
                }
                Err(failure) => failure,
            };
            self.note(&failure);
            let (written, left) = rest.split_at_checked(failure.written).unwrap_or((rest, &[]));
            self.count(written);
            rest = left;
            if !written.is_empty() {
                pause = self.limits.pause;
            }
            let wait = match failure.again {
                Again::Never => {
                    self.metrics.dropped(SinkDrop::Refused, u64::from(!rest.is_empty()));
                    rest = rest.split_first().map_or(&[], |(_, more)| more);
                    continue;
                }
                Again::Soon => pause,
                Again::After(asked) => asked.min(self.limits.max_pause),
            };
            if self.queue.closed_within(wait) {
                self.last_try(rest);
                return;
            }
            pause = pause.saturating_mul(2).min(self.limits.max_pause);
        }
    }

    /// The sensor stops: one more try, then records are dropped.
    fn last_try(&mut self, rest: &[Arc<Item>]) {
        let written = match self.sink.write(rest) {
            Ok(()) => rest.len(),
            Err(failure) => failure.written.min(rest.len()),
        };
        let (done, lost) = rest.split_at_checked(written).unwrap_or((rest, &[]));
        self.count(done);
        self.metrics.dropped(SinkDrop::Stopped, u64::try_from(lost.len()).unwrap_or(u64::MAX));
    }

    fn count(&self, items: &[Arc<Item>]) {
        for item in items {
            self.metrics.written(item.kind);
        }
    }

    fn note(&mut self, failure: &Failure) {
        self.metrics.failed(failure.error);
        if !self.troubled || failure.again == Again::Never {
            (self.complain)(&self.name, &failure.message);
        }
        self.troubled = failure.again != Again::Never;
    }

    fn note_success(&mut self) {
        if self.troubled {
            self.troubled = false;
            (self.complain)(&self.name, "writes again");
        }
    }
}

#[cfg(test)]
mod tests;
