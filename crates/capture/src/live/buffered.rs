//! Packets through libpcap, taken over in batches: for systems and link types without a ring.
//! libpcap never waits here: its time-out does not come on an idle link.

use std::os::fd::{AsRawFd as _, RawFd};

use dwell_packet::{LinkType, Timestamp};
use pcap::{Active, Capture, Precision};

use super::run::FrameAt;
use super::{KernelCounters, LiveConfig, LiveError, Outgoing, Promiscuous, TimestampSource};

/// Frames taken over at a time: enough to make the calls cheap, few enough to stay in the cache.
const BATCH: usize = 256;

/// An interface that libpcap reads.
pub(super) struct Buffered {
    capture: Capture<Active>,
    interface: String,
    link_type: LinkType,
    bytes: Vec<u8>,
    waiting: Vec<FrameAt>,
    next: usize,
    nanoseconds: bool,
}

impl Buffered {
    /// Opens an interface.
    pub(super) fn open(config: &LiveConfig) -> Result<Self, LiveError> {
        let interface = config.interface.clone();
        let failed = |source| libpcap(&interface, source);
        let snaplen =
            if config.snaplen == 0 { super::program::MAX_SNAPLEN } else { config.snaplen };
        let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let mut capture = Capture::from_device(config.interface.as_str())
            .map_err(failed)?
            .promisc(config.promiscuous == Promiscuous::Yes)
            .snaplen(i32::try_from(snaplen).unwrap_or(i32::MAX))
            .buffer_size(number(config.ring_bytes))
            .timeout(20)
            .precision(Precision::Nano);
        if config.timestamps == TimestampSource::Adapter {
            capture = capture.tstamp_type(pcap::TimestampType::Adapter);
        }
        let mut nanoseconds = true;
        let capture = match capture.open() {
            Ok(capture) => capture,
            // An adapter without nanoseconds: microseconds are what there is.
            Err(_) => {
                nanoseconds = false;
                Capture::from_device(config.interface.as_str())
                    .map_err(failed)?
                    .promisc(config.promiscuous == Promiscuous::Yes)
                    .snaplen(i32::try_from(snaplen).unwrap_or(i32::MAX))
                    .buffer_size(number(config.ring_bytes))
                    .timeout(20)
                    .open()
                    .map_err(failed)?
            }
        };
        let mut capture = capture.setnonblock().map_err(failed)?;
        if config.outgoing == Outgoing::Ignored {
            capture.direction(pcap::Direction::In).map_err(failed)?;
        }
        if let Some(filter) = &config.filter {
            capture.filter(filter, true).map_err(failed)?;
        }
        let number = capture.get_datalink().0;
        let link_type = of_libpcap(u32::try_from(number).unwrap_or(u32::MAX));
        if !link_type.is_supported() {
            return Err(LiveError::LinkType { interface, link_type });
        }
        let (bytes, waiting) = (Vec::new(), Vec::with_capacity(BATCH));
        Ok(Self { capture, interface, link_type, bytes, waiting, next: 0, nanoseconds })
    }

    pub(super) const fn link_type(&self) -> LinkType {
        self.link_type
    }

    pub(super) fn descriptor(&self) -> Option<RawFd> {
        Some(self.capture.as_raw_fd())
    }

    /// Time stamp of the next frame.
    pub(super) fn head(&mut self) -> Result<Option<Timestamp>, LiveError> {
        if self.next >= self.waiting.len() {
            self.fill()?;
        }
        Ok(self.waiting.get(self.next).map(|one| one.ts))
    }

    /// Notes where the frames from the head on lie in the buffer.
    pub(super) fn take(&mut self, until: Timestamp, most: usize, run: &mut Vec<FrameAt>) {
        let rest = self.waiting.get(self.next..).unwrap_or_default();
        run.extend(rest.iter().take(most).take_while(|frame| frame.ts <= until));
        self.next += run.len();
    }

    /// What the frames that `take` noted lie in, until `head` is called.
    pub(super) fn lent(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn statistics(&mut self) -> KernelCounters {
        let Ok(found) = self.capture.stats() else { return KernelCounters::default() };
        KernelCounters {
            received: u64::from(found.received),
            dropped: u64::from(found.dropped),
            freezes: 0,
            interface_dropped: u64::from(found.if_dropped),
        }
    }

    fn fill(&mut self) -> Result<(), LiveError> {
        self.bytes.clear();
        self.waiting.clear();
        self.next = 0;
        let (bytes, waiting, nanoseconds) = (&mut self.bytes, &mut self.waiting, self.nanoseconds);
        let taken = self.capture.dispatch(Some(BATCH), |packet| {
            let start = bytes.len();
            bytes.extend_from_slice(packet.data);
            let seconds = u64::try_from(packet.header.ts.tv_sec).unwrap_or(0);
            let fraction = u64::try_from(packet.header.ts.tv_usec).unwrap_or(0);
            let nanos = if nanoseconds { fraction } else { fraction.saturating_mul(1000) };
            let ts = Timestamp::from_parts(seconds, nanos);
            waiting.push(FrameAt { ts, start, end: bytes.len(), wire_len: packet.header.len });
        });
        match taken {
            Ok(_) | Err(pcap::Error::TimeoutExpired | pcap::Error::NoMorePackets) => Ok(()),
            Err(source) => Err(libpcap(&self.interface, source)),
        }
    }
}

impl std::fmt::Debug for Buffered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffered").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

/// The link type of a capture file by the number that libpcap gives live: only raw IP differs
/// (pcap-linktype(7)).
const fn of_libpcap(number: u32) -> LinkType {
    match LinkType(number) {
        LinkType::RAW_BSD | LinkType::RAW_OPENBSD => LinkType::RAW,
        other => other,
    }
}

fn libpcap(interface: &str, source: pcap::Error) -> LiveError {
    let interface = interface.to_owned();
    let text = source.to_string();
    if text.contains("ermission") || text.contains("Operation not permitted") {
        return LiveError::NotPermitted { interface };
    }
    if text.contains("No such device") {
        return LiveError::NoSuchInterface { interface };
    }
    LiveError::Libpcap { interface, source }
}
