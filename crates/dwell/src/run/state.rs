//! What outlives a restart: a thread that stores it, and what the others hand to it. Judges nothing.
//!
//! The packet thread gives what changed every few seconds and never waits. A finding is stored before
//! any sink gets it, and forgotten as unsent once every sink is done with it: a sensor that is
//! killed at any moment tells each finding, and tells none twice to a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select_biased};
use dwell_detect::{Finding, Saved, SessionSummary};
use dwell_engine::{Changes, Engine};
use dwell_output::{Format, Item, StateMetrics};
use dwell_packet::Timestamp;
use dwell_store::{Checkpoint, OutboxRow, Store, StoreError, Unsent};

use super::spawn;
use crate::baseline::open_or_make;
use crate::{clock, log};

/// How often it is looked whether findings were sent, and what failed is tried again.
const LOOK: Duration = Duration::from_secs(1);

/// How long the thread of records waits for a finding to be stored before it is sent all the same.
const PATIENCE: Duration = Duration::from_secs(5);

/// Judged sessions that wait to be stored; more are counted as dropped.
const MAX_SESSIONS: usize = 8192;

/// Findings that could not be stored and are tried again.
const MAX_UNSTORED: usize = 1024;

/// The database with what was in it.
pub(super) struct Opened {
    pub(super) store: Store,
    /// Learnt, open and told.
    pub(super) rows: Saved,
    /// Findings that may not have reached every sink.
    pub(super) unsent: Vec<OutboxRow>,
    /// Packet time up to which the rows go.
    pub(super) clock: Timestamp,
}

/// Opens the database, or makes it.
///
/// # Errors
/// When its folder cannot be written or it cannot be read.
pub(super) fn open(path: &Path) -> anyhow::Result<Opened> {
    let store = open_or_make(path)?;
    let (rows, unsent, clock) = (store.load()?, store.outbox()?, store.clock());
    let open: usize = rows.sessions.len();
    if open > 0 {
        log::notice(&format!(
            "{}: {open} open sessions and {} of their flows go on",
            path.display(),
            rows.flows.len()
        ));
    }
    Ok(Opened { store, rows, unsent, clock })
}

/// A finding with its forms, to be stored.
struct Tell {
    finding: Box<Finding>,
    forms: Vec<Form>,
    done: Sender<()>,
}

/// A finding in the form of some sinks.
pub(super) type Form = (Format, Arc<Item>);

/// The packet thread's end.
pub(super) struct Checkpoints {
    sender: Sender<Box<Changes>>,
    /// The last checkpoint is not stored yet.
    busy: Arc<AtomicBool>,
    every: Duration,
    due: Instant,
}

/// The end of the thread of records.
pub(super) struct Tellings {
    tells: Sender<Tell>,
    sessions: Sender<Box<SessionSummary>>,
    metrics: StateMetrics,
}

/// The supervisor's end.
pub(super) struct Keeping {
    finish: Sender<()>,
    thread: JoinHandle<()>,
}

/// What the thread goes by.
pub(super) struct Settings {
    /// Items that were given to sinks again, with their numbers.
    pub(super) unsent: Vec<(i64, Arc<Item>)>,
    /// How often there is a checkpoint.
    pub(super) every: Duration,
    /// Where the evidence of findings is, if it is kept.
    pub(super) evidence: Option<PathBuf>,
}

/// Starts the thread.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(
    store: Store,
    Settings { unsent, every, evidence }: Settings,
    metrics: StateMetrics,
) -> anyhow::Result<(Checkpoints, Tellings, Keeping)> {
    let (tells, told) = bounded(1);
    let (checkpoints, changes) = bounded(1);
    let (sessions, judged) = bounded(MAX_SESSIONS);
    let (finish, finished) = bounded(1);
    let busy = Arc::new(AtomicBool::new(false));
    let keeper = Keeper {
        store,
        told,
        changes,
        judged,
        finished,
        busy: Arc::clone(&busy),
        unwritten: None,
        unstored: Vec::new(),
        unsent,
        evidence,
        troubled: false,
        metrics: metrics.clone(),
    };
    let thread = spawn("state", move || keeper.run())?;
    Ok((
        Checkpoints { sender: checkpoints, busy, every, due: clock::moment() + every },
        Tellings { tells, sessions, metrics },
        Keeping { finish, thread },
    ))
}

impl Checkpoints {
    /// Hands over what changed, if it is time and the last checkpoint is stored. Never waits.
    pub(super) fn take_if_due(&mut self, engine: &mut Engine) {
        if clock::moment() < self.due || self.busy.load(Ordering::Acquire) {
            return;
        }
        self.due = clock::moment() + self.every;
        self.busy.store(true, Ordering::Release);
        // There is room: the thread takes one before it says that it is not busy.
        let _ = self.sender.try_send(Box::new(engine.take_changes()));
    }

    /// Hands over what changed when the sensor stops; waits for room.
    pub(super) fn take_last(&mut self, engine: &mut Engine) {
        if self.sender.send_timeout(Box::new(engine.take_changes()), PATIENCE).is_err() {
            log::error("the last checkpoint is lost: the database does not answer");
        }
    }
}

impl Tellings {
    /// Stores a finding that is about to be sent; waits for that.
    pub(super) fn tell(&self, finding: &Finding, forms: &[Form]) {
        let (done, stored) = bounded(1);
        let tell = Tell { finding: Box::new(finding.clone()), forms: forms.to_vec(), done };
        let waited = self.tells.send_timeout(tell, PATIENCE).is_ok();
        if !waited || stored.recv_timeout(PATIENCE).is_err() {
            self.metrics.note_untold();
        }
    }

