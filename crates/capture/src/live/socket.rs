//! A packet socket of Linux with a ring mapped into memory (packet(7), the kernel's
//! `packet_mmap.rst`). The system calls are here, the ring's layout is in `ring.rs`.

use std::ffi::{CString, c_int, c_void};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::ptr::NonNull;

use dwell_packet::LinkType;

use super::program::Instruction;
use super::{
    Fanout, KernelCounters, LiveConfig, LiveError, Outgoing, Promiscuous, TimestampSource,
};

/// Size of a block, in bytes: 256 KiB to 1 MiB measure alike.
pub(super) const BLOCK_BYTES: usize = 1 << 20;

/// Room that is kept before each frame for the VLAN tag that the kernel took off.
pub(super) const TAG_BYTES: usize = 4;

/// A ring's memory, mapped for as long as this lives.
#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) start: NonNull<u8>,
    pub(super) bytes: usize,
}

// SAFETY: the mapping belongs to this value alone and can be used from any thread.
#[expect(unsafe_code, reason = "a mapping is not bound to a thread")]
unsafe impl Send for Mapping {}

impl Drop for Mapping {
    #[expect(unsafe_code, reason = "munmap")]
    fn drop(&mut self) {
        // SAFETY: `start` and `bytes` are what mmap gave and was asked for, and nothing borrows
        // from the mapping any more, since it is dropped.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// A socket that takes nothing in yet.
pub(super) fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // Protocol 0: no frame comes before `bind`, so none passes before the filter is set.
    #[expect(unsafe_code, reason = "socket")]
    // SAFETY: no memory is handed over.
    let raw = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    check(raw)?;
    #[expect(unsafe_code, reason = "the descriptor is new and belongs to nobody else")]
    // SAFETY: as the reason says.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Sets everything that has to be set before frames come.
pub(super) fn prepare(
    fd: &OwnedFd,
    config: &LiveConfig,
    program: Option<&[Instruction]>,
) -> Result<(), LiveError> {
    let name = &config.interface;
    let failed = |step| move |error| LiveError::system(name, step, error);
    let version: c_int = 2;
    set(fd, libc::SOL_PACKET, libc::PACKET_VERSION, &version).map_err(failed("use TPACKET_V3"))?;
    let reserve: c_int = 4;
    set(fd, libc::SOL_PACKET, libc::PACKET_RESERVE, &reserve)
        .map_err(failed("reserve room for VLAN tags"))?;
    if config.timestamps == TimestampSource::Adapter {
        hardware_stamps(fd, name).map_err(failed("use the adapter's time stamps"))?;
    }
    // A loopback frame would come twice, going out and coming in.
    if config.outgoing == Outgoing::Ignored || name == "lo" {
        let on: c_int = 1;
        set(fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &on)
            .map_err(failed("ignore outgoing frames"))?;
    }
    if let Some(program) = program {
        attach(fd, program).map_err(failed("attach the filter"))?;
    }
    Ok(())
}

/// Makes the ring and maps it.
pub(super) fn map_ring(fd: &OwnedFd, bytes: usize, retire_ms: u32) -> io::Result<Mapping> {
    let blocks = bytes.div_ceil(BLOCK_BYTES).max(2);
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let request = libc::tpacket_req3 {
        tp_block_size: number(BLOCK_BYTES),
        tp_block_nr: number(blocks),
        // Frames have no fixed size in version 3; the kernel wants these two to agree.
        tp_frame_size: FRAME_BYTES,
        tp_frame_nr: number(BLOCK_BYTES / 2048).saturating_mul(number(blocks)),
        tp_retire_blk_tov: retire_ms,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    set(fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
    let bytes = blocks * BLOCK_BYTES;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    #[expect(unsafe_code, reason = "mmap")]
    // SAFETY: a new mapping at an address of the kernel's choice; the length is the ring's.
    let start = unsafe {
        libc::mmap(std::ptr::null_mut(), bytes, access, libc::MAP_SHARED, fd.as_raw_fd(), 0)
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let start = NonNull::new(start.cast::<u8>()).ok_or_else(io::Error::last_os_error)?;
    Ok(Mapping { start, bytes })
}

/// Binds the socket to the interface that has the name now: frames come from here on.
pub(super) fn bind(fd: &OwnedFd, config: &LiveConfig) -> Result<(), LiveError> {
    let name = &config.interface;
    let failed = |step| move |error| LiveError::system(name, step, error);
    let index = index_of(name)?;
    if config.promiscuous == Promiscuous::Yes {
        let membership =
            libc::packet_mreq { mr_ifindex: index, mr_type: 1, mr_alen: 0, mr_address: [0; 8] };
        set(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
            .map_err(failed("set promiscuous mode"))?;
    }
    let address = libc::sockaddr_ll {
        sll_family: ADDRESS_FAMILY,
        sll_protocol: ALL_PROTOCOLS.to_be(),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    #[expect(unsafe_code, reason = "bind")]
    // SAFETY: the address is a whole sockaddr_ll and lives through the call.
    let bound = unsafe {
        let address = std::ptr::from_ref(&address).cast::<libc::sockaddr>();
        libc::bind(fd.as_raw_fd(), address, length::<libc::sockaddr_ll>())
    };
    check(bound).map_err(failed("bind the socket"))?;
    Ok(())
}

/// Joins the group among whose sockets the kernel spreads the flows.
pub(super) fn join(fd: &OwnedFd, fanout: Fanout) -> io::Result<()> {
    /// `PACKET_FANOUT_HASH` with `PACKET_FANOUT_FLAG_DEFRAG`.
    const HASH_DEFRAGMENTED: u32 = 0x8000 << 16;
    let argument: u32 = u32::from(fanout.group) | HASH_DEFRAGMENTED;
    set(fd, libc::SOL_PACKET, libc::PACKET_FANOUT, &argument)
}

/// What the kernel counted since it was last asked.
pub(super) fn statistics(fd: &OwnedFd) -> KernelCounters {
    let mut found = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
    let mut len = length::<libc::tpacket_stats_v3>();
    #[expect(unsafe_code, reason = "getsockopt")]
    // SAFETY: the kernel writes at most `len` bytes, the size of `found`, which is plain integers.
    let got = unsafe {
        let place = std::ptr::from_mut(&mut found).cast::<c_void>();
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            place,
            &raw mut len,
        )
    };
    if got != 0 {
        return KernelCounters::default();
    }
    KernelCounters {
        received: u64::from(found.tp_packets),
        dropped: u64::from(found.tp_drops),
        freezes: u64::from(found.tp_freeze_q_cnt),
        interface_dropped: 0,
    }
}

/// The number of an interface in this network namespace.
pub(super) fn index_of(name: &str) -> Result<c_int, LiveError> {
    let missing = || LiveError::NoSuchInterface { interface: name.to_owned() };
    let text = CString::new(name).map_err(|_| missing())?;
    #[expect(unsafe_code, reason = "if_nametoindex")]
    // SAFETY: `text` ends with a zero byte and lives through the call.
    let index = unsafe { libc::if_nametoindex(text.as_ptr()) };
    match c_int::try_from(index) {
        Ok(index) if index > 0 => Ok(index),
        _ => Err(missing()),
    }
}

/// How frames of an interface begin, where a ring gives them as they are on the wire; `None` for
/// what libpcap has to wrap ("any", 802.11 and others).
pub(super) fn link_type_of(name: &str) -> Result<Option<LinkType>, LiveError> {
    if name == "any" {
        return Ok(None);
    }
    index_of(name)?;
    Ok(match super::interface_state(name).map(|state| state.hardware) {
        // ARPHRD_ETHER, ARPHRD_LOOPBACK (if_arp.h).
        Some(1 | 772) => Some(LinkType::ETHERNET),
        // ARPHRD_NONE (tun), ARPHRD_RAWIP: bare IP packets.
        Some(0xfffe | 519) => Some(LinkType::RAW),
        _ => None,
    })
}

/// Asks the adapter to stamp every frame, and the kernel to hand its stamps on.
fn hardware_stamps(fd: &OwnedFd, name: &str) -> io::Result<()> {
    /// `HWTSTAMP_FILTER_ALL` (net_tstamp.h).
    const EVERY_FRAME: c_int = 1;
    /// `SIOCSHWTSTAMP` (sockios.h).
    const SET_STAMPS: libc::Ioctl = 0x89b0;
    /// `SOF_TIMESTAMPING_RAW_HARDWARE` (net_tstamp.h).
    const RAW_HARDWARE: c_int = 1 << 6;
    // struct hwtstamp_config { flags, tx_type, rx_filter }
    let mut config: [c_int; 3] = [0, 0, EVERY_FRAME];
    super::interface::device_call(fd.as_raw_fd(), name, SET_STAMPS, &mut config)?;
    set(fd, libc::SOL_PACKET, libc::PACKET_TIMESTAMP, &RAW_HARDWARE)
}

fn attach(fd: &OwnedFd, program: &[Instruction]) -> io::Result<()> {
    let mut filters: Vec<libc::sock_filter> = program
        .iter()
        .map(|one| libc::sock_filter {
            code: one.code,
            jt: one.jump_true,
            jf: one.jump_false,
            k: one.constant,
        })
        .collect();
    let program = libc::sock_fprog {
        len: u16::try_from(filters.len()).unwrap_or(u16::MAX),
        filter: filters.as_mut_ptr(),
    };
    set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

fn set<T>(fd: &OwnedFd, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    let raw: RawFd = fd.as_raw_fd();
    #[expect(unsafe_code, reason = "setsockopt")]
    // SAFETY: the kernel reads `size_of::<T>()` bytes of `value`; every caller hands over the
    // structure that the option takes.
    let done = unsafe {
        libc::setsockopt(raw, level, option, std::ptr::from_ref(value).cast(), length::<T>())
    };
    check(done)
}

fn length<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `AF_PACKET` in the width of the address's field.
const ADDRESS_FAMILY: u16 = 17;

/// `ETH_P_ALL` (if_ether.h).
const ALL_PROTOCOLS: u16 = 3;

/// What the kernel is told of frames' size: any divisor of a block does.
const FRAME_BYTES: u32 = 2048;
