//! A moving window over a stream of bytes. Knows neither files nor formats.

use std::io::{self, ErrorKind, Read};

/// Size of one read. 32 KiB to 1 MiB measure alike; 4 MiB leaves the second-level cache and costs
/// a third more.
const READ_BYTES: usize = 256 * 1024;

/// The bytes of a stream that were read and not yet taken.
pub(crate) struct Window {
    stream: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
}

impl Window {
    /// A window at the start of `stream`.
    pub(crate) fn new(stream: Box<dyn Read + Send>) -> Self {
        Self { stream, buffer: vec![0; READ_BYTES], start: 0, end: 0, offset: 0, ended: false }
    }

    /// Where the window starts, in bytes from the start of the stream.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes in the window.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
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
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < len && !self.ended {
            if self.end == self.buffer.len() {
                self.buffer.resize(self.buffer.len().saturating_mul(2).min(len), 0);
            }
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.stream.read(free) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end >= len)
    }

    /// Takes up to `len` bytes out of the window.
    pub(crate) fn take(&mut self, len: usize) -> &[u8] {
        let end = self.start.saturating_add(len).min(self.end);
        let taken = self.buffer.get(self.start..end).unwrap_or_default();
        self.start = end;
        self.offset += taken.len() as u64;
        taken
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
            left -= self.take(step).len() as u64;
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
    fn more_than_one_buffer_is_held_when_it_arrived() {
        let bytes: Vec<u8> =
            (0..READ_BYTES * 3).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut window = Window::new(Box::new(io::Cursor::new(bytes.clone())));
        assert!(window.fill(bytes.len()).unwrap());
        assert_eq!(window.bytes(), bytes);
    }
}