    /// Stores a judged session as it stands, when there is time.
    pub(super) fn note_session(&self, session: &SessionSummary) {
        if session.score_bits.is_some()
            && self.sessions.try_send(Box::new(session.clone())).is_err()
        {
            self.metrics.note_session_dropped();
        }
    }
}

impl Keeping {
    /// Ends the thread, once sinks are done with their records.
    pub(super) fn finish(self) {
        let _ = self.finish.send(());
        let _ = self.thread.join();
    }
}

/// The thread's belongings.
struct Keeper {
    store: Store,
    told: Receiver<Tell>,
    changes: Receiver<Box<Changes>>,
    judged: Receiver<Box<SessionSummary>>,
    finished: Receiver<()>,
    busy: Arc<AtomicBool>,
    /// A checkpoint that could not be stored.
    unwritten: Option<Box<Changes>>,
    unstored: Vec<Tell>,
    /// Numbers of what sinks have in hand, each with one reference of our own.
    unsent: Vec<(i64, Arc<Item>)>,
    evidence: Option<PathBuf>,
    troubled: bool,
    metrics: StateMetrics,
}

impl Keeper {
    fn run(mut self) {
        let mut looked = clock::moment();
        loop {
            // What failed is tried again before anything newer is taken.
            let changes = if self.unwritten.is_some() { never() } else { self.changes.clone() };
            select_biased! {
                recv(self.told) -> tell => match tell {
                    Ok(tell) => self.tell(tell),
                    Err(_) => self.told = never(),
                },
                recv(changes) -> changes => match changes {
                    Ok(changes) => self.write(changes),
                    Err(_) => self.changes = never(),
                },
                recv(self.judged) -> session => match session {
                    Ok(session) => self.note(&session),
                    Err(_) => self.judged = never(),
                },
                recv(self.finished) -> _ => break,
                default(LOOK) => {}
            }
            if looked.elapsed() >= LOOK {
                looked = clock::moment();
                self.look();
            }
        }
        self.finish();
    }

    /// Takes what is left; the sinks are done.
    fn finish(mut self) {
        while let Ok(tell) = self.told.try_recv() {
            self.tell(tell);
        }
        while let Ok(session) = self.judged.try_recv() {
            self.note(&session);
        }
        self.look();
        while let Ok(changes) = self.changes.try_recv() {
            self.write(changes);
        }
        self.look();
        if self.unwritten.is_some() {
            log::error("the last checkpoint could not be stored");
        }
    }

    fn tell(&mut self, tell: Tell) {
        let forms: Vec<Unsent<'_>> = tell
            .forms
            .iter()
            .map(|(format, item)| Unsent { form: format.name(), bytes: &item.bytes })
            .collect();
        let stored = self.store.tell_and_send(&tell.finding, &forms);
        let items = tell.forms.iter().map(|(_, item)| Arc::clone(item));
        match stored {
            Ok(numbers) => {
                self.unsent.extend(numbers.into_iter().zip(items));
                let _ = tell.done.try_send(());
                self.note_evidence(tell.finding.id.as_str());
            }
            Err(error) => {
                self.note_trouble(&error);
                let _ = tell.done.try_send(());
                if self.unstored.len() < MAX_UNSTORED {
                    self.unstored.push(tell);
                }
            }
        }
    }

    fn note_evidence(&mut self, finding: &str) {
        let Some(folder) = self.evidence.as_ref().map(|root| root.join(finding)) else { return };
        if let Err(error) = self.store.note_evidence(finding, &folder.to_string_lossy()) {
            self.note_trouble(&error);
        }
    }

    fn write(&mut self, changes: Box<Changes>) {
        let checkpoint = Checkpoint {
            at: changes.at,
            ended: &changes.ended,
            closed: &changes.closed,
            rows: &changes.rows,
        };
        match self.store.checkpoint(&checkpoint) {
            Ok(()) => {
                self.metrics.note_checkpoint(clock::wall().as_secs_f64());
                self.busy.store(false, Ordering::Release);
                if std::mem::take(&mut self.troubled) {
                    log::notice("the database stores again");
                }
            }
            Err(error) => {
                self.note_trouble(&error);
                self.unwritten = Some(changes);
            }
        }
    }

    fn note(&mut self, session: &SessionSummary) {
        if let Err(error) = self.store.note_session(session) {
            self.note_trouble(&error);
            self.metrics.note_session_dropped();
        }
    }

    /// Tries again what failed, and forgets what every sink is done with.
    fn look(&mut self) {
        if let Some(changes) = self.unwritten.take() {
            self.write(changes);
        }
        for tell in std::mem::take(&mut self.unstored) {
            self.tell(Tell { forms: Vec::new(), ..tell });
        }
        let done = |(_, item): &(i64, Arc<Item>)| Arc::strong_count(item) == 1;
        let sent: Vec<i64> =
            self.unsent.iter().filter(|unsent| done(unsent)).map(|(number, _)| *number).collect();
        if !sent.is_empty() {
            match self.store.sent(&sent) {
                Ok(()) => self.unsent.retain(|(number, _)| !sent.contains(number)),
                Err(error) => self.note_trouble(&error),
            }
        }
        self.metrics.set_unsent(self.unsent.len());
    }

    fn note_trouble(&mut self, error: &StoreError) {
        self.metrics.note_failure();
        if !std::mem::replace(&mut self.troubled, true) {
            let cause = std::error::Error::source(error);
            let cause = cause.map(ToString::to_string).unwrap_or_default();
            log::error(&format!(
                "{error}: {cause}; what is open outlives no restart until it stores"
            ));
        }
    }
}
