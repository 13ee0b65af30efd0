//! A moving window over a stream of bytes. Knows neither files nor formats.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use crate::mapping::Mapping;

/// Size of one read. 32 KiB to 1 MiB measure alike; 4 MiB leaves the second-level cache and costs
/// a third more.
const READ_BYTES: usize = 256 * 1024;

/// The bytes of a stream that were read and not yet taken.
pub(crate) struct Window {
    stream: Box<dyn Read + Send>,
    /// In place of `stream` and `buffer`: the whole file, where `end` is its length.
    mapping: Option<Arc<Mapping>>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
    /// Whether what was taken stays where it is.
    held: bool,
    /// Whether the latest read gave less than was asked for: a pipe that has no more just now.
    short: bool,
}

impl Window {
    /// A window at the start of `stream`.
    pub(crate) fn new(stream: Box<dyn Read + Send>) -> Self {
        Self {
            stream,
            mapping: None,
            buffer: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            offset: 0,
            ended: false,
            held: false,
            short: false,
        }
    }

    /// A window at the start of a mapped file.
    pub(crate) fn mapped(mapping: Arc<Mapping>) -> Self {
        let end = mapping.bytes().len();
        let mut window = Self::new(Box::new(io::empty()));
        (window.buffer, window.mapping, window.end) = (Vec::new(), Some(mapping), end);
        window.ended = true;
        window
    }

    /// The mapped file, if it is one.
    pub(crate) const fn mapping(&self) -> Option<&Arc<Mapping>> {
        self.mapping.as_ref()
    }

    /// Keeps what is taken from now on in place, in `buffer`, until [`Window::release`].
    pub(crate) fn hold(&mut self, mut buffer: Vec<u8>) {
        if self.mapping.is_some() {
            return;
        }
        let rest = self.bytes().len();
        if buffer.len() < rest.max(READ_BYTES) {
            buffer.resize(rest.max(READ_BYTES), 0);
        }
        if let Some(front) = buffer.get_mut(..rest) {
            front.copy_from_slice(self.bytes());
        }
        (self.buffer, self.start, self.end) = (buffer, 0, rest);
        self.held = true;
    }

    /// The buffer with everything taken since [`Window::hold`], and what follows; the window keeps
    /// a copy of the latter.
    pub(crate) fn release(&mut self) -> Vec<u8> {
        if self.mapping.is_some() {
            return Vec::new();
        }
        let rest = self.bytes().to_vec();
        (self.start, self.end, self.held) = (0, rest.len(), false);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Where the window starts in its buffer.
    pub(crate) const fn position(&self) -> usize {
        self.start
    }

    /// Whether all that could be read just now is taken.
    pub(crate) const fn is_drained(&self) -> bool {
        self.short && self.start == self.end
    }

    /// Where the window starts, in bytes from the start of the stream.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes in the window.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.all().get(self.start..self.end).unwrap_or_default()
    }

    /// Everything from the start of the buffer, or of the file.
    fn all(&self) -> &[u8] {
        self.mapping.as_ref().map_or(&*self.buffer, |mapping| mapping.bytes())
    }

