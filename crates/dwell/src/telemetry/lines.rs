//! Lines of a stream, bounded. Knows no telemetry.

use std::io::{self, BufRead as _, BufReader, Read};

/// The longest line kept; longer ones are passed over.
const MAX_LINE: usize = 4 * 1024 * 1024;

/// The lines of a stream that may grow while it is read.
pub(crate) struct Lines {
    stream: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
    /// A line longer than [`MAX_LINE`] is being passed over.
    passing_over: bool,
    /// The line in `line` was given out.
    given: bool,
    /// The last read came to the end of the stream.
    ended: bool,
    /// Bytes taken.
    taken: u64,
}

/// One line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It was too long.
    TooLong,
}

impl Lines {
    /// The lines of `stream`.
    pub(crate) fn new(stream: Box<dyn Read + Send>) -> Self {
        let stream = BufReader::with_capacity(1 << 16, stream);
        Self { stream, line: Vec::new(), passing_over: false, given: false, ended: false, taken: 0 }
    }

    /// The next line; at the end of the stream what is left of it, then `None`.
    ///
    /// # Errors
    /// What the stream says.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        if let Some(too_long) = self.read_line()? {
            return Ok(Some(self.give(too_long)));
        }
        let left = !self.given && (!self.line.is_empty() || self.passing_over);
        if !left {
            return Ok(None);
        }
        let too_long = std::mem::take(&mut self.passing_over);
        Ok(Some(self.give(too_long)))
    }

    /// The next line that has ended; `None` while the rest has not come.
    ///
    /// # Errors
    /// What the stream says; "would block" is no error.
    pub(crate) fn next_whole_line(&mut self) -> io::Result<Option<Line<'_>>> {
        match self.read_line() {
            Ok(Some(too_long)) => Ok(Some(self.give(too_long))),
            Ok(None) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the last read came to the end of the stream.
    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Bytes of the stream taken.
    pub(crate) const fn taken(&self) -> u64 {
        self.taken
    }

    fn give(&mut self, too_long: bool) -> Line<'_> {
        self.given = true;
        if too_long { Line::TooLong } else { Line::Whole(&self.line) }
    }

    /// Reads up to a line's end; whether the line was too long, or `None` before its end.
    fn read_line(&mut self) -> io::Result<Option<bool>> {
        if self.given {
            self.line.clear();
            self.given = false;
        }
        loop {
            let chunk = match self.stream.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.ended = chunk.is_empty();
            if self.ended {
                return Ok(None);
            }
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            if self.line.len().saturating_add(part.len()) > MAX_LINE {
                self.passing_over = true;
                self.line = Vec::new();
            } else if !self.passing_over {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.stream.consume(used);
            self.taken = self.taken.saturating_add(used as u64);
            if end.is_some() {
                return Ok(Some(std::mem::take(&mut self.passing_over)));
            }
        }
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("taken", &self.taken).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: Vec<u8>) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(Box::new(io::Cursor::new(bytes)));
        let mut read = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            read.push(match line {
                Line::Whole(bytes) => Some(bytes.to_vec()),
                Line::TooLong => None,
            });
        }
        read
    }

    #[test]
    fn the_last_line_needs_no_end() {
        let expected = [Some(b"a".to_vec()), Some(Vec::new()), Some(b"b".to_vec())];
        assert_eq!(read(b"a\n\nb".to_vec()), expected);
        assert_eq!(read(b"a\n\nb\n".to_vec()), expected);
    }

    #[test]
    fn a_line_beyond_the_bound_is_passed_over_and_the_next_is_read() {
        let mut bytes = vec![b'x'; MAX_LINE + 1];
        bytes.extend_from_slice(b"\nnext\n");
        assert_eq!(read(bytes), [None, Some(b"next".to_vec())]);
    }
}
