//! Packets from interfaces: the kernel's memory-mapped ring on Linux, libpcap elsewhere.
//!
//! Knows sockets, rings and interfaces, and merges several of them by time. It reads no clock, waits
//! only when told to, and does not look into frames.

mod buffered;
mod error;
mod interface;
mod merge;
mod program;
#[cfg(target_os = "linux")]
mod ring;
mod run;
#[cfg(target_os = "linux")]
mod socket;
mod wait;

use std::time::Duration;

use dwell_packet::{LinkType, Timestamp};

pub use error::LiveError;
pub use interface::{
    Interface, InterfaceState, NicCounters, Offloads, interface_name, interface_state, interfaces,
    nic_counters, offloads,
};
pub use merge::LiveSet;
pub use run::Run;

use buffered::Buffered;
#[cfg(target_os = "linux")]
use ring::Ring;
use run::FrameAt;

/// How long the kernel keeps a block of the ring open while packets are few: what is younger may
/// still be under way. 20 ms measured as cheap as longer ones.
pub const RETIRE: Duration = Duration::from_millis(20);

/// The smallest ring that is made, in bytes: two blocks.
pub const MIN_RING_BYTES: usize = 2 << 20;

/// How an interface is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveConfig {
    /// Its name.
    pub interface: String,
    /// Most bytes kept of each frame; 0 keeps them all.
    pub snaplen: u32,
    /// Memory of the ring between kernel and sensor, in bytes.
    pub ring_bytes: usize,
    /// Whether frames for other machines are asked for.
    pub promiscuous: Promiscuous,
    /// Whether frames that this machine sends are taken.
    pub outgoing: Outgoing,
    /// Who writes the time stamps.
    pub timestamps: TimestampSource,
    /// Only frames that this expression (pcap-filter(7)) matches.
    pub filter: Option<String>,
    /// The group among whose rings the kernel spreads the flows, where there are several.
    pub fanout: Option<Fanout>,
    /// What reads the interface.
    pub backend: Backend,
}

impl LiveConfig {
    /// The defaults for an interface: 64 MiB, whole frames, promiscuous, both ways.
    #[must_use]
    pub fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            snaplen: 0,
            // Half a second at 1 Gbit/s.
            ring_bytes: 64 << 20,
            promiscuous: Promiscuous::Yes,
            outgoing: Outgoing::Taken,
            timestamps: TimestampSource::Host,
            filter: None,
            fanout: None,
            backend: Backend::Auto,
        }
    }
}

/// Whether frames for other machines are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promiscuous {
    /// All frames: a mirror port's are for other machines.
    Yes,
    /// Only what the interface would take anyway.
    No,
}

/// What becomes of frames that this machine sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// They are packets like others.
    Taken,
    /// They are left out: on a mirror port they are none of its traffic.
    Ignored,
}

/// Who writes the time stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampSource {
    /// The kernel, when it takes the frame from the adapter.
    Host,
    /// The adapter's clock, where it has one.
    Adapter,
}

/// A group of rings on one interface: the kernel gives each flow to one of them, by a hash that is
/// the same for both directions, fragments put together first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fanout {
    /// The group's number, unique in the network namespace.
    pub group: u16,
}

/// What reads an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The ring where there is one for the interface's link type, else libpcap.
    Auto,
    /// `TPACKET_V3` ring of Linux.
    Ring,
    /// libpcap, non-blocking: its time-out never comes on an idle link.
    Libpcap,
}

/// What the kernel counted of one source since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounters {
    /// Frames that reached the socket and its filter, dropped ones included.
    pub received: u64,
    /// Frames dropped because the ring was full.
    pub dropped: u64,
    /// How often the ring was full.
    pub freezes: u64,
    /// Frames dropped by the adapter or its driver, as far as libpcap knows.
    pub interface_dropped: u64,
}

/// One interface's packets, or its share of them.
#[derive(Debug)]
pub struct LiveSource {
    config: LiveConfig,
    reader: Reader,
    /// Where the frames of the run lie that is lent.
    run: Vec<FrameAt>,
    frames: u64,
    bytes: u64,
    counters: KernelCounters,
}

#[derive(Debug)]
enum Reader {
    #[cfg(target_os = "linux")]
    Ring(Box<Ring>),
    Buffered(Box<Buffered>),
}

impl LiveSource {
    /// Opens the interface.
    ///
    /// # Errors
    /// An interface that is not there, that may not be opened, whose link type is not known, or a
    /// filter that libpcap does not understand.
    pub fn open(config: LiveConfig) -> Result<Self, LiveError> {
        let reader = Reader::open(&config)?;
        let (run, counters) = (Vec::new(), KernelCounters::default());
        Ok(Self { config, reader, run, frames: 0, bytes: 0, counters })
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.config.interface
    }

