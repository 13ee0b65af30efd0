//! What interfaces, rings and queues passed on and lost.

use dwell_packet::Timestamp;
use prometheus::{Error, GaugeVec, IntCounterVec, IntGaugeVec};

use super::family::{Family, raise};

/// What one interface gave and lost since the sensor started, over all its rings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaptureFigures {
    /// Its name in the configuration.
    pub interface: String,
    /// Frames taken in.
    pub frames: u64,
    /// Their wire bytes.
    pub bytes: u64,
    /// Frames dropped because the ring was full.
    pub kernel_dropped: u64,
    /// Frames dropped by the adapter or its driver.
    pub nic_dropped: u64,
    /// How often a ring was full.
    pub ring_freezes: u64,
    /// Frames longer than the interface's MTU allows: merged by an offload.
    pub oversized: u64,
    /// Share of the fullest ring that waits to be read, dimensionless.
    pub ring_fill: f64,
    /// Time of the latest frame.
    pub last: Option<Timestamp>,
    /// Whether the interface is there and up.
    pub up: bool,
}

/// What can happen to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceChange {
    /// It went down.
    Down,
    /// It came up.
    Up,
    /// It is gone.
    Gone,
    /// One of its name came back and was taken up.
    Reattached,
    /// It has another name now.
    Renamed,
    /// It takes longer or shorter packets now.
    Mtu,
}

impl InterfaceChange {
    const ALL: [Self; 6] =
        [Self::Down, Self::Up, Self::Gone, Self::Reattached, Self::Renamed, Self::Mtu];

    /// The name in metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
            Self::Gone => "gone",
            Self::Reattached => "reattached",
            Self::Renamed => "renamed",
            Self::Mtu => "mtu",
        }
    }
}

pub(super) struct Capture {
    packets: IntCounterVec,
    bytes: IntCounterVec,
    drops: IntCounterVec,
    freezes: IntCounterVec,
    oversized: IntCounterVec,
    changes: IntCounterVec,
    fill: GaugeVec,
    last: GaugeVec,
    up: IntGaugeVec,
}

impl Capture {
    pub(super) fn new(family: &Family<'_>) -> Result<Self, Error> {
        let by = &["interface"][..];
        Ok(Self {
            packets: family.counters(
                "dwell_capture_packets_total",
                "Frames taken in from the interface.",
                by,
            )?,
            bytes: family.counters(
                "dwell_capture_bytes_total",
                "Bytes on the wire of the frames taken in.",
                by,
            )?,
            drops: family.counters(
                "dwell_capture_drops_total",
                "Frames lost before decoding: in the adapter or its driver (nic), in the ring \
                 between kernel and sensor (kernel), between threads (queue).",
                &["interface", "stage"],
            )?,
            freezes: family.counters(
                "dwell_capture_ring_freezes_total",
                "How often a ring between kernel and sensor was full.",
                by,
            )?,
            oversized: family.counters(
                "dwell_capture_oversized_packets_total",
                "Frames longer than the interface's MTU allows: an offload merged them, which \
                 falsifies counts and times.",
                by,
            )?,
            changes: family.counters(
                "dwell_capture_interface_changes_total",
                "What happened to the interface while the sensor ran.",
                &["interface", "change"],
            )?,
            fill: family.gauges(
                "dwell_capture_ring_fill_ratio",
                "Share of the interface's fullest ring that waits to be read.",
                by,
            )?,
            last: family.gauges(
                "dwell_capture_last_packet_timestamp_seconds",
                "Time of the latest frame, in seconds since 1970; 0 before the first.",
                by,
            )?,
            up: family.int_gauges(
                "dwell_capture_interface_up",
                "Whether the interface is there and up.",
                by,
            )?,
        })
    }

    pub(super) fn set(&self, figures: &CaptureFigures) {
        let interface = figures.interface.as_str();
        let of = &[interface];
        let lost = |stage| self.drops.with_label_values(&[interface, stage]);
        raise(&self.packets.with_label_values(of), figures.frames);
        raise(&self.bytes.with_label_values(of), figures.bytes);
        raise(&lost("kernel"), figures.kernel_dropped);
        raise(&lost("nic"), figures.nic_dropped);
        // Frames do not change threads: the stage is there so that rules need not know.
        raise(&lost("queue"), 0);
        raise(&self.freezes.with_label_values(of), figures.ring_freezes);
        raise(&self.oversized.with_label_values(of), figures.oversized);
        self.fill.with_label_values(of).set(figures.ring_fill);
        self.up.with_label_values(of).set(i64::from(figures.up));
        let last = figures.last.map_or(0.0, Timestamp::as_secs_f64);
        self.last.with_label_values(of).set(last);
        for change in InterfaceChange::ALL {
            self.changes.with_label_values(&[interface, change.name()]);
        }
    }

    pub(super) fn note(&self, interface: &str, change: InterfaceChange) {
        self.changes.with_label_values(&[interface, change.name()]).inc();
    }
}
