//! The pcapng format (draft-ietf-opsawg-pcapng). Knows blocks, not what frames hold.

use std::sync::Arc;

use dwell_packet::{Heading, LinkType, Process, Processes, Timestamp};

use crate::chunk::KeptProcesses;
use crate::error::{Fault, Place};
use crate::record::{ByteOrder, MAX_CAPTURED, Record};
use crate::window::Window;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
/// Apple's process information block (pcap/pcap-ng.h of Apple's libpcap).
const PROCESS_INFORMATION: u32 = 0x8000_0001;

const OPTION_END: u16 = 0;
const OPTION_TSRESOL: u16 = 9;
const OPTION_TSOFFSET: u16 = 14;
/// Of a process information block.
const OPTION_PROCESS_NAME: u16 = 2;
const OPTION_PROCESS_PATH: u16 = 3;
/// Of an enhanced packet block: places of process information blocks in the section.
const OPTION_FLAGS: u16 = 2;
const OPTION_OWNER: u16 = 0x8001;
const OPTION_EFFECTIVE: u16 = 0x8003;

/// Processes kept of one section, in order; later ones are not named. 20 MB at the most.
const MAX_PROCESSES: usize = 16_384;

/// Longest name and path kept of a process, in bytes (`PATH_MAX` of macOS).
const MAX_PROCESS_NAME: usize = 255;
const MAX_PROCESS_PATH: usize = 1024;

/// Type and length before a block's body, and the length again after it, in bytes.
const BLOCK_FRAME: u32 = 12;

/// Bytes of a block that are looked at for its fixed fields and options.
const MAX_DESCRIPTION: u32 = 64 * 1024;

/// Options may follow a frame in its block.
const MAX_PACKET_BLOCK: u32 = MAX_CAPTURED + 1024 * 1024;

/// Interfaces of one section: more than any machine has; 24 bytes each.
const MAX_INTERFACES: usize = 65_536;

/// A pcapng file and what its current section said.
#[derive(Debug)]
pub(crate) struct Pcapng {
    order: ByteOrder,
    interfaces: Vec<Interface>,
    /// Processes of the section, in the order of their blocks.
    processes: Vec<Arc<Process>>,
    blocks: u64,
    /// Time of the last frame: simple packet blocks carry none.
    last: Timestamp,
}

/// What an interface description block says.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: LinkType,
    /// Longest frame kept, in bytes; zero for no limit.
    snap_len: u32,
    clock: Clock,
}

/// Units and origin of an interface's time stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    unit: ClockUnit,
    /// Added to every time stamp, in seconds.
    offset_s: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClockUnit {
    /// This many nanoseconds.
    Nanos(u64),
    /// Nanoseconds divided by this.
    NanosOver(u64),
    /// Seconds divided by two to the power of this.
    SecondsShifted(u32),
}

/// A block's type and length.
#[derive(Clone, Copy)]
struct Block {
    kind: u32,
    total: u32,
}

impl Pcapng {
    /// Whether a file that starts so is pcapng.
    pub(crate) fn recognises(magic: [u8; 4]) -> bool {
        u32::from_be_bytes(magic) == SECTION_HEADER
    }

    /// Reads up to the first interface description.
    ///
    /// # Errors
    /// When the stream fails or the first blocks are damaged.
    pub(crate) fn open(window: &mut Window) -> Result<Self, Fault> {
        let mut pcapng = Self {
            order: ByteOrder::Little,
            interfaces: Vec::new(),
            processes: Vec::new(),
            blocks: 0,
            last: Timestamp::ZERO,
        };
        while pcapng.interfaces.is_empty() {
            match pcapng.block(window)? {
                Some(block) if !block.is_packet() => pcapng.describe(window, block)?,
                Some(_) | None => break,
            }
        }
        Ok(pcapng)
    }

