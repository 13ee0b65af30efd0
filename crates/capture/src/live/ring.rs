//! The ring between kernel and sensor: blocks of frames, lent in runs. Lays out nothing
//! itself: the offsets are `struct tpacket3_hdr`'s and `struct tpacket_block_desc`'s
//! (linux/if_packet.h).

use std::mem::offset_of;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering, fence};

use dwell_packet::{LinkType, Timestamp};

use super::run::{FrameAt, Run};
use super::socket::{self, BLOCK_BYTES, Mapping, TAG_BYTES};
use super::{KernelCounters, LiveConfig, LiveError, MIN_RING_BYTES, RETIRE, program};
use crate::Filter;

/// A ring and the place of the next frame in it.
pub(super) struct Ring {
    fd: OwnedFd,
    mapping: Mapping,
    blocks: usize,
    /// The block that is read, or will be when the kernel hands it over.
    block: usize,
    cursor: Option<Cursor>,
    link_type: LinkType,
    /// A filter that the kernel cannot apply.
    filter: Option<Filter>,
}

/// Where the next frame's header is in the block.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    offset: usize,
    left: u32,
}

/// A frame's header.
#[derive(Clone, Copy, Debug)]
struct Header {
    next: usize,
    ts: Timestamp,
    captured: usize,
    wire_len: u32,
    status: u32,
    mac: usize,
    tag: u16,
    tag_protocol: u16,
}

impl Ring {
    /// Opens a ring on an interface.
    pub(super) fn open(config: &LiveConfig) -> Result<Self, LiveError> {
        let name = &config.interface;
        let failed = |step| move |error| LiveError::system(name, step, error);
        let Some(link_type) = socket::link_type_of(name)? else {
            let link_type = LinkType(u32::MAX);
            return Err(LiveError::LinkType { interface: name.clone(), link_type });
        };
        let (instructions, in_user_space) = program::of(config, link_type)?;
        let filter = config.filter.as_deref().filter(|_| in_user_space);
        let filter = filter.map(Filter::new).transpose()?;
        let fd = socket::open().map_err(failed("open a packet socket"))?;
        socket::prepare(&fd, config, instructions.as_deref())?;
        let retire_ms = u32::try_from(RETIRE.as_millis()).unwrap_or(u32::MAX);
        let bytes = config.ring_bytes.max(MIN_RING_BYTES);
        let mapping = socket::map_ring(&fd, bytes, retire_ms).map_err(failed("map the ring"))?;
        socket::bind(&fd, config)?;
        if let Some(fanout) = config.fanout {
            socket::join(&fd, fanout).map_err(failed("join the group of rings"))?;
        }
        let blocks = mapping.bytes / BLOCK_BYTES;
        Ok(Self { fd, mapping, blocks, block: 0, cursor: None, link_type, filter })
    }

    /// Binds anew, to the interface that has the name now.
    pub(super) fn rebind(&mut self, config: &LiveConfig) -> Result<(), LiveError> {
        socket::bind(&self.fd, config)
    }

    pub(super) const fn link_type(&self) -> LinkType {
        self.link_type
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(super) fn statistics(&self) -> KernelCounters {
        socket::statistics(&self.fd)
    }

    /// Blocks that the kernel has handed over, as a share of all.
    pub(super) fn fill(&self) -> f64 {
        let waiting = (0..self.blocks).filter(|&block| self.is_ours(block)).count();
        waiting as f64 / self.blocks.max(1) as f64
    }

    /// Time stamp of the next frame; takes the next block up, and gives a read one back.
    pub(super) fn head(&mut self) -> Option<Timestamp> {
        loop {
            let Some(cursor) = self.cursor else {
                if !self.is_ours(self.block) {
                    return None;
                }
                let first = offset_of!(libc::tpacket_block_desc, hdr);
                let left = self.u32_at(first + offset_of!(libc::tpacket_hdr_v1, num_pkts));
                let at = first + offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt);
                let offset = usize::try_from(self.u32_at(at)).unwrap_or(usize::MAX);
                self.cursor = Some(Cursor { offset, left });
                continue;
            };
            let header = (cursor.left > 0).then(|| self.whole_header(cursor.offset)).flatten();
            match header {
                Some(header) if self.passes(cursor.offset, header) => return Some(header.ts),
                Some(header) => self.step(cursor, header),
                None => self.release(),
            }
        }
    }

