//! What interfaces there are, what they are and what they lose. Opens none of them for capture.

use std::io;
use std::net::IpAddr;

use super::LiveError;

/// An interface of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What libpcap says of it.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it is up.
    pub up: bool,
    /// Whether it has a carrier.
    pub running: bool,
    /// Longest packet that it takes, in bytes, without the link header.
    pub mtu: Option<u32>,
    /// Speed in Mbit/s.
    pub speed_mbits: Option<u32>,
    /// Why it cannot be captured, if that is known without trying.
    pub obstacle: Option<String>,
}

/// What an adapter and its driver counted since they started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NicCounters {
    /// Frames received.
    pub received: u64,
    /// Frames dropped for want of room in the adapter (`rx_missed_errors`).
    pub missed: u64,
    /// Frames dropped by the driver (`rx_dropped`).
    pub dropped: u64,
    /// Frames with errors, wrong checksums among them (`rx_errors`).
    pub errors: u64,
}

/// What an adapter does to frames before a capture sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Generic receive offload: the kernel merges segments of one flow.
    pub gro: bool,
    /// Large receive offload: the adapter does.
    pub lro: bool,
}

/// The interfaces that libpcap knows, with what the system says of each.
///
/// # Errors
/// What libpcap says.
pub fn interfaces() -> Result<Vec<Interface>, LiveError> {
    let failed = |source| LiveError::Libpcap { interface: "interfaces".to_owned(), source };
    let devices = pcap::Device::list().map_err(failed)?;
    Ok(devices.into_iter().map(describe).collect())
}

fn describe(device: pcap::Device) -> Interface {
    let up = device.flags.is_up();
    let running = device.flags.is_running();
    let mut found = Interface {
        mtu: number(&device.name, "mtu"),
        speed_mbits: number(&device.name, "speed"),
        obstacle: (!up).then(|| "down: bring it up with `ip link set NAME up`".to_owned()),
        addresses: device.addresses.iter().map(|address| address.addr).collect(),
        name: device.name,
        description: device.desc,
        up,
        running,
    };
    #[cfg(target_os = "linux")]
    if found.obstacle.is_none() && super::socket::open().is_err() {
        found.obstacle = Some("not permitted: needs root or CAP_NET_RAW".to_owned());
    }
    if found.obstacle.is_none() {
        found.obstacle = unsupported(&found.name);
    }
    found
}

/// Why the frames of a device that libpcap lists cannot be decoded.
fn unsupported(name: &str) -> Option<String> {
    let foreign = ["bluetooth", "dbus", "usbmon", "nfqueue", "can", "vcan"];
    let known = foreign.iter().find(|prefix| name.starts_with(**prefix))?;
    Some(format!("no IP packets: a {known} device"))
}

/// What the adapter and its driver counted; `None` for an interface that is not there.
#[must_use]
pub fn nic_counters(name: &str) -> Option<NicCounters> {
    let of = |file: &str| number::<u64>(name, &format!("statistics/{file}"));
    Some(NicCounters {
        received: of("rx_packets")?,
        missed: of("rx_missed_errors").unwrap_or(0),
        dropped: of("rx_dropped").unwrap_or(0),
        errors: of("rx_errors").unwrap_or(0),
    })
}

fn number<T: std::str::FromStr>(name: &str, file: &str) -> Option<T> {
    // A name with a slash is no interface's; it would lead elsewhere.
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    let text = std::fs::read_to_string(format!("/sys/class/net/{name}/{file}")).ok()?;
    text.trim().parse().ok()
}

/// The offloads that falsify counts and times, where the driver tells.
#[cfg(target_os = "linux")]
#[must_use]
pub fn offloads(name: &str) -> Option<Offloads> {
    use std::os::fd::AsRawFd as _;
    /// `ETHTOOL_GGRO` and `ETHTOOL_GFLAGS` (ethtool.h).
    const GET_GRO: u32 = 0x2b;
    const GET_FLAGS: u32 = 0x25;
    /// `SIOCETHTOOL` (sockios.h).
    const DRIVER: libc::Ioctl = 0x8946;
    /// `ETH_FLAG_LRO`.
    const LRO: u32 = 1 << 15;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").ok()?;
    let ask = |command: u32| {
        let mut value = [command, 0];
        device_call(socket.as_raw_fd(), name, DRIVER, &mut value)
            .ok()
            .map(|()| value)
            .and_then(|value| value.get(1).copied())
    };
    Some(Offloads { gro: ask(GET_GRO)? != 0, lro: ask(GET_FLAGS)? & LRO != 0 })
}

/// The offloads that falsify counts and times, where the driver tells.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn offloads(_name: &str) -> Option<Offloads> {
    None
}

/// Asks an interface's driver something; `value` is what the request takes and gives.
#[cfg(target_os = "linux")]
pub(super) fn device_call<T>(
    fd: std::os::fd::RawFd,
    name: &str,
    request: libc::Ioctl,
    value: &mut T,
) -> io::Result<()> {
    #[expect(unsafe_code, reason = "all zeroes are a valid ifreq")]
    // SAFETY: an ifreq is integers, characters and pointers that are not read.
    let mut call: libc::ifreq = unsafe { std::mem::zeroed() };
    let bytes = name.as_bytes();
    if bytes.len() >= call.ifr_name.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (place, byte) in call.ifr_name.iter_mut().zip(bytes) {
        *place = libc::c_char::from_ne_bytes([*byte]);
    }
    call.ifr_ifru.ifru_data = std::ptr::from_mut(value).cast();
    #[expect(unsafe_code, reason = "ioctl")]
    // SAFETY: the name ends with a zero byte, and `ifru_data` points to the structure that the
    // request takes, which lives through the call.
    let done = unsafe { libc::ioctl(fd, request, &raw mut call) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_elsewhere_has_no_counters() {
        assert_eq!(nic_counters("../../etc"), None);
        assert_eq!(nic_counters("no-such-interface"), None);
    }
}
