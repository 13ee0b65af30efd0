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

/// What an interface is at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceState {
    /// Its number in this network namespace; another one of the same name has another.
    pub index: u32,
    /// Whether it is switched on.
    pub up: bool,
    /// Whether it has a carrier as well.
    pub running: bool,
    /// Longest packet that it takes, in bytes, without the link header; 0 where that is not known.
    pub mtu: u32,
    /// Its hardware type (`ARPHRD_`, if_arp.h); 0 where that is not known.
    pub hardware: u16,
}

/// What an adapter and its driver counted since they started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NicCounters {
    /// Frames received.
    pub received: u64,
    /// Frames dropped by the driver (`rx_dropped`) or for want of room in the adapter
    /// (`rx_missed_errors`).
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
        mtu: interface_state(&device.name).map(|state| state.mtu),
        speed_mbits: speed(&device.name),
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
///
/// Reads `/proc/net/dev`: unlike `/sys` it is always that of this network namespace.
#[must_use]
pub fn nic_counters(name: &str) -> Option<NicCounters> {
    let text = std::fs::read_to_string("/proc/self/net/dev").ok()?;
    counters_in(&text, name)
}

fn counters_in(text: &str, name: &str) -> Option<NicCounters> {
    let of_name = |line: &&str| line.split_once(':').is_some_and(|(n, _)| n.trim() == name);
    let (_, numbers) = text.lines().find(of_name)?.split_once(':')?;
    // bytes, packets, errs, drop, ...: "drop" is rx_dropped and rx_missed_errors together.
    let mut numbers = numbers.split_ascii_whitespace().map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    let (_bytes, received, errors, dropped) = (next()?, next()?, next()?, next()?);
    Some(NicCounters { received, dropped, errors })
}

/// What an interface is now; `None` when there is none of that name.
#[cfg(target_os = "linux")]
#[must_use]
pub fn interface_state(name: &str) -> Option<InterfaceState> {
    use std::os::fd::AsRawFd as _;
    /// `SIOCGIFFLAGS`, `SIOCGIFMTU`, `SIOCGIFHWADDR` (sockios.h).
    const FLAGS: libc::Ioctl = 0x8913;
    const MTU: libc::Ioctl = 0x8921;
    const HARDWARE: libc::Ioctl = 0x8927;
    /// `IFF_UP`, `IFF_RUNNING`.
    const UP: i16 = 0x1;
    const RUNNING: i16 = 0x40;
    let index = u32::try_from(super::socket::index_of(name).ok()?).ok()?;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").or_else(|_| unbound()).ok()?;
    let ask =
        |request| request_of(name).and_then(|call| call_driver(socket.as_raw_fd(), request, call));
    #[expect(unsafe_code, reason = "the union's member is the one that each request fills")]
    // SAFETY: every request succeeded, so that its member was written; all are plain integers.
    let (flags, mtu, hardware) = unsafe {
        (
            ask(FLAGS).ok()?.ifr_ifru.ifru_flags,
            ask(MTU).ok()?.ifr_ifru.ifru_mtu,
            ask(HARDWARE).ok()?.ifr_ifru.ifru_hwaddr.sa_family,
        )
    };
    let up = flags & UP != 0;
    let running = up && flags & RUNNING != 0;
    Some(InterfaceState { index, up, running, mtu: u32::try_from(mtu).ok()?, hardware })
}

/// What an interface is now; `None` when there is none of that name.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn interface_state(name: &str) -> Option<InterfaceState> {
    let devices = pcap::Device::list().ok()?;
    let position = devices.iter().position(|device| device.name == name)?;
    let flags = devices.get(position)?.flags;
    let index = u32::try_from(position).ok()?;
    let (up, running) = (flags.is_up(), flags.is_up() && flags.is_running());
    Some(InterfaceState { index, up, running, mtu: 0, hardware: 0 })
}

/// The name that the interface of a number has now.
#[must_use]
pub fn interface_name(index: u32) -> Option<String> {
    // IF_NAMESIZE (net/if.h).
    let mut name = [0u8; 16];
    #[expect(unsafe_code, reason = "if_indextoname")]
    // SAFETY: the buffer has the IF_NAMESIZE bytes that the call may write.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
    if found.is_null() {
        return None;
    }
    let len = name.iter().position(|byte| *byte == 0)?;
    String::from_utf8(name.get(..len)?.to_vec()).ok()
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

/// A socket for questions to drivers, where the loopback interface is down.
#[cfg(target_os = "linux")]
fn unbound() -> io::Result<std::net::UdpSocket> {
    std::net::UdpSocket::bind("0.0.0.0:0")
}

/// Speed in Mbit/s, where the driver tells.
fn speed(name: &str) -> Option<u32> {
    // A name with a slash is no interface's; it would lead elsewhere.
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    std::fs::read_to_string(format!("/sys/class/net/{name}/speed")).ok()?.trim().parse().ok()
}

/// Asks an interface's driver something; `value` is what the request takes and gives.
#[cfg(target_os = "linux")]
pub(super) fn device_call<T>(
    fd: std::os::fd::RawFd,
    name: &str,
    request: libc::Ioctl,
    value: &mut T,
) -> io::Result<()> {
    let mut call = request_of(name)?;
    call.ifr_ifru.ifru_data = std::ptr::from_mut(value).cast();
    call_driver(fd, request, call).map(|_| ())
}

/// A request that names an interface.
#[cfg(target_os = "linux")]
fn request_of(name: &str) -> io::Result<libc::ifreq> {
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
    Ok(call)
}

#[cfg(target_os = "linux")]
fn call_driver(
    fd: std::os::fd::RawFd,
    request: libc::Ioctl,
    mut call: libc::ifreq,
) -> io::Result<libc::ifreq> {
    #[expect(unsafe_code, reason = "ioctl")]
    // SAFETY: the name ends with a zero byte; where the request takes a structure, `ifru_data`
    // points to it, and it lives through the call.
    let done = unsafe { libc::ioctl(fd, request, &raw mut call) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(call) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_has_no_state_and_no_counters() {
        for name in ["../../etc", "no-such-iface", "", "a-name-longer-than-any-interface-has"] {
            assert_eq!(nic_counters(name), None, "{name}");
            assert_eq!(interface_state(name), None, "{name}");
            assert_eq!(speed(name), None, "{name}");
        }
        assert_eq!(interface_name(u32::MAX), None);
    }

    /// The layout of `/proc/net/dev` is that of Linux 6.1's `dev_seq_printf_stats`.
    #[test]
    fn counters_are_read_by_name() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo\n\
                    eth0: 100 7 1 2 0 0 0 0 5 6 0 0\n  lo:1 2 3 4 0 0 0 0 1 2\n";
        let found = NicCounters { received: 7, dropped: 2, errors: 1 };
        assert_eq!(counters_in(text, "eth0"), Some(found));
        assert_eq!(counters_in(text, "lo").map(|found| found.dropped), Some(4));
        assert_eq!(counters_in(text, "eth"), None);
    }
}
