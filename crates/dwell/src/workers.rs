//! Threads for a replay: any thread takes up whichever stage can go on. Knows the stages' order,
//! not what they do.
//!
//! There is no reader thread and no queue per packet. The intake, every shard and the analytics are
//! lanes: each takes chunks in the order of the capture, and one thread at a time. A thread looks
//! for a lane that has something to do, the analytics first, so that memory stays small. What comes
//! out is the same for any number of threads, since no lane can tell them apart.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use dwell_capture::Chunk;
use dwell_detect::Detector;
use dwell_engine::{Analytics, Batch, Engine, Intake, Lanes, Part, Record, Shard, Shared};

/// Chunks on their way at once, for each thread: enough that none waits for another's.
const CHUNKS_A_WORKER: usize = 3;

/// Reads the next chunk: the number of the file it is from, or `None` at the end of the last.
pub(crate) trait Source: Send {
    /// Fills `chunk`.
    ///
    /// # Errors
    /// When reading has to stop.
    fn next(&mut self, chunk: &mut Chunk) -> anyhow::Result<Option<usize>>;
}

/// Takes records.
pub(crate) trait Output: Send {
    /// Takes the records that a chunk of file number `file` gave, in their order; `detector` is as
    /// it made them.
    ///
    /// # Errors
    /// When they cannot be written.
    fn take(
        &mut self,
        file: usize,
        detector: &Detector,
        records: Vec<Record>,
    ) -> anyhow::Result<()>;
}

/// Runs a capture through the engine.
///
/// # Errors
/// What `source` and `output` fail with. What was read before is judged and written.
pub(crate) fn run(
    engine: &mut Engine,
    workers: NonZeroUsize,
    source: &mut impl Source,
    output: &mut impl Output,
) -> anyhow::Result<()> {
    if workers.get() == 1 {
        let mut chunk = Chunk::default();
        while let Some(file) = source.next(&mut chunk)? {
            engine.handle_chunk(chunk.frames(), chunk.bytes());
            let records = engine.take_records();
            output.take(file, engine.detector(), records)?;
        }
        return Ok(());
    }
    let spare = (0..workers.get() * CHUNKS_A_WORKER)
        .map(|_| (Chunk::default(), engine.new_batch()))
        .collect();
    let Lanes { intake, shards, analytics } = engine.lanes();
    let schedule = Schedule::new(shards.len(), spare);
    let stages = Stages {
        intake: Mutex::new((intake, source)),
        shards: shards.iter_mut().map(Mutex::new).collect(),
        analytics: Mutex::new((analytics, output)),
    };
    std::thread::scope(|scope| {
        for _ in 0..workers.get() {
            scope.spawn(|| work(&schedule, &stages));
        }
    });
    schedule.finish()
}

/// The stages, each behind a lock that is never waited for: the schedule gives a lane to one thread
/// at a time.
struct Stages<'e, S, O> {
    intake: Mutex<(&'e mut Intake, &'e mut S)>,
    shards: Vec<Mutex<&'e mut Shard>>,
    analytics: Mutex<(&'e mut Analytics, &'e mut O)>,
}

/// A chunk on its way.
struct InFlight {
    file: usize,
    chunk: Chunk,
    shared: Shared,
    parts: Vec<Mutex<Part>>,
}

/// Something that a thread can do now.
enum Task {
    Read(Chunk, Batch),
    Shard(usize, Arc<InFlight>),
    Analyse(Arc<InFlight>),
}

/// Which lane is where.
struct Schedule {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Chunks that the analytics has not taken, in order.
    flying: VecDeque<Arc<InFlight>>,
    /// How many chunks left `flying` so far: the number of its first.
    done: usize,
    spare: Vec<(Chunk, Batch)>,
    /// The chunk that each shard takes next, and whether a thread is at it.
    shards: Vec<(usize, bool)>,
    reading: bool,
    analysing: bool,
    /// No more chunks will come.
    read: bool,
    failed: Option<anyhow::Error>,
    stopped: bool,
}

