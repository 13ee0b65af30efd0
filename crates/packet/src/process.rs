//! The process behind a frame, as Apple's captures note it. Knows no flows.

/// A process that a capture names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Process identifier on the capturing host.
    pub pid: u32,
    /// Command name as noted, maybe cut (16 bytes in a PKTAP header).
    pub name: Vec<u8>,
    /// Path of its executable, where noted.
    pub path: Vec<u8>,
}

impl Process {
    /// Takes over another pid and name. Never allocates once the name's buffer is long enough.
    pub(crate) fn set(&mut self, pid: u32, name: &[u8]) {
        self.pid = pid;
        self.name.clear();
        self.name.extend_from_slice(name);
        self.path.clear();
    }
}

/// Which way a frame went, as seen from the capturing host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heading {
    /// To the capturing host: the process is the receiver's.
    Inbound,
    /// From the capturing host: the process is the sender's.
    Outbound,
}

impl Heading {
    /// By two bits that both PKTAP flags and pcapng's `epb_flags` have: 1 in, 2 out.
    #[must_use]
    pub const fn of_bits(bits: u32) -> Option<Self> {
        match bits & 3 {
            1 => Some(Self::Inbound),
            2 => Some(Self::Outbound),
            _ => None,
        }
    }
}

/// The processes behind one frame, borrowed from whoever keeps them: 24 bytes, copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processes<'a> {
    /// The owner of the socket.
    pub owner: Option<&'a Process>,
    /// The process on whose behalf the owner acts, if that is another one: it counts.
    pub effective: Option<&'a Process>,
    /// Whose they are: the sender's or the receiver's, where noted.
    pub heading: Option<Heading>,
}

impl Processes<'_> {
    /// Whether no process is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.owner.is_none() && self.effective.is_none()
    }
}

/// What a PKTAP header says of processes, borrowed from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PktapProcesses<'a> {
    pub(crate) owner: Option<(u32, &'a [u8])>,
    pub(crate) effective: Option<(u32, &'a [u8])>,
    pub(crate) heading: Option<Heading>,
}

impl<'a> PktapProcesses<'a> {
    /// The processes of a whole version 1 header (`struct pktap_header`, bsd/net/pktap.h).
    pub(crate) fn of_v1(header: &'a [u8]) -> Self {
        Self {
            owner: process(pid(header, 52), name(header, 56)),
            effective: process(pid(header, 84), name(header, 88)),
            heading: heading(header),
        }
    }

    /// The processes of a whole version 2 header (`struct pktap_v2_hdr`): names stand where its
    /// offsets say, zero for none.
    pub(crate) fn of_v2(header: &'a [u8]) -> Self {
        let at = |offset: usize| header.get(offset).copied().map_or(0, usize::from);
        Self {
            owner: process(pid(header, 28), name(header, at(4))),
            effective: process(pid(header, 32), name(header, at(5))),
            heading: heading(header),
        }
    }
}

/// A process, unless the header names none: no pid, or pid 0 without a name.
fn process(pid: Option<u32>, name: &[u8]) -> Option<(u32, &[u8])> {
    let pid = pid.filter(|&pid| pid != NO_PID && (pid != 0 || !name.is_empty()))?;
    Some((pid, name))
}

/// Of the flags, which stand at the same place in both versions.
fn heading(header: &[u8]) -> Option<Heading> {
    Heading::of_bits(word(header, 36)?)
}

fn pid(header: &[u8], at: usize) -> Option<u32> {
    word(header, at)
}

fn word(header: &[u8], at: usize) -> Option<u32> {
    header.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// A name of at most [`MAX_NAME`] bytes up to its NUL; offset zero stands for none.
fn name(header: &[u8], at: usize) -> &[u8] {
    if at == 0 {
        return &[];
    }
    let rest = header.get(at..).unwrap_or_default();
    let rest = rest.get(..MAX_NAME).unwrap_or(rest);
    rest.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Minus one: the kernel knows no process.
const NO_PID: u32 = u32::MAX;

/// `PKTAP_MAX_COMM_SIZE`: `MAXCOMLEN` and a NUL.
const MAX_NAME: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_without_process_names_none() {
        let mut header = [0; 156];
        let none = PktapProcesses::of_v1(&header);
        assert!(none.owner.is_none() && none.effective.is_none());
        header[52..56].copy_from_slice(&[0xff; 4]);
        header[56] = b'x';
        assert!(PktapProcesses::of_v1(&header).owner.is_none());
    }

    #[test]
    fn a_name_without_nul_ends_at_its_field() {
        let mut header = [b'a'; 108];
        header[52..56].copy_from_slice(&[7, 0, 0, 0]);
        let owner = PktapProcesses::of_v1(&header).owner;
        assert_eq!(owner, Some((7, &[b'a'; 17][..])));
    }

    #[test]
    fn offsets_beyond_the_header_name_nothing() {
        let mut header = [0; 40];
        header[4] = 200;
        header[28] = 9;
        assert_eq!(PktapProcesses::of_v2(&header).owner, Some((9, &[][..])));
    }
}
