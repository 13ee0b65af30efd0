//! Capture files: any bytes as pcap, pcapng, gzip or zstd. The reader ends, and says why.
#![no_main]

use std::io::Cursor;

use dwell_capture::FileSource;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut source) = FileSource::from_reader("fuzz", Box::new(Cursor::new(bytes.to_vec())))
    else {
        return;
    };
    let mut last = 0;
    while let Ok(Some(frame)) = source.next_frame() {
        assert!(frame.number > last, "frame numbers rise");
        last = frame.number;
    }
    assert!(matches!(source.next_frame(), Ok(None)), "after an error or the end comes the end");
});
