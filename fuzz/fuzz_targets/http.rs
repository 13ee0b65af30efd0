//! HTTP/1: requests and responses of any bytes after a request line that looks right.
#![no_main]

use dwell_proto::{Sender, StreamInspector, StreamProtocol};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let cut = bytes.first().map_or(0, |&byte| usize::from(byte)).min(bytes.len());
    let (request, response) = bytes.split_at(cut);
    let mut inspector = StreamInspector::new(StreamProtocol::Detect);
    let mut facts = Vec::new();
    inspector.inspect(Sender::Originator, b"GET / HTTP/1.1\r\n", &mut facts);
    inspector.inspect(Sender::Originator, request, &mut facts);
    inspector.inspect(Sender::Responder, b"HTTP/1.1 200 OK\r\n", &mut facts);
    inspector.inspect(Sender::Responder, response, &mut facts);
});