    /// Link types of the interfaces described so far in this section.
    pub(crate) fn link_types(&self) -> impl Iterator<Item = LinkType> {
        self.interfaces.iter().map(|interface| interface.link_type)
    }

    /// The processes behind a frame of the current section.
    pub(crate) fn processes(&self, record: Record) -> Processes<'_> {
        let [owner, effective] = record.processes.map(|place| Some(&**self.processes.get(place?)?));
        Processes { owner, effective, heading: record.heading }
    }

    /// The same, to be kept beyond the section; `None` when no process is known.
    pub(crate) fn kept_processes(&self, record: &Record) -> Option<Box<KeptProcesses>> {
        let [owner, effective] =
            record.processes.map(|place| self.processes.get(place?).map(Arc::clone));
        let known = owner.is_some() || effective.is_some();
        known.then(|| Box::new(KeptProcesses { owner, effective, heading: record.heading }))
    }

    /// The block that comes next.
    pub(crate) const fn place(&self) -> Place {
        Place::Block(self.blocks.saturating_add(1))
    }

    /// The next frame, whole in the window; `None` at the end of the file.
    ///
    /// # Errors
    /// When the stream fails, a block's structure breaks, or the file ends inside a block.
    pub(crate) fn next(&mut self, window: &mut Window) -> Result<Option<Record>, Fault> {
        while let Some(block) = self.block(window)? {
            if block.is_packet() {
                return self.packet(window, block).map(Some);
            }
            self.describe(window, block)?;
        }
        Ok(None)
    }

    /// Type and length of the block at the window's start; `None` at the end of the file.
    fn block(&mut self, window: &mut Window) -> Result<Option<Block>, Fault> {
        if !window.fill(12)? {
            return match window.bytes().len() {
                0 => Ok(None),
                found => Err(self.cut(window, 12, found)),
            };
        }
        let bytes = window.bytes();
        let kind = self.order.u32_at(bytes, 0);
        if kind == SECTION_HEADER {
            self.order = match bytes.get(8..12) {
                Some([0x4d, 0x3c, 0x2b, 0x1a]) => ByteOrder::Little,
                Some([0x1a, 0x2b, 0x3c, 0x4d]) => ByteOrder::Big,
                _ => {
                    let found = self.order.u32_at(bytes, 8);
                    let reason = format!("byte-order magic {found:08x}, expected 1a2b3c4d");
                    return Err(self.damaged(window, reason));
                }
            };
        }
        let total = self.order.u32_at(bytes, 4);
        if total < BLOCK_FRAME || !total.is_multiple_of(4) {
            return Err(self.damaged(window, format!("block length {total}")));
        }
        Ok(Some(Block { kind, total }))
    }

    /// Takes a block without a frame: section, interface, or one that says nothing of frames.
    fn describe(&mut self, window: &mut Window, block: Block) -> Result<(), Fault> {
        let looked_at = block.total.min(MAX_DESCRIPTION);
        let needed = usize::try_from(looked_at).unwrap_or(usize::MAX);
        if !window.fill(needed)? {
            let found = window.bytes().len();
            return Err(self.cut(window, needed, found));
        }
        let end = usize::try_from(looked_at.min(block.total - 4)).unwrap_or_default();
        let body = window.bytes().get(8..end).unwrap_or_default();
        match block.kind {
            SECTION_HEADER => {
                self.interfaces.clear();
                self.processes.clear();
            }
            INTERFACE_DESCRIPTION if self.interfaces.len() >= MAX_INTERFACES => {
                let reason = format!("more than {MAX_INTERFACES} interfaces");
                return Err(self.damaged(window, reason));
            }
            INTERFACE_DESCRIPTION => self.interfaces.push(interface(self.order, body)),
            PROCESS_INFORMATION if self.processes.len() < MAX_PROCESSES => {
                self.processes.push(Arc::new(process(self.order, body)));
            }
            _ => {}
        }
        let start = window.offset();
        if !window.skip(u64::from(block.total) - 4)? || !window.fill(4)? {
            let found = window.offset() - start;
            let reason = format!("file ends inside: expected {} bytes, found {found}", block.total);
            return Err(self.structure(start, reason));
        }
        let again = self.order.u32_at(window.take(4), 0);
        self.closing_length(start, block, again)?;
        self.blocks += 1;
        Ok(())
    }

    fn packet(&mut self, window: &mut Window, block: Block) -> Result<Record, Fault> {
        if block.total > MAX_PACKET_BLOCK {
            let reason = format!("block length {} exceeds {MAX_PACKET_BLOCK}", block.total);
            return Err(self.damaged(window, reason));
        }
        let total = usize::try_from(block.total).unwrap_or(usize::MAX);
        if !window.fill(total)? {
            return Err(self.cut(window, total, window.bytes().len()));
        }
        let bytes = window.bytes();
        self.closing_length(window.offset(), block, self.order.u32_at(bytes, total - 4))?;
        let field = |at| self.order.u32_at(bytes, at);
        let (number, header) = match block.kind {
            SIMPLE_PACKET => (0, 12),
            OLD_PACKET => (u32::from(self.order.u16_at(bytes, 8)), 28),
            _ => (field(8), 28),
        };
        let room = block.total.saturating_sub(header + 4);
        if block.total < header + 4 {
            return Err(self.damaged(window, format!("block length {}", block.total)));
        }
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(interface) = self.interfaces.get(index).copied() else {
            let reason = format!("interface {number} was not described");
            return Err(self.damaged(window, reason));
        };
        let (ts, captured, wire) = if block.kind == SIMPLE_PACKET {
            let limit = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
            let wire = field(8);
            (self.last, wire.min(limit).min(room), wire)
        } else {
            let ticks = u64::from(field(12)) << 32 | u64::from(field(16));
            (interface.clock.timestamp(ticks), field(20), field(24))
        };
        if captured > room {
            let reason = format!("captured length {captured} exceeds the block's {room}");
            return Err(self.damaged(window, reason));
        }
        let behind = usize::try_from(captured.next_multiple_of(4).saturating_add(header));
        let options = bytes.get(behind.unwrap_or(total)..total.saturating_sub(4));
        let (processes, heading) = match options {
            Some(options) if block.kind == ENHANCED_PACKET && !self.processes.is_empty() => {
                owners(self.order, options)
            }
            Some(_) | None => ([None; 2], None),
        };
        self.last = ts;
        self.blocks += 1;
        Ok(Record {
            ts,
            link_type: interface.link_type,
            wire_len: wire.max(captured),
            header: usize::try_from(header).unwrap_or_default(),
            captured: usize::try_from(captured).unwrap_or_default(),
            total,
            processes,
            heading,
        })
    }

    fn closing_length(&self, offset: u64, block: Block, again: u32) -> Result<(), Fault> {
        if again == block.total {
            return Ok(());
        }
        let reason = format!("block length {} at its start, {again} at its end", block.total);
        Err(self.structure(offset, reason))
    }

    fn cut(&self, window: &Window, expected: usize, found: usize) -> Fault {
        self.damaged(window, format!("file ends inside: expected {expected} bytes, found {found}"))
    }

    fn damaged(&self, window: &Window, reason: String) -> Fault {
        self.structure(window.offset(), reason)
    }

    fn structure(&self, offset: u64, reason: String) -> Fault {
        Fault::Structure { place: self.place(), offset, reason }
    }
}

