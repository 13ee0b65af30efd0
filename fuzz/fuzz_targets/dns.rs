//! DNS messages: any bytes end, and names stay within their bounds.
#![no_main]

use dwell_proto::dns;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = dns::parse(bytes) {
        for (name, _, _) in message.addresses() {
            assert!(name.len() <= 4 * 255);
        }
    }
});
