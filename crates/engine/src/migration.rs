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
    flows: HashMap<Key, u64, FixedState>,
    order: VecDeque<Key>,
    /// How many connections have an ID of each length: few lengths are in use.
    lengths: [u32; MAX_ID + 1],
}

/// A server and the ID that it chose, filled with zeros, with its length.
type Key = (Endpoint, [u8; MAX_ID], usize);

impl Connections {
    /// Remembers that `flow` is a connection to `server`, which chose `id`.
    pub(crate) fn learn(&mut self, server: Endpoint, id: &[u8], flow: u64) {
        if id.len() < MIN_ID {
            return;
        }
        let Some(key) = key(server, id) else { return };
        if self.flows.insert(key, flow).is_none() {
            self.order.push_back(key);
            self.count(&key, 1);
        }
        while self.order.len() > MAX_CONNECTIONS {
            if let Some(oldest) = self.order.pop_front() {
                self.flows.remove(&oldest);
                self.count(&oldest, -1);
            }
        }
    }

    /// The flow whose connection goes on in one to `server` that begins with `bytes` after the
    /// first byte of a short header. A short header does not tell its ID's length: the longest
    /// that is known wins.
    pub(crate) fn lookup(&self, server: Endpoint, bytes: &[u8; MAX_ID]) -> Option<u64> {
        let in_use = self.lengths.iter().enumerate().rev().filter(|(_, count)| **count > 0);
        in_use
            .filter_map(|(len, _)| self.flows.get(&key(server, bytes.get(..len)?)?))
            .next()
            .copied()
    }

    fn count(&mut self, key: &Key, more: i32) {
        if let Some(count) = self.lengths.get_mut(key.2) {
            *count = count.saturating_add_signed(more);
        }
    }
}

fn key(server: Endpoint, id: &[u8]) -> Option<Key> {
    let mut octets = [0; MAX_ID];
    octets.get_mut(..id.len())?.copy_from_slice(id);
    Some((server, octets, id.len()))
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
