//! Records into a stream that is open already, such as standard output.

use std::io::Write;
use std::sync::Arc;

use super::{Failure, Item, Sink};

/// Writes records to a stream, a line each.
#[derive(Debug)]
pub struct StreamSink<W> {
    stream: W,
    buffer: Vec<u8>,
}

impl<W: Write + Send> StreamSink<W> {
    /// A sink into `stream`.
    pub const fn new(stream: W) -> Self {
        Self { stream, buffer: Vec::new() }
    }
}

impl<W: Write + Send> Sink for StreamSink<W> {
    fn write(&mut self, items: &[Arc<Item>]) -> Result<(), Failure> {
        self.buffer.clear();
        for item in items {
            self.buffer.extend_from_slice(&item.bytes);
            self.buffer.push(b'\n');
        }
        let written = self.stream.write_all(&self.buffer).and_then(|()| self.stream.flush());
        written.map_err(|error| Failure::of_io(&error, "stream"))
    }
}