    /// Notes where the frames from the head on lie in the block that is read.
    pub(super) fn take(&mut self, until: Timestamp, most: usize, run: &mut Vec<FrameAt>) {
        while run.len() < most
            && let Some(cursor) = self.cursor.filter(|cursor| cursor.left > 0)
            && let Some(header) = self.whole_header(cursor.offset)
        {
            let passes = self.passes(cursor.offset, header);
            if passes && header.ts > until {
                return;
            }
            if passes {
                run.push(at(cursor.offset, header));
            }
            self.step(cursor, header);
        }
    }

    /// What the frames that `take` noted lie in, until `head` is called.
    pub(super) fn lent(&self) -> &[u8] {
        if self.cursor.is_some() { self.bytes() } else { &[] }
    }

    /// Goes on to the next frame of the block.
    const fn step(&mut self, cursor: Cursor, header: Header) {
        let left = if header.next == 0 { 0 } else { cursor.left - 1 };
        self.cursor = Some(Cursor { offset: cursor.offset.saturating_add(header.next), left });
    }

    /// Whether a filter that the kernel could not apply lets the frame through.
    fn passes(&mut self, offset: usize, header: Header) -> bool {
        let Some(mut filter) = self.filter.take() else { return true };
        let frames = [at(offset, header)];
        let run = Run { bytes: self.bytes(), frames: &frames, link_type: self.link_type, first: 0 };
        let passes = run.frames().all(|frame| filter.matches(&frame).unwrap_or(true));
        self.filter = Some(filter);
        passes
    }

    /// The header at `offset`; a VLAN tag that the kernel took off is back in its place.
    fn whole_header(&mut self, offset: usize) -> Option<Header> {
        let header = self.header(offset)?;
        let tagged = header.status & libc::TP_STATUS_VLAN_VALID != 0;
        if !tagged || self.link_type != LinkType::ETHERNET {
            return Some(header);
        }
        self.restore_tag(offset, header)?;
        self.header(offset)
    }