impl Schedule {
    fn new(shards: usize, spare: Vec<(Chunk, Batch)>) -> Self {
        let state = State {
            flying: VecDeque::new(),
            done: 0,
            spare,
            shards: vec![(0, false); shards],
            reading: false,
            analysing: false,
            read: false,
            failed: None,
            stopped: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits for something to do; `None` when there is nothing left.
    fn next(&self) -> Option<Task> {
        let mut state = lock(&self.state);
        loop {
            if state.stopped || state.is_over() {
                self.changed.notify_all();
                return None;
            }
            if let Some(task) = state.take_task() {
                return Some(task);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    fn finish(self) -> anyhow::Result<()> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.failed.map_or(Ok(()), Err)
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.read && !self.reading && self.flying.is_empty() && !self.analysing
    }

    fn take_task(&mut self) -> Option<Task> {
        let first_is_ready = self.shards.iter().all(|(next, _)| *next > self.done);
        if first_is_ready
            && !self.analysing
            && let Some(first) = self.flying.pop_front()
        {
            self.analysing = true;
            self.done += 1;
            return Some(Task::Analyse(first));
        }
        for (number, (next, busy)) in self.shards.iter_mut().enumerate() {
            if !*busy && let Some(flying) = self.flying.get(*next - self.done) {
                *busy = true;
                return Some(Task::Shard(number, Arc::clone(flying)));
            }
        }
        if self.reading || self.read {
            return None;
        }
        let (chunk, batch) = self.spare.pop()?;
        self.reading = true;
        Some(Task::Read(chunk, batch))
    }
}

/// Ends the others' waiting when a thread panics.
struct StopOnPanic<'s>(&'s Schedule);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.change(|state| state.stopped = true);
        }
    }
}

fn work<S: Source, O: Output>(schedule: &Schedule, stages: &Stages<'_, S, O>) {
    let _guard = StopOnPanic(schedule);
    while let Some(task) = schedule.next() {
        match task {
            Task::Read(chunk, batch) => read(schedule, stages, chunk, batch),
            Task::Shard(number, flying) => {
                if let (Some(shard), Some(part)) =
                    (stages.shards.get(number), flying.parts.get(number))
                {
                    lock(shard).run(&mut lock(part), &flying.shared, flying.chunk.bytes());
                }
                drop(flying);
                schedule.change(|state| {
                    if let Some((next, busy)) = state.shards.get_mut(number) {
                        (*next, *busy) = (*next + 1, false);
                    }
                });
            }
            Task::Analyse(flying) => analyse(schedule, stages, flying),
        }
    }
}

fn read<S: Source, O>(
    schedule: &Schedule,
    stages: &Stages<'_, S, O>,
    mut chunk: Chunk,
    mut batch: Batch,
) {
    let mut lane = lock(&stages.intake);
    let (intake, source) = &mut *lane;
    let read = source.next(&mut chunk);
    if let Ok(Some(_)) = read {
        intake.fill(&mut batch, chunk.frames(), chunk.bytes());
    }
    drop(lane);
    schedule.change(|state| {
        state.reading = false;
        match read {
            Ok(Some(file)) => {
                let parts = batch.parts.into_iter().map(Mutex::new).collect();
                let flying = InFlight { file, chunk, shared: batch.shared, parts };
                state.flying.push_back(Arc::new(flying));
            }
            Ok(None) => state.read = true,
            Err(error) => {
                state.read = true;
                state.failed.get_or_insert(error);
            }
        }
    });
}

fn analyse<S, O: Output>(schedule: &Schedule, stages: &Stages<'_, S, O>, flying: Arc<InFlight>) {
    // Every shard is done with it and has let go of it.
    let Some(InFlight { file, chunk, shared, parts }) = Arc::into_inner(flying) else {
        schedule.change(|state| {
            state.stopped = true;
            state.failed.get_or_insert_with(|| anyhow::anyhow!("a shard kept a chunk"));
        });
        return;
    };
    let part = |part: Mutex<Part>| part.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut batch = Batch { parts: parts.into_iter().map(part).collect(), shared };
    let mut lane = lock(&stages.analytics);
    let (analytics, output) = &mut *lane;
    analytics.run(&mut batch);
    let records = analytics.take_records();
    let written = output.take(file, analytics.detector(), records);
    drop(lane);
    schedule.change(|state| {
        state.analysing = false;
        state.spare.push((chunk, batch));
        if let Err(error) = written {
            state.failed.get_or_insert(error);
            state.stopped = true;
        }
    });
}

/// A lock whose holder cannot have left anything half done that matters: a panic ends the run.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
