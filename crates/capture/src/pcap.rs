//! The pcap format and its dialects (draft-ietf-opsawg-pcap). Knows records, not what they hold.

use dwell_packet::{LinkType, Timestamp};

use crate::chunk::{Chunk, FrameAt};
use crate::error::{Fault, Place};
use crate::record::{ByteOrder, MAX_CAPTURED, Record};
use crate::stripes;
use crate::window::Window;

/// File header length, in bytes.
const FILE_HEADER: usize = 24;

/// Record header length without what dialects add, in bytes.
const RECORD_HEADER: usize = 16;

/// How many records are looked at to tell the dialects apart.
const TRIAL_RECORDS: u32 = 8;

/// A record may claim this many wire bytes while its dialect is told by trial: more than any
/// packet has, less than most rubbish.
const TRIAL_WIRE_BYTES: u32 = 128 * 1024 * 1024;

/// A record that claims more wire bytes is not taken for one where a record's start is guessed.
const PLAUSIBLE_WIRE_BYTES: u32 = 256 * 1024;

/// The link type in the file header's last field; the bits above say how long the frame check
/// sequence is.
const LINK_TYPE_MASK: u32 = 0x03ff_ffff;

/// A pcap file after its header.
#[derive(Debug)]
pub(crate) struct Pcap {
    order: ByteOrder,
    /// Nanoseconds in one unit of the second time field.
    fraction_ns: u64,
    link_type: LinkType,
    /// Bytes that the dialect adds to each record header.
    extra: usize,
    lengths: Lengths,
    records: u64,
}

/// Which of a record's two lengths comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    /// Files before version 2.3.
    WireFirst,
    /// Version 2.3, of which both kinds exist, and 543.0 (DG/UX): the smaller is the captured.
    Either,
}

/// The header of one record.
struct RecordHeader {
    seconds: u32,
    fraction: u32,
    captured: u32,
    wire: u32,
}

impl Pcap {
    /// The byte order, time unit and record header additions that a magic number stands for.
    fn dialect(magic: [u8; 4]) -> Option<(ByteOrder, u64, &'static [usize])> {
        let (order, value) = match magic {
            [_, _, _, 0xa1] => (ByteOrder::Little, u32::from_le_bytes(magic)),
            [0xa1, ..] => (ByteOrder::Big, u32::from_be_bytes(magic)),
            _ => return None,
        };
        match value {
            // Standard; Red Hat 6.1 wrote its longer headers under this magic, and so did Nokia.
            0xa1b2_c3d4 => Some((order, 1_000, &[0, 8, 4])),
            // Kuznetsov's patch, and the form of it that SuSE 6.3 shipped.
            0xa1b2_cd34 => Some((order, 1_000, &[8, 12, 0])),
            0xa1b2_3c4d => Some((order, 1, &[0])),
            _ => None,
        }
    }

    /// Whether a file that starts so is pcap.
    pub(crate) fn recognises(magic: [u8; 4]) -> bool {
        Self::dialect(magic).is_some()
    }

    /// Reads the file header, and looks ahead at some records where dialects share a magic.
    ///
    /// # Errors
    /// When the stream fails or ends inside the header.
    pub(crate) fn open(window: &mut Window) -> Result<Self, Fault> {
        if !window.fill(FILE_HEADER)? {
            let found = window.bytes().len();
            let reason = format!("expected {FILE_HEADER} bytes, found {found}");
            return Err(Fault::Structure { place: Place::Header, offset: 0, reason });
        }
        let header = window.take(FILE_HEADER);
        let magic = header.first_chunk().copied().unwrap_or_default();
        let Some((order, fraction_ns, extras)) = Self::dialect(magic) else {
            return Err(Fault::UnknownFormat { first_bytes: magic.to_vec() });
        };
        let lengths = match (order.u16_at(header, 4), order.u16_at(header, 6)) {
            (2, 3) | (543, 0) => Lengths::Either,
            (2, ..3) => Lengths::WireFirst,
            _ => Lengths::CapturedFirst,
        };
        let link_type = LinkType(order.u32_at(header, 20) & LINK_TYPE_MASK);
        let mut pcap = Self { order, fraction_ns, link_type, extra: 0, lengths, records: 0 };
        // What came with the header is enough for a file; a live pipe is not waited for.
        pcap.extra = pcap.likeliest(extras, window.bytes());
        Ok(pcap)
    }

    /// The link type of every frame of the file.
    pub(crate) const fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// The record that comes next.
    pub(crate) const fn place(&self) -> Place {
        Place::Record(self.records.saturating_add(1))
    }