    /// Reads until `len` bytes are in the window; false when the stream ends before.
    ///
    /// The buffer grows with the bytes received, at most to twice their number: a length that a
    /// file merely claims costs nothing.
    ///
    /// # Errors
    /// What the stream says. Bytes already read stay.
    pub(crate) fn fill(&mut self, len: usize) -> io::Result<bool> {
        if self.end - self.start >= len {
            return Ok(true);
        }
        if self.mapping.is_some() {
            return Ok(false);
        }
        if !self.held {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let end = self.start.saturating_add(len);
        while self.end < end && !self.ended {
            if self.end == self.buffer.len() {
                let twice = self.buffer.len().saturating_mul(2);
                let room = end.max(self.end.saturating_add(READ_BYTES));
                self.buffer.resize(twice.min(room).max(READ_BYTES), 0);
            }
            let until = self.end.saturating_add(READ_BYTES).min(self.buffer.len());
            let free = self.buffer.get_mut(self.end..until).unwrap_or_default();
            match self.stream.read(free) {
                Ok(0) => self.ended = true,
                Ok(read) => {
                    self.short = read < free.len();
                    self.end += read;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end >= end)
    }

    /// Takes up to `len` bytes out of the window.
    pub(crate) fn take(&mut self, len: usize) -> &[u8] {
        let end = self.start.saturating_add(len).min(self.end);
        let start = std::mem::replace(&mut self.start, end);
        self.offset += (end - start) as u64;
        self.all().get(start..end).unwrap_or_default()
    }

    /// Drops the next `len` bytes of the stream without keeping them; false when it ends before.
    ///
    /// # Errors
    /// What the stream says.
    pub(crate) fn skip(&mut self, len: u64) -> io::Result<bool> {
        let mut left = len;
        while left > 0 {
            if !self.fill(1)? {
                return Ok(false);
            }
            let step = usize::try_from(left).unwrap_or(usize::MAX);
            let place = self.start;
            left -= self.take(step).len() as u64;
            if self.start == self.end && self.mapping.is_none() {
                // Nobody wants these bytes: the next ones may take their place.
                (self.start, self.end) = (place, place);
            }
        }
        Ok(true)
    }
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window")
            .field("offset", &self.offset)
            .field("held", &(self.end - self.start))
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that gives one byte at a time.
    struct Drip(Vec<u8>);

    impl Read for Drip {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() || into.is_empty() {
                return Ok(0);
            }
            into[0] = self.0.remove(0);
            Ok(1)
        }
    }

    #[test]
    fn short_reads_are_joined() {
        let mut window = Window::new(Box::new(Drip((0..10).collect())));
        assert!(window.fill(4).unwrap());
        assert_eq!(window.take(4), [0, 1, 2, 3]);
        assert!(window.skip(3).unwrap());
        assert!(window.fill(3).unwrap());
        assert_eq!((window.offset(), window.bytes()), (7, &[7, 8, 9][..]));
        assert!(!window.fill(4).unwrap());
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let mut window = Window::new(Box::new(&[1u8; 100][..]));
        assert!(!window.fill(usize::MAX / 4).unwrap());
        assert_eq!(window.buffer.len(), READ_BYTES);
        assert_eq!(window.take(usize::MAX).len(), 100);
        assert!(!window.skip(u64::MAX).unwrap());
    }

    #[test]
    fn what_is_held_stays_in_place() {
        let bytes: Vec<u8> = (0..=255).cycle().take(READ_BYTES * 2).collect();
        let mut window = Window::new(Box::new(io::Cursor::new(bytes.clone())));
        assert!(window.fill(10).unwrap());
        window.take(10);
        window.hold(Vec::new());
        assert!(window.fill(READ_BYTES).unwrap());
        window.take(READ_BYTES);
        let taken = window.position();
        assert!(window.skip(100).unwrap());
        assert!(window.fill(50).unwrap());
        let held = window.release();
        assert_eq!(held[..taken], bytes[10..10 + READ_BYTES]);
        assert_eq!(window.take(50), &bytes[110 + READ_BYTES..160 + READ_BYTES]);
    }

    #[test]
    fn a_held_window_does_not_grow_with_what_is_skipped() {
        let mut window = Window::new(Box::new(io::repeat(7)));
        window.hold(Vec::new());
        assert!(window.skip(64 << 20).unwrap());
        assert!(window.release().len() <= 2 * READ_BYTES);
    }

    #[test]
    fn more_than_one_buffer_is_held_when_it_arrived() {
        let bytes: Vec<u8> =
            (0..READ_BYTES * 3).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut window = Window::new(Box::new(io::Cursor::new(bytes.clone())));
        assert!(window.fill(bytes.len()).unwrap());
        assert_eq!(window.bytes(), bytes);
    }
}
