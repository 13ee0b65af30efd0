//! Writes captures byte by byte, and reads them back through the public interface.

use std::io::Cursor;

use dwell_capture::{CaptureError, Chunk, FileSource};
use dwell_packet::{Frame, Timestamp};

/// The byte order of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    pub(crate) const BOTH: [Self; 2] = [Self::Little, Self::Big];

    pub(crate) fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    pub(crate) fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    pub(crate) fn u64(self, value: u64) -> [u8; 8] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }
}

/// A frame as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) ts: Timestamp,
    pub(crate) link_type: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) wire_len: u32,
}

impl Read {
    fn of(frame: &Frame<'_>) -> Self {
        Self {
            ts: frame.ts,
            link_type: frame.link_type.0,
            bytes: frame.bytes.to_vec(),
            wire_len: frame.wire_len,
        }
    }

    /// An Ethernet frame whose capture is whole.
    pub(crate) fn whole(ts: Timestamp, bytes: &[u8]) -> Self {
        let wire_len = u32::try_from(bytes.len()).unwrap();
        Self { ts, link_type: 1, bytes: bytes.to_vec(), wire_len }
    }
}

/// Opens the bytes of a file.
pub(crate) fn open(file: &[u8]) -> Result<FileSource, CaptureError> {
    FileSource::from_reader("test", Box::new(Cursor::new(file.to_vec())))
}

/// All frames of a source, and the error that ended them.
pub(crate) fn drain(source: &mut FileSource) -> (Vec<Read>, Option<CaptureError>) {
    let mut frames = Vec::new();
    loop {
        match source.next_frame() {
            Ok(Some(frame)) => {
                assert_eq!(frame.number, frames.len() as u64 + 1);
                frames.push(Read::of(&frame));
            }
            Ok(None) => return (frames, None),
            Err(error) => {
                assert!(source.next_frame().unwrap().is_none(), "an error ends the file");
                return (frames, Some(error));
            }
        }
    }
}

/// As [`drain`], by chunks.
pub(crate) fn drain_chunks(source: &mut FileSource) -> (Vec<Read>, Option<CaptureError>) {
    let (mut frames, mut chunk) = (Vec::new(), Chunk::default());
    loop {
        match source.next_chunk(&mut chunk) {
            Ok(true) => {
                for frame in chunk.frames() {
                    frames.push(Read::of(&frame));
                    assert_eq!(frame.number, frames.len() as u64);
                }
            }
            Ok(false) => return (frames, None),
            Err(error) => {
                assert!(!source.next_chunk(&mut chunk).unwrap(), "an error ends the file");
                return (frames, Some(error));
            }
        }
    }
}

/// All frames of a file and what is said of its damage, the same one by one and by chunks.
#[track_caller]
fn both_ways(file: &[u8]) -> (Vec<Read>, Option<String>) {
    let told = |(frames, error): (Vec<Read>, Option<CaptureError>)| {
        (frames, error.map(|error| error.to_string()))
    };
    let one_by_one = told(drain(&mut open(file).unwrap()));
    assert_eq!(told(drain_chunks(&mut open(file).unwrap())), one_by_one);
    one_by_one
}

/// The frames of a file that must be sound.
#[track_caller]
pub(crate) fn read(file: &[u8]) -> Vec<Read> {
    let (frames, error) = both_ways(file);
    if let Some(error) = error {
        panic!("{error}");
    }
    frames
}

/// The frames of a file that breaks off, and what is said of it.
#[track_caller]
pub(crate) fn read_damaged(file: &[u8]) -> (Vec<Read>, String) {
    let (frames, error) = both_ways(file);
    (frames, error.expect("no damage noticed"))
}

/// A pcap file, record by record.
#[derive(Clone, Debug)]
pub(crate) struct Pcap {
    pub(crate) order: Order,
    pub(crate) bytes: Vec<u8>,
}

impl Pcap {
    /// A file header, version 2.4, snap length 65,535.
    pub(crate) fn new(order: Order, magic: u32, link_type: u32) -> Self {
        let bytes = [
            &order.u32(magic)[..],
            &order.u16(2),
            &order.u16(4),
            &[0; 8],
            &order.u32(65_535),
            &order.u32(link_type),
        ];
        Self { order, bytes: bytes.concat() }
    }

    /// A record whose header has these additions.
    pub(crate) fn record(&mut self, time: (u32, u32), extra: &[u8], frame: &[u8], wire_len: u32) {
        let captured = u32::try_from(frame.len()).unwrap();
        for field in [time.0, time.1, captured, wire_len] {
            self.bytes.extend(self.order.u32(field));
        }
        self.bytes.extend_from_slice(extra);
        self.bytes.extend_from_slice(frame);
    }

    /// A record of a whole frame, in the plain dialect.
    pub(crate) fn whole(&mut self, time: (u32, u32), frame: &[u8]) {
        self.record(time, &[], frame, u32::try_from(frame.len()).unwrap());
    }
}

/// A pcapng file, block by block.
#[derive(Clone, Debug)]
pub(crate) struct Pcapng {
    pub(crate) order: Order,
    pub(crate) bytes: Vec<u8>,
}

impl Pcapng {
    /// A file with the header of its first section.
    pub(crate) fn new(order: Order) -> Self {
        let mut file = Self { order, bytes: Vec::new() };
        file.section(order);
        file
    }

    /// Any block; its body is padded.
    pub(crate) fn block(&mut self, kind: u32, body: &[u8]) {
        let padded = body.len().next_multiple_of(4);
        let total = u32::try_from(padded + 12).unwrap();
        self.bytes.extend(self.order.u32(kind));
        self.bytes.extend(self.order.u32(total));
        self.bytes.extend_from_slice(body);
        self.bytes.resize(self.bytes.len() + padded - body.len(), 0);
        self.bytes.extend(self.order.u32(total));
    }

    /// A section header, of unknown length.
    pub(crate) fn section(&mut self, order: Order) {
        self.order = order;
        let body =
            [&order.u32(0x1a2b_3c4d)[..], &order.u16(1), &order.u16(0), &order.u64(u64::MAX)];
        self.block(0x0a0d_0d0a, &body.concat());
    }

    /// An interface description with options, each a code and a value.
    pub(crate) fn interface(&mut self, link_type: u16, snap_len: u32, options: &[(u16, &[u8])]) {
        let order = self.order;
        let mut body = [&order.u16(link_type)[..], &order.u16(0), &order.u32(snap_len)].concat();
        for (code, value) in options {
            body.extend(order.u16(*code));
            body.extend(order.u16(u16::try_from(value.len()).unwrap()));
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        if !options.is_empty() {
            body.extend([0; 4]);
        }
        self.block(1, &body);
    }

    /// An enhanced packet block of a whole frame.
    pub(crate) fn packet(&mut self, interface: u32, ticks: u64, frame: &[u8]) {
        let order = self.order;
        let len = u32::try_from(frame.len()).unwrap();
        let high = u32::try_from(ticks >> 32).unwrap();
        let low = u32::try_from(ticks & 0xffff_ffff).unwrap();
        let mut body: Vec<u8> = [interface, high, low, len, len]
            .into_iter()
            .flat_map(|field| order.u32(field))
            .collect();
        body.extend_from_slice(frame);
        self.block(6, &body);
    }
}
