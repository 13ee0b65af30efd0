//! What the packet thread and the supervisor tell each other. Neither waits for the other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dwell_attribution::{AppRules, Policy};
use dwell_detect::DetectConfig;
use dwell_output::{CaptureFigures, EngineFigures, RecordTally};
use dwell_packet::Timestamp;

use crate::clock;

/// What is shared.
#[derive(Debug, Default)]
pub(super) struct Shared {
    stop: AtomicBool,
    /// When the packet thread last went through its loop.
    alive: AtomicU64,
    /// There is something in `orders`.
    ordered: AtomicBool,
    orders: Mutex<Orders>,
    published: Mutex<Published>,
}

/// What the supervisor wants of the packet thread.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Interfaces to be taken up anew.
    pub(super) reattach: Vec<String>,
    /// Longest frames that interfaces may have, by name.
    pub(super) limits: Vec<(String, u32)>,
    /// Frames that adapters dropped since the start, by the interface's name.
    pub(super) adapter_drops: Vec<(String, u64)>,
    /// Rules, policy and settings to go on with.
    pub(super) reconfigure: Option<Box<Reconfiguration>>,
}

/// What an engine can go on with.
#[derive(Debug)]
pub(super) struct Reconfiguration {
    pub(super) rules: AppRules,
    pub(super) policy: Arc<Policy>,
    pub(super) detect: DetectConfig,
}

/// What the packet thread last said of itself.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// What it counted; taken by who reads it.
    pub(super) figures: Option<Box<Figures>>,
    /// What records told since it was last taken.
    pub(super) tally: RecordTally,
    /// Records dropped since it was last taken, because the channel was full.
    pub(super) unqueued: u64,
    /// Interfaces that were taken up anew, with what failed.
    pub(super) reattached: Vec<(String, Option<String>)>,
    /// Errors of sources.
    pub(super) errors: Vec<String>,
}

/// What the packet thread counted.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) engine: EngineFigures,
    pub(super) capture: Vec<CaptureFigures>,
}

impl Shared {
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Gives the packet thread something to do when it next looks.
    pub(super) fn order(&self, add: impl FnOnce(&mut Orders)) {
        add(&mut self.orders.lock().unwrap_or_else(PoisonError::into_inner));
        self.ordered.store(true, Ordering::Release);
    }

    /// The orders since the last call. Costs one load while there are none.
    pub(super) fn orders(&self) -> Option<Orders> {
        if !self.ordered.swap(false, Ordering::AcqRel) {
            return None;
        }
        Some(std::mem::take(&mut *self.orders.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Publishes something; gives `false`, with nothing changed, while the reader is at it.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Published)) -> bool {
        let Ok(mut published) = self.published.try_lock() else { return false };
        change(&mut published);
        true
    }

    /// What was published since the last call.
    pub(super) fn published(&self) -> Published {
        std::mem::take(&mut *self.published.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The packet thread goes through its loop.
    pub(super) fn beat(&self, now: Timestamp) {
        self.alive.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// How long ago the packet thread last went through its loop.
    pub(super) fn silence(&self) -> std::time::Duration {
        let beat = Timestamp::from_nanos(self.alive.load(Ordering::Relaxed));
        clock::wall().saturating_since(beat)
    }
}
