//! Captures of one conversation in twelve encapsulations. Expected counts are tshark's
//! (`fixtures/README.md`).

use std::path::Path;

use dwell_capture::FileSource;
use dwell_packet::{Checksum, Transport};

use crate::support::decoder;

/// What a capture of the conversation in any encapsulation must give.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Conversation {
    /// Segments and their payload bytes.
    pub(crate) tcp: (usize, usize),
    /// Datagrams and their payload bytes.
    pub(crate) udp: (usize, usize),
    /// PDUs whose checksum is wrong.
    pub(crate) invalid: usize,
}

/// The conversation, whole.
pub(crate) const WHOLE: Conversation = Conversation { tcp: (13, 2317), udp: (2, 2400), invalid: 0 };

/// What the decoder finds of it on port 443.
pub(crate) fn conversation(path: &Path) -> Conversation {
    let mut source = FileSource::open(path).unwrap();
    let mut decoder = decoder();
    let mut found = Conversation::default();
    while let Ok(Some(frame)) = source.next_frame() {
        let Ok(pdu) = decoder.decode(frame) else { continue };
        if ![pdu.tuple.src.port, pdu.tuple.dst.port].contains(&443) {
            continue;
        }
        let (count, bytes) = match pdu.tuple.transport {
            Transport::Tcp => &mut found.tcp,
            Transport::Udp => &mut found.udp,
        };
        *count += 1;
        *bytes += pdu.payload.len();
        found.invalid += usize::from(pdu.transport_checksum() == Checksum::Invalid);
    }
    found
}

#[test]
fn one_conversation_is_found_in_every_encapsulation() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "pcap") {
            files += 1;
            assert_eq!(conversation(&path), WHOLE, "{}", path.display());
        }
    }
    assert_eq!(files, 12);
}