    /// What reads it.
    #[must_use]
    pub const fn backend(&self) -> Backend {
        match self.reader {
            #[cfg(target_os = "linux")]
            Reader::Ring(_) => Backend::Ring,
            Reader::Buffered(_) => Backend::Libpcap,
        }
    }

    /// How its frames begin.
    #[must_use]
    pub fn link_type(&self) -> LinkType {
        match &self.reader {
            #[cfg(target_os = "linux")]
            Reader::Ring(ring) => ring.link_type(),
            Reader::Buffered(buffered) => buffered.link_type(),
        }
    }

    /// Time stamp of the next frame, if there is one; never waits.
    ///
    /// # Errors
    /// What libpcap says; the ring has no errors.
    pub fn head(&mut self) -> Result<Option<Timestamp>, LiveError> {
        match &mut self.reader {
            #[cfg(target_os = "linux")]
            Reader::Ring(ring) => Ok(ring.head()),
            Reader::Buffered(buffered) => buffered.head(),
        }
    }

    /// Frames from the one whose time stamp `head` gave on, as far as they lie together: at most
    /// `most`, none later than `until`. Numbered from 1; never waits.
    pub fn take(&mut self, until: Timestamp, most: usize) -> Run<'_> {
        self.run.clear();
        match &mut self.reader {
            #[cfg(target_os = "linux")]
            Reader::Ring(ring) => ring.take(until, most, &mut self.run),
            Reader::Buffered(buffered) => buffered.take(until, most, &mut self.run),
        }
        let first = self.frames + 1;
        self.frames += u64::try_from(self.run.len()).unwrap_or(0);
        self.bytes += self.run.iter().map(|frame| u64::from(frame.wire_len)).sum::<u64>();
        let bytes = match &self.reader {
            #[cfg(target_os = "linux")]
            Reader::Ring(ring) => ring.lent(),
            Reader::Buffered(buffered) => buffered.lent(),
        };
        Run { bytes, frames: &self.run, link_type: self.link_type(), first }
    }

    /// Frames given out so far.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Wire bytes of the frames given out so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the kernel counted since the source was opened. A system call: once a second is often.
    pub fn kernel_counters(&mut self) -> KernelCounters {
        match &mut self.reader {
            #[cfg(target_os = "linux")]
            Reader::Ring(ring) => {
                // The kernel starts anew at each reading.
                let since = ring.statistics();
                self.counters.received += since.received;
                self.counters.dropped += since.dropped;
                self.counters.freezes += since.freezes;
            }
            Reader::Buffered(buffered) => self.counters = buffered.statistics(),
        }
        self.counters
    }

    /// How full the ring is: blocks that wait to be read, as a share of all; dimensionless. Zero
    /// where libpcap reads.
    #[must_use]
    pub fn fill(&self) -> f64 {
        match &self.reader {
            #[cfg(target_os = "linux")]
            Reader::Ring(ring) => ring.fill(),
            Reader::Buffered(_) => 0.0,
        }
    }

    /// Takes up the interface anew, after one of its name came back. Frames that were not yet read
    /// stay where the ring could be kept.
    ///
    /// # Errors
    /// As for `open`; a group's ring needs the right to open sockets again.
    pub fn reattach(&mut self) -> Result<(), LiveError> {
        #[cfg(target_os = "linux")]
        if let Reader::Ring(ring) = &mut self.reader
            && self.config.fanout.is_none()
        {
            return ring.rebind(&self.config);
        }
        self.reader = Reader::open(&self.config)?;
        Ok(())
    }

    pub(super) fn descriptor(&self) -> Option<std::os::fd::RawFd> {
        match &self.reader {
            #[cfg(target_os = "linux")]
            Reader::Ring(ring) => Some(ring.descriptor()),
            Reader::Buffered(buffered) => buffered.descriptor(),
        }
    }
}

impl Reader {
    #[cfg(target_os = "linux")]
    fn open(config: &LiveConfig) -> Result<Self, LiveError> {
        let ring = match config.backend {
            Backend::Ring => true,
            Backend::Libpcap => false,
            Backend::Auto => socket::link_type_of(&config.interface)?.is_some(),
        };
        if ring {
            return Ok(Self::Ring(Box::new(Ring::open(config)?)));
        }
        Ok(Self::Buffered(Box::new(Buffered::open(config)?)))
    }

    #[cfg(not(target_os = "linux"))]
    fn open(config: &LiveConfig) -> Result<Self, LiveError> {
        Ok(Self::Buffered(Box::new(Buffered::open(config)?)))
    }
}
