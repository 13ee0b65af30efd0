//! One frame in, one transport PDU out.
//!
//! Knows link layers, VLAN tags, tunnels, IP fragments and the vocabulary of packets
//! ([`Timestamp`], [`FiveTuple`], [`FlowKey`], [`Direction`], [`PerDirection`]). It keeps no
//! flows and reads no clock.

mod frame;
mod pdu;
mod time;
mod tuple;

pub use frame::{Frame, LinkType};
pub use pdu::{
    Encapsulation, IpFacts, LinkAddresses, MacAddress, MAX_VLANS, Pdu, TcpFlags, TcpHeader,
    TransportHeader, Tunnel, TunnelKind,
};
pub use time::Timestamp;
pub use tuple::{Direction, Endpoint, FiveTuple, FlowKey, PerDirection, Scope, Transport};
