use std::sync::Mutex;

use super::*;
use crate::{BuildInfo, Metrics, SinkError};

fn metrics() -> SinkMetrics {
    let build = BuildInfo { version: "1", revision: "r", rustc: "c" };
    Metrics::new(build).unwrap().sink("test")
}

fn item(kind: &'static str, text: &str) -> Arc<Item> {
    Arc::new(Item { kind, bytes: text.as_bytes().to_vec() })
}

const LIMITS: SinkLimits = SinkLimits {
    max_records: 4,
    max_bytes: 1000,
    pause: Duration::from_millis(1),
    max_pause: Duration::from_millis(2),
};

/// Fails as its script says, one entry a call; then writes.
struct Scripted {
    script: Vec<(usize, Again)>,
    written: Arc<Mutex<Vec<String>>>,
}

impl Sink for Scripted {
    fn write(&mut self, items: &[Arc<Item>]) -> Result<(), Failure> {
        let failure = (!self.script.is_empty()).then(|| self.script.remove(0));
        let take = failure.map_or(items.len(), |(written, _)| written);
        let mut written = self.written.lock().unwrap();
        written.extend(items[..take].iter().map(|i| String::from_utf8(i.bytes.clone()).unwrap()));
        match failure {
            None => Ok(()),
            Some((count, again)) => Err(Failure {
                error: SinkError::Timeout,
                message: "no".to_owned(),
                again,
                written: count,
            }),
        }
    }
}

fn run(script: &[(usize, Again)], items: &[&str]) -> (Vec<String>, SinkMetrics) {
    let written = Arc::new(Mutex::new(Vec::new()));
    let sink = Scripted { script: script.to_vec(), written: Arc::clone(&written) };
    let metrics = metrics();
    let worker = Worker {
        name: "test".to_owned(),
        sink: Box::new(sink),
        limits: LIMITS,
        queue: Arc::new(Queue::new(10, 1000)),
        metrics: metrics.clone(),
        complain: |_, _| {},
        troubled: false,
    };
    for text in items {
        worker.queue.push(item("flow", text));
    }
    let queue = Arc::clone(&worker.queue);
    let thread = std::thread::spawn(move || worker.run());
    // Failing and pausing take a few milliseconds; closing early would make a try the last one.
    while !queue.is_empty() || written.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    queue.close();
    thread.join().unwrap();
    let written = written.lock().unwrap().clone();
    (written, metrics)
}

#[test]
fn a_failure_in_the_middle_repeats_only_what_was_not_written() {
    let (written, metrics) =
        run(&[(1, Again::Never), (1, Again::Never)], &["1", "2", "3", "4", "5"]);
    assert_eq!(written, ["1", "3", "5"]);
    assert_eq!(metrics.written_so_far("flow"), 3);
    assert_eq!(metrics.dropped_so_far(), 2);
}

#[test]
fn every_record_is_written_or_counted_as_dropped() {
    let script = [(0, Again::Soon), (2, Again::Soon), (0, Again::After(Duration::ZERO))];
    let (written, metrics) = run(&script, &["1", "2", "3"]);
    assert_eq!(metrics.written_so_far("flow") + metrics.dropped_so_far(), 3);
    assert_eq!(written.len() as u64, metrics.written_so_far("flow"));
    assert!(metrics.failed_so_far(SinkError::Timeout) >= 1);
}

/// Takes nothing until it is let go.
struct Stuck(crossbeam_channel::Receiver<()>);

impl Sink for Stuck {
    fn write(&mut self, _items: &[Arc<Item>]) -> Result<(), Failure> {
        let _ = self.0.recv();
        Ok(())
    }
}

#[test]
fn a_slow_consumer_costs_updates_not_findings_and_never_the_senders_time() {
    let (go, wait) = crossbeam_channel::bounded::<()>(0);
    let metrics = metrics();
    let sink = Box::new(Stuck(wait));
    let mut running = RunningSink::start("slow", sink, LIMITS, metrics.clone(), |_, _| {}).unwrap();
    running.push(item("flow", "in the sink's hands"));
    while !running.queue.is_empty() {
        std::thread::yield_now();
    }
    for text in ["a", "b", "c"] {
        running.push(item("alert", text));
    }
    for text in ["1", "2", "3", "4", "5", "6"] {
        running.push(item("flow", text));
    }
    assert_eq!(running.queue.len(), LIMITS.max_records);
    assert_eq!(metrics.dropped_so_far(), 5);
    drop(go);
    running.close();
    running.join();
    assert_eq!(metrics.written_so_far("alert"), 3);
    assert_eq!(metrics.written_so_far("flow"), 2);
}