impl Block {
    const fn is_packet(self) -> bool {
        matches!(self.kind, OLD_PACKET | SIMPLE_PACKET | ENHANCED_PACKET)
    }
}

impl Clock {
    const MICROSECONDS: Self = Self { unit: ClockUnit::Nanos(1_000), offset_s: 0 };

    fn timestamp(self, ticks: u64) -> Timestamp {
        let nanos = match self.unit {
            ClockUnit::Nanos(nanos) => ticks.saturating_mul(nanos),
            ClockUnit::NanosOver(divisor) => ticks / divisor,
            ClockUnit::SecondsShifted(shift) => {
                let nanos = (u128::from(ticks) * 1_000_000_000) >> shift;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        };
        let shift_ns = self.offset_s.unsigned_abs().saturating_mul(1_000_000_000);
        Timestamp::from_nanos(if self.offset_s < 0 {
            nanos.saturating_sub(shift_ns)
        } else {
            nanos.saturating_add(shift_ns)
        })
    }
}

/// The unit that an `if_tsresol` byte stands for: a power of ten, or of two with the high bit set.
fn clock_unit(resolution: u8) -> ClockUnit {
    let exponent = u32::from(resolution & 0x7f);
    if resolution & 0x80 != 0 {
        return ClockUnit::SecondsShifted(exponent);
    }
    match exponent.checked_sub(9) {
        None | Some(0) => ClockUnit::Nanos(10u64.saturating_pow(9u32.saturating_sub(exponent))),
        // Finer than a 64-bit number of them can reach a nanosecond: none of them counts.
        Some(over) => 10u64.checked_pow(over).map_or(ClockUnit::Nanos(0), ClockUnit::NanosOver),
    }
}

/// Options one after the other; those that break off, and the end option, end the list.
struct Options<'a> {
    order: ByteOrder,
    rest: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let [_, _, _, _, body @ ..] = self.rest else { return None };
        let code = self.order.u16_at(self.rest, 0);
        let len = usize::from(self.order.u16_at(self.rest, 2));
        let value = body.get(..len)?;
        self.rest = body.get(len.next_multiple_of(4)..).unwrap_or_default();
        (code != OPTION_END).then_some((code, value))
    }
}

