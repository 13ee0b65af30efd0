//! Evidence of a running sensor: frames kept beside the engine, and the thread that writes down what
//! findings stand on. No packet waits for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, never, select, unbounded};
use dwell_detect::{Finding, Outlook};
use dwell_engine::{Engine, Record};
use dwell_evidence::{FrameKeeper, KeeperCounters, KeptFrame, Slice};
use dwell_output::{EveContext, EvidenceFigures, Format, Metrics, encode};
use dwell_packet::{DecodeConfig, Frame};

use super::spawn;
use super::state::Form;
use crate::config::EvidenceConfig;
use crate::evidence::{Casebook, Ending, Note, Wanted, outlook};
use crate::{clock, log};

/// Messages that wait for the thread of evidence: records and frames.
const MAX_NOTES: usize = 8192;
const MAX_PACKETS: usize = 256;

/// Orders that the packet thread does at a time: each looks at all of the latest frames.
const ORDERS_AT_ONCE: usize = 4;

/// How often figures are published and folders tidied.
const PUBLISH: Duration = Duration::from_secs(1);
const TIDY: Duration = Duration::from_secs(60);

/// What the packet thread gives.
enum Packets {
    Slice(Slice),
    Caught(Vec<KeptFrame>),
    Outlook(u64, Box<Finding>, Box<Outlook>),
    Counters(KeeperCounters, u64),
}

/// The packet thread's end: what it keeps, and what is wanted of it.
pub(super) struct Recorder {
    keeper: FrameKeeper,
    orders: Receiver<Wanted>,
    packets: Sender<Packets>,
    refused: u64,
    published: std::time::Instant,
}

/// The end of the thread of records.
pub(super) struct Witness {
    notes: Sender<Note>,
    dropped: Arc<AtomicU64>,
}

/// The supervisor's end.
pub(super) struct Running {
    thread: JoinHandle<()>,
}

/// Starts the thread; the folder is there and can be written.
///
/// # Errors
/// When the folder cannot be read, or the system gives no thread.
pub(super) fn start(
    (folder, config): (&Path, &EvidenceConfig),
    decode: DecodeConfig,
    metrics: Arc<Metrics>,
) -> anyhow::Result<(Recorder, Witness, Running)> {
    let casebook = Casebook::open(folder, (config.folders(), config.records.0), Ending::Closed)?;
    let (notes, noted) = bounded(MAX_NOTES);
    let (packets, given) = bounded(MAX_PACKETS);
    // As many as there are flows of findings, which the casebook bounds.
    let (order, orders) = unbounded();
    let keeper = FrameKeeper::new(decode, config.keeper());
    let dropped = Arc::new(AtomicU64::new(0));
    let clerk = Clerk {
        casebook,
        order: Some(order),
        metrics,
        keeper: KeeperCounters::default(),
        dropped: (0, Arc::clone(&dropped)),
        told_errors: 0,
    };
    let thread = spawn("evidence", move || clerk.run(noted, given))?;
    let published = clock::moment();
    Ok((
        Recorder { keeper, orders, packets, refused: 0, published },
        Witness { notes, dropped },
        Running { thread },
    ))
}

impl Recorder {
    /// Keeps a frame that the engine has taken in.
    pub(super) fn keep(&mut self, frame: Frame<'_>) {
        self.keeper.keep(frame);
    }

    /// Does what is wanted, and hands over what was kept for findings. Never waits.
    pub(super) fn turn(&mut self, engine: &Engine) {
        for _ in 0..ORDERS_AT_ONCE {
            let Ok(wanted) = self.orders.try_recv() else { break };
            self.obey(wanted, engine);
        }
        let caught = self.keeper.take_caught();
        if !caught.is_empty() {
            self.give(Packets::Caught(caught));
        }
        if self.published.elapsed() >= PUBLISH {
            self.published = clock::moment();
            let counters = Packets::Counters(self.keeper.counters(), self.refused);
            if self.packets.try_send(counters).is_ok() {
                self.refused = 0;
            }
        }
    }

    /// Does everything that is wanted, when the sensor stops.
    pub(super) fn finish(mut self, engine: &Engine) {
        self.turn(engine);
        // Orders end once the thread of records is done with what this one gave it.
        while let Ok(wanted) = self.orders.recv_timeout(LAST_ORDERS) {
            self.obey(wanted, engine);
        }
        let _ = self.packets.try_send(Packets::Counters(self.keeper.counters(), self.refused));
    }