    /// Puts the records into `chunk` that stand whole in the window, while there is room; what is
    /// left, and whatever is odd, is for [`Pcap::next`]. `start` is where the chunk starts in the
    /// window's buffer, `number` that of the frame before.
    pub(crate) fn walk(
        &mut self,
        window: &mut Window,
        chunk: &mut Chunk,
        start: usize,
        number: &mut u64,
    ) {
        if self.lengths != Lengths::CapturedFirst {
            return;
        }
        let header_len = RECORD_HEADER + self.extra;
        let (place, bytes) = (window.position(), window.bytes());
        let (mut at, before) = (0, *number);
        while chunk.has_room(place + at - start) {
            let Some(header) = bytes.get(at..).and_then(<[u8]>::first_chunk) else { break };
            let [seconds, fraction, captured, wire] = self.order.words(header);
            let (Ok(len), true) = (usize::try_from(captured), captured <= MAX_CAPTURED) else {
                break;
            };
            let end = at + header_len + len;
            if end > bytes.len() {
                break;
            }
            *number += 1;
            let fraction_ns = u64::from(fraction).saturating_mul(self.fraction_ns);
            chunk.frames.push(FrameAt {
                ts: Timestamp::from_parts(u64::from(seconds), fraction_ns),
                number: *number,
                start: place + at + header_len,
                end: place + end,
                wire_len: wire.max(captured),
                link_type: self.link_type,
                processes: None,
            });
            at = end;
        }
        self.records += *number - before;
        window.take(at);
    }

    /// The next record, whole in the window; `None` at the end of the file.
    ///
    /// # Errors
    /// When the stream fails, a length is absurd, or the file ends inside a record.
    pub(crate) fn next(&mut self, window: &mut Window) -> Result<Option<Record>, Fault> {
        let header_len = RECORD_HEADER + self.extra;
        if !window.fill(header_len)? {
            return match window.bytes().len() {
                0 => Ok(None),
                found => Err(self.cut(window, header_len, found)),
            };
        }
        let header = self.header(window.bytes());
        if header.captured > MAX_CAPTURED {
            let reason = format!("captured length {} exceeds {MAX_CAPTURED}", header.captured);
            return Err(self.damaged(window, reason));
        }
        let captured = usize::try_from(header.captured).unwrap_or(usize::MAX);
        let total = header_len + captured;
        if !window.fill(total)? {
            return Err(self.cut(window, total, window.bytes().len()));
        }
        self.records += 1;
        let fraction_ns = u64::from(header.fraction).saturating_mul(self.fraction_ns);
        Ok(Some(Record {
            ts: Timestamp::from_parts(u64::from(header.seconds), fraction_ns),
            link_type: self.link_type,
            wire_len: header.wire.max(header.captured),
            header: header_len,
            captured,
            total,
            processes: [None; 2],
            heading: None,
        }))
    }

    /// Brings the headers of the records in `bytes` to the cache.
    pub(crate) fn warm(&self, bytes: &[u8]) {
        let header_len = RECORD_HEADER + self.extra;
        stripes::warm(bytes, |at| {
            if at.len() < header_len {
                return None;
            }
            let header = self.header(at);
            let captured = usize::try_from(header.captured).ok()?;
            let plausible = captured > 0
                && header.captured <= header.wire
                && header.wire <= PLAUSIBLE_WIRE_BYTES
                && u64::from(header.fraction).saturating_mul(self.fraction_ns) < 1_000_000_000;
            plausible.then_some(header_len + captured)
        });
    }

    fn header(&self, bytes: &[u8]) -> RecordHeader {
        let field = |at| self.order.u32_at(bytes, at);
        let (first, second) = (field(8), field(12));
        let swapped = match self.lengths {
            Lengths::CapturedFirst => false,
            Lengths::WireFirst => true,
            Lengths::Either => first > second,
        };
        let (captured, wire) = if swapped { (second, first) } else { (first, second) };
        RecordHeader { seconds: field(0), fraction: field(4), captured, wire }
    }

    /// The first addition under which several records look like records; the usual one if none.
    fn likeliest(&self, extras: &[usize], bytes: &[u8]) -> usize {
        let usual = extras.first().copied().unwrap_or_default();
        if self.records_that_fit(usual, bytes).is_some() {
            return usual;
        }
        let fits = |extra: &&usize| {
            self.records_that_fit(**extra, bytes).is_some_and(|records| records >= 2)
        };
        extras.iter().find(fits).copied().unwrap_or(usual)
    }

    /// How many whole records stand in `bytes` under an addition; `None` when one of them is absurd.
    fn records_that_fit(&self, extra: usize, bytes: &[u8]) -> Option<u32> {
        let mut rest = bytes;
        for records in 0..TRIAL_RECORDS {
            let Some(after) = rest.get(RECORD_HEADER + extra..) else {
                return Some(records);
            };
            let header = self.header(rest);
            let lengths_fit = header.captured <= MAX_CAPTURED && header.wire <= TRIAL_WIRE_BYTES;
            // Some cards record a captured length above that on the wire; none does by much.
            let order_fits = header.captured <= header.wire.saturating_mul(2).max(64);
            let time_fits = u64::from(header.fraction) * self.fraction_ns < 2_000_000_000;
            if !(lengths_fit && order_fits && time_fits) {
                return None;
            }
            let captured = usize::try_from(header.captured).unwrap_or(usize::MAX);
            let Some(next) = after.get(captured..) else { return Some(records) };
            rest = next;
        }
        Some(TRIAL_RECORDS)
    }

    fn cut(&self, window: &Window, expected: usize, found: usize) -> Fault {
        self.damaged(window, format!("file ends inside: expected {expected} bytes, found {found}"))
    }

    fn damaged(&self, window: &Window, reason: String) -> Fault {
        Fault::Structure { place: self.place(), offset: window.offset(), reason }
    }
}