/// A process from its block's body.
fn process(order: ByteOrder, body: &[u8]) -> Process {
    let mut process = Process { pid: order.u32_at(body, 0), ..Process::default() };
    let rest = body.get(4..).unwrap_or_default();
    for (code, value) in (Options { order, rest }) {
        let text = value.split(|&byte| byte == 0).next().unwrap_or_default();
        match code {
            OPTION_PROCESS_NAME => {
                process.name = text.get(..MAX_PROCESS_NAME).unwrap_or(text).to_vec();
            }
            OPTION_PROCESS_PATH => {
                process.path = text.get(..MAX_PROCESS_PATH).unwrap_or(text).to_vec();
            }
            _ => {}
        }
    }
    process
}

/// Places of the owner and the effective process, and the way, from a packet's options.
fn owners(order: ByteOrder, options: &[u8]) -> ([Option<usize>; 2], Option<Heading>) {
    let [mut owner, mut effective] = [None; 2];
    let mut heading = None;
    for (code, value) in (Options { order, rest: options }) {
        let place = (value.len() >= 4).then(|| usize::try_from(order.u32_at(value, 0)).ok());
        match code {
            OPTION_FLAGS => heading = Heading::of_bits(order.u32_at(value, 0)),
            OPTION_OWNER => owner = place.flatten(),
            OPTION_EFFECTIVE => effective = place.flatten(),
            _ => {}
        }
    }
    ([owner, effective], heading)
}

/// An interface from its description's body; options that break off end the list.
fn interface(order: ByteOrder, body: &[u8]) -> Interface {
    let mut clock = Clock::MICROSECONDS;
    let rest = body.get(8..).unwrap_or_default();
    for (code, value) in (Options { order, rest }) {
        match code {
            OPTION_TSRESOL => {
                clock.unit = value.first().map_or(clock.unit, |&byte| clock_unit(byte));
            }
            OPTION_TSOFFSET => clock.offset_s = order.i64_at(value, 0),
            _ => {}
        }
    }
    Interface {
        link_type: LinkType(u32::from(order.u16_at(body, 0))),
        snap_len: order.u32_at(body, 4),
        clock,
    }
}
