//! QUIC connections by the ID that the server chose: a flow that begins with one is a connection
//! that moved here (RFC 9000, section 9). Decrypts nothing.

use std::collections::VecDeque;

use dwell_packet::Endpoint;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// The most connections remembered; the oldest goes first.
const MAX_CONNECTIONS: usize = 1 << 16;

/// IDs shorter than this meet by chance too often to prove anything.
const MIN_ID: usize = 6;

/// The longest ID (RFC 9000, section 17.2).
const MAX_ID: usize = 20;

/// Connections whose handshake was seen.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    flows: HashMap<(Endpoint, Vec<u8>), u64, FixedState>,
    order: VecDeque<(Endpoint, Vec<u8>)>,
}

impl Connections {
    /// Remembers that `flow` is a connection to `server`, which chose `id`.
    pub(crate) fn learn(&mut self, server: Endpoint, id: &[u8], flow: u64) {
        if !(MIN_ID..=MAX_ID).contains(&id.len()) {
            return;
        }
        let key = (server, id.to_vec());
        if self.flows.insert(key.clone(), flow).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > MAX_CONNECTIONS {
            if let Some(oldest) = self.order.pop_front() {
                self.flows.remove(&oldest);
            }
        }
    }

    /// The flow whose connection goes on in one to `server` that begins with `bytes` after the
    /// first byte of a short header. A short header does not tell its ID's length: the longest
    /// that is known wins.
    pub(crate) fn lookup(&self, server: Endpoint, bytes: &[u8; MAX_ID]) -> Option<u64> {
        (MIN_ID..=MAX_ID).rev().find_map(|len| {
            let id = bytes.get(..len)?.to_vec();
            self.flows.get(&(server, id)).copied()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(last: u8) -> Endpoint {
        Endpoint { addr: [192, 0, 2, last].into(), port: 443 }
    }

    #[test]
    fn a_connection_is_known_by_its_server_and_id() {
        let mut connections = Connections::default();
        connections.learn(server(1), &[7; 8], 42);
        let mut header = [9; MAX_ID];
        header[..8].copy_from_slice(&[7; 8]);
        assert_eq!(connections.lookup(server(1), &header), Some(42));
        assert_eq!(connections.lookup(server(2), &header), None);
        header[7] = 0;
        assert_eq!(connections.lookup(server(1), &header), None);
    }

    #[test]
    fn short_ids_prove_nothing_and_the_table_is_bounded() {
        let mut connections = Connections::default();
        connections.learn(server(1), &[7; 4], 1);
        assert!(connections.flows.is_empty());
        for number in 0..u64::try_from(MAX_CONNECTIONS).unwrap() + 5 {
            connections.learn(server(1), &number.to_be_bytes(), number);
        }
        assert_eq!(connections.flows.len(), MAX_CONNECTIONS);
        assert_eq!(connections.order.len(), MAX_CONNECTIONS);
    }
}
