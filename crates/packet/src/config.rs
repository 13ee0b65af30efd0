//! What the decoder can be told. Decodes nothing.

use std::time::Duration;

/// How frames are decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeConfig {
    /// How IP fragments are put together.
    pub defragmentation: DefragmentConfig,
    /// UDP ports of VXLAN and VXLAN-GPE.
    pub vxlan_ports: Vec<u16>,
    /// UDP ports of GENEVE.
    pub geneve_ports: Vec<u16>,
    /// UDP ports of GTP-U.
    pub gtpu_ports: Vec<u16>,
    /// UDP ports of L2TP.
    pub l2tp_ports: Vec<u16>,
    /// UDP ports of Teredo.
    pub teredo_ports: Vec<u16>,
    /// UDP ports of TZSP.
    pub tzsp_ports: Vec<u16>,
}

impl Default for DecodeConfig {
    /// The ports that IANA assigned, and Linux's old VXLAN port.
    fn default() -> Self {
        Self {
            defragmentation: DefragmentConfig::default(),
            vxlan_ports: vec![4789, 4790, 8472],
            geneve_ports: vec![6081],
            gtpu_ports: vec![2152],
            l2tp_ports: vec![1701],
            teredo_ports: vec![3544],
            tzsp_ports: vec![37008],
        }
    }
}

/// How IP fragments are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefragmentConfig {
    /// Memory for incomplete datagrams, in bytes; when it is full, the oldest goes.
    pub max_bytes: usize,
    /// How long after its first fragment a datagram must be complete, in packet time.
    pub timeout: Duration,
    /// Whose bytes count where fragments overlap.
    pub overlap: OverlapPolicy,
}

impl Default for DefragmentConfig {
    /// As much memory as Suricata gives, as long as Linux waits (RFC 8200 says 60 s).
    fn default() -> Self {
        Self {
            max_bytes: 32 * 1024 * 1024,
            timeout: Duration::from_secs(30),
            overlap: OverlapPolicy::FirstWins,
        }
    }
}

/// Whose bytes count where fragments overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverlapPolicy {
    /// Each byte is the first that came for its place.
    #[default]
    FirstWins,
    /// A datagram with overlapping fragments is dropped whole; exact duplicates are ignored
    /// (Linux; RFC 5722 for IPv6).
    DropDatagram,
}

/// Which tunnel a UDP port may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UdpTunnel {
    Vxlan,
    Geneve,
    GtpU,
    L2tp,
    Teredo,
    Tzsp,
}

/// Tunnel ports, quick to ask.
#[derive(Clone, Debug)]
pub(crate) struct UdpTunnels {
    /// One bit a port, so that the ordinary datagram's answer costs one look.
    bits: Box<[u64; PORT_WORDS]>,
    ports: Vec<(u16, UdpTunnel)>,
}

/// 65,536 ports in words of 64 bits.
const PORT_WORDS: usize = 1024;

impl UdpTunnels {
    /// The tunnel ports that a configuration names.
    pub(crate) fn new(config: &DecodeConfig) -> Self {
        let of = |ports: &[u16], tunnel| ports.iter().map(move |&port| (port, tunnel)).collect();
        let lists: [Vec<(u16, UdpTunnel)>; 6] = [
            of(&config.vxlan_ports, UdpTunnel::Vxlan),
            of(&config.geneve_ports, UdpTunnel::Geneve),
            of(&config.gtpu_ports, UdpTunnel::GtpU),
            of(&config.l2tp_ports, UdpTunnel::L2tp),
            of(&config.teredo_ports, UdpTunnel::Teredo),
            of(&config.tzsp_ports, UdpTunnel::Tzsp),
        ];
        let ports = lists.concat();
        let mut bits = Box::new([0; PORT_WORDS]);
        for (port, _) in &ports {
            if let Some(word) = bits.get_mut(usize::from(port >> 6)) {
                *word |= 1 << (port & 63);
            }
        }
        Self { bits, ports }
    }

    /// Whether either port may carry a tunnel.
    pub(crate) fn may_carry(&self, src: u16, dst: u16) -> bool {
        self.contains(dst) || self.contains(src)
    }

    /// The tunnel that either port may carry, the destination's first.
    pub(crate) fn find(&self, src: u16, dst: u16) -> Option<UdpTunnel> {
        let of = |port| self.ports.iter().find(|(known, _)| *known == port);
        of(dst).or_else(|| of(src)).map(|(_, tunnel)| *tunnel)
    }

    fn contains(&self, port: u16) -> bool {
        self.bits.get(usize::from(port >> 6)).is_some_and(|word| word >> (port & 63) & 1 == 1)
    }
}
