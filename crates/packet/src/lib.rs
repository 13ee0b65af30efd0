//! One frame in, one transport PDU out.
//!
//! Knows link layers, VLAN tags, tunnels, IP fragments and the vocabulary of packets
//! ([`Timestamp`], [`FiveTuple`], [`FlowKey`], [`Direction`], [`PerDirection`]). It keeps no
//! flows and reads no clock.

mod checksum;
mod config;
mod counters;
mod decoder;
mod defragment;
mod discard;
mod extension;
mod fragment;
mod frame;
mod ip;
mod link;
mod neighbour;
mod pdu;
mod peek;
mod process;
mod span;
mod time;
mod transport;
mod tunnel;
mod tuple;
mod walk;

pub use checksum::Checksum;
pub use config::{DecodeConfig, DefragmentConfig, OverlapPolicy};
pub use counters::DecodeCounters;
pub use decoder::Decoder;
pub use defragment::FragmentCounters;
pub use discard::{Discard, FragmentRefusal, Layer, NotIp, OtherTransport};
pub use frame::{Frame, LinkType};
pub use neighbour::Neighbour;
pub use pdu::{
    Encapsulation, IpFacts, LinkAddresses, MAX_VLANS, MacAddress, Pdu, TcpFlags, TcpHeader,
    TransportHeader, Tunnel, TunnelKind,
};
pub use process::{Heading, Process, Processes};
pub use time::Timestamp;
pub use tuple::{Direction, Endpoint, FiveTuple, FlowKey, PerDirection, Scope, Transport};