    /// Puts the tag into the room before the frame (`PACKET_RESERVE`), and says so in the header:
    /// four bytes more, from four bytes earlier, no tag beside them.
    fn restore_tag(&mut self, offset: usize, header: Header) -> Option<()> {
        let mac = offset.checked_add(header.mac)?;
        let start = mac.checked_sub(TAG_BYTES)?;
        let room = self.bytes_mut().get_mut(start..mac.checked_add(ADDRESS_BYTES)?)?;
        room.copy_within(TAG_BYTES.., 0);
        let (protocol, tag) = (header.tag_protocol.to_be_bytes(), header.tag.to_be_bytes());
        let place = room.get_mut(ADDRESS_BYTES..)?;
        place.copy_from_slice([protocol, tag].as_flattened());
        let grown = |len: usize| u32::try_from(len + TAG_BYTES).unwrap_or(u32::MAX);
        let wire_len = header.wire_len.saturating_add(4);
        let status = header.status & !libc::TP_STATUS_VLAN_VALID;
        let mac = u16::try_from(header.mac - TAG_BYTES).ok()?;
        self.put(
            offset + offset_of!(libc::tpacket3_hdr, tp_snaplen),
            &grown(header.captured).to_ne_bytes(),
        )?;
        self.put(offset + offset_of!(libc::tpacket3_hdr, tp_len), &wire_len.to_ne_bytes())?;
        self.put(offset + offset_of!(libc::tpacket3_hdr, tp_status), &status.to_ne_bytes())?;
        self.put(offset + offset_of!(libc::tpacket3_hdr, tp_mac), &mac.to_ne_bytes())
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> Option<()> {
        self.bytes_mut().get_mut(at..at.checked_add(bytes.len())?)?.copy_from_slice(bytes);
        Some(())
    }

    fn header(&self, offset: usize) -> Option<Header> {
        let at = |field: usize| offset.checked_add(field);
        let u32_of = |field| Some(self.u32_at(at(field)?));
        let u16_of = |field| Some(self.u16_at(at(field)?));
        let variant = offset_of!(libc::tpacket3_hdr, hv1);
        let seconds = u32_of(offset_of!(libc::tpacket3_hdr, tp_sec))?;
        let nanos = u32_of(offset_of!(libc::tpacket3_hdr, tp_nsec))?;
        let status = u32_of(offset_of!(libc::tpacket3_hdr, tp_status))?;
        let tag = u32_of(variant + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tci))?;
        let protocol = u16_of(variant + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tpid))?;
        let named = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
        Some(Header {
            next: usize::try_from(u32_of(offset_of!(libc::tpacket3_hdr, tp_next_offset))?).ok()?,
            ts: Timestamp::from_parts(u64::from(seconds), u64::from(nanos)),
            captured: usize::try_from(u32_of(offset_of!(libc::tpacket3_hdr, tp_snaplen))?).ok()?,
            wire_len: u32_of(offset_of!(libc::tpacket3_hdr, tp_len))?,
            status,
            mac: usize::from(u16_of(offset_of!(libc::tpacket3_hdr, tp_mac))?),
            tag: u16::try_from(tag & 0xffff).unwrap_or(0),
            tag_protocol: if named { protocol } else { DEFAULT_TAG },
        })
    }

    /// Gives the block back to the kernel.
    fn release(&mut self) {
        // What was read of the block is read before the kernel may write.
        fence(Ordering::SeqCst);
        self.status(self.block).store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.cursor = None;
        self.block = (self.block + 1) % self.blocks.max(1);
    }

    /// Whether the kernel has handed the block over.
    fn is_ours(&self, block: usize) -> bool {
        self.status(block).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// The word by which the kernel and the sensor hand a block to each other.
    #[expect(unsafe_code, reason = "memory that is shared with the kernel")]
    fn status(&self, block: usize) -> &AtomicU32 {
        let word = offset_of!(libc::tpacket_block_desc, hdr)
            + offset_of!(libc::tpacket_hdr_v1, block_status);
        let offset = (block % self.blocks.max(1)) * BLOCK_BYTES + word;
        // SAFETY: the offset is inside the mapping, since `block` is less than the number of
        // blocks; the word is aligned to four bytes, since blocks are to their size; the kernel
        // changes it only as one word, which is what an atomic is for; the mapping outlives the
        // borrow of `self`.
        unsafe { &*self.mapping.start.as_ptr().add(offset).cast::<AtomicU32>() }
    }

    /// The block that is read.
    #[expect(unsafe_code, reason = "memory that is shared with the kernel")]
    fn bytes(&self) -> &[u8] {
        // SAFETY: the block is inside the mapping. It is read only between `is_ours` and
        // `release` (`cursor` is `Some`), and in that time the kernel does not write to it.
        unsafe {
            let start = self.mapping.start.as_ptr().add(self.block * BLOCK_BYTES);
            std::slice::from_raw_parts(start, BLOCK_BYTES)
        }
    }

    /// The block that is read, to be written.
    #[expect(unsafe_code, reason = "memory that is shared with the kernel")]
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`; the mapping is writable, and the borrow of `self` is exclusive.
        unsafe {
            let start = self.mapping.start.as_ptr().add(self.block * BLOCK_BYTES);
            std::slice::from_raw_parts_mut(start, BLOCK_BYTES)
        }
    }

    fn u32_at(&self, at: usize) -> u32 {
        let found = self.bytes().get(at..).and_then(|rest| rest.first_chunk());
        found.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }

    fn u16_at(&self, at: usize) -> u16 {
        let found = self.bytes().get(at..).and_then(|rest| rest.first_chunk());
        found.map_or(0, |bytes| u16::from_ne_bytes(*bytes))
    }
}

/// A frame's place in its block.
const fn at(offset: usize, header: Header) -> FrameAt {
    let start = offset.saturating_add(header.mac);
    let end = start.saturating_add(header.captured);
    FrameAt { ts: header.ts, start, end, wire_len: header.wire_len }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("blocks", &self.blocks)
            .field("block", &self.block)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

/// Both MAC addresses.
const ADDRESS_BYTES: usize = 12;

/// 802.1Q's protocol number, where the kernel names none.
const DEFAULT_TAG: u16 = 0x8100;