    fn obey(&mut self, wanted: Wanted, engine: &Engine) {
        match wanted {
            Wanted::Packets(order) => {
                if let Some(slice) = self.keeper.obey(&order) {
                    self.give(Packets::Slice(slice));
                }
            }
            Wanted::Outlook { case, finding } => {
                let outlook = outlook(engine.detector(), &finding);
                self.give(Packets::Outlook(case, finding, Box::new(outlook)));
            }
        }
    }

    fn give(&mut self, packets: Packets) {
        if let Err(TrySendError::Full(packets) | TrySendError::Disconnected(packets)) =
            self.packets.try_send(packets)
        {
            let frames = match &packets {
                Packets::Slice(slice) => slice.frames.len(),
                Packets::Caught(frames) => frames.len(),
                Packets::Outlook(..) | Packets::Counters(..) => 0,
            };
            self.refused += u64::try_from(frames).unwrap_or(u64::MAX);
        }
    }
}

/// How long orders are waited for when the sensor stops.
const LAST_ORDERS: Duration = Duration::from_millis(500);

impl Witness {
    /// Hands over a record that findings may stand on. Never waits.
    pub(super) fn see(&self, context: &EveContext, record: &Record, forms: &[Form]) {
        let line = || match forms.iter().find(|(format, _)| *format == Format::Eve) {
            Some((_, item)) => Some(item.bytes.clone()),
            None => encode(Format::Eve, context, record),
        };
        if let Some(note) = Note::of(record, line)
            && self.notes.try_send(note).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Running {
    /// Waits for what is left to be written; packets and records are over.
    pub(super) fn finish(self) {
        let _ = self.thread.join();
    }
}

/// The thread's belongings.
struct Clerk {
    casebook: Casebook,
    /// `None` once no record can ask for anything any more.
    order: Option<Sender<Wanted>>,
    metrics: Arc<Metrics>,
    keeper: KeeperCounters,
    /// Frames and records that found a queue full.
    dropped: (u64, Arc<AtomicU64>),
    /// Errors that were told.
    told_errors: u64,
}

impl Clerk {
    fn run(mut self, mut noted: Receiver<Note>, mut given: Receiver<Packets>) {
        let (mut published, mut tidied) = (clock::moment(), clock::moment());
        self.casebook.tidy(clock::wall());
        let mut packets_over = false;
        while self.order.is_some() || !packets_over {
            select! {
                recv(noted) -> note => match note {
                    Ok(note) => self.take(note),
                    Err(_) => {
                        noted = never();
                        self.order = None;
                    }
                },
                recv(given) -> packets => match packets {
                    Ok(packets) => self.write(packets),
                    Err(_) => {
                        given = never();
                        packets_over = true;
                    }
                },
                default(PUBLISH) => {}
            }
            if published.elapsed() >= PUBLISH {
                published = clock::moment();
                self.publish();
            }
            if tidied.elapsed() >= TIDY {
                tidied = clock::moment();
                self.casebook.tidy(clock::wall());
            }
        }
        self.publish();
    }

    fn take(&mut self, note: Note) {
        for wanted in self.casebook.take(note) {
            if let Some(order) = &self.order {
                // The packet thread that is over has nothing to give.
                let _ = order.send(wanted);
            }
        }
    }

    fn write(&mut self, packets: Packets) {
        match packets {
            Packets::Slice(slice) => {
                self.casebook.note_refused(slice.refused);
                self.casebook.add_frames(slice.frames);
            }
            Packets::Caught(frames) => self.casebook.add_frames(frames),
            Packets::Outlook(case, finding, outlook) => {
                self.casebook.add_outlook(case, &finding, &outlook);
            }
            Packets::Counters(counters, refused) => {
                self.keeper = counters;
                self.dropped.0 += refused;
            }
        }
    }

    fn publish(&mut self) {
        let (cases, records) = self.casebook.counters();
        if cases.errors > self.told_errors {
            self.told_errors = cases.errors;
            log::warning("evidence cannot be written; see dwell_evidence_errors_total");
        }
        let heads = self.keeper.heads;
        self.metrics.set_evidence(&EvidenceFigures {
            findings: cases.findings,
            unfollowed: cases.unfollowed + self.keeper.unwatched,
            records: [cases.records, cases.records_refused, self.dropped.1.load(Ordering::Relaxed)],
            frames: [cases.frames, cases.frames_refused, self.dropped.0],
            removed: [cases.removed.aged, cases.removed.crowded],
            errors: cases.errors,
            memory: [heads.bytes, records.bytes],
            evicted: [heads.evicted, records.evicted],
        });
    }
}
