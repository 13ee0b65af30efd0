//! Waiting for packets on several descriptors at once. Reads no packets.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// Waits until one of `descriptors` has something, or `limit` is over; gives those that report an
/// error, which is cleared.
///
/// With no descriptor at all it just waits. A signal ends the wait early.
pub(super) fn wait(descriptors: &[RawFd], limit: Duration) -> Vec<(RawFd, io::Error)> {
    let mut polled: Vec<libc::pollfd> = descriptors
        .iter()
        .map(|&fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 })
        .collect();
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    let count = libc::nfds_t::try_from(polled.len()).unwrap_or(0);
    #[expect(unsafe_code, reason = "poll")]
    // SAFETY: `polled` has `count` entries and lives through the call.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), count, limit_ms) };
    if ready <= 0 {
        return Vec::new();
    }
    let failed = polled.iter().filter(|one| one.revents & (libc::POLLERR | libc::POLLHUP) != 0);
    failed.filter_map(|one| Some((one.fd, pending_error(one.fd)?))).collect()
}

/// The error that a socket holds, if it does; asking clears it.
fn pending_error(fd: RawFd) -> Option<io::Error> {
    let mut error: libc::c_int = 0;
    let mut len = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0);
    #[expect(unsafe_code, reason = "getsockopt")]
    // SAFETY: the kernel writes at most `len` bytes, the size of `error`.
    let got = unsafe {
        let place = std::ptr::from_mut(&mut error).cast();
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, place, &raw mut len)
    };
    (got == 0 && error != 0).then(|| io::Error::from_raw_os_error(error))
}
