//! Telemetry while it comes: followed files and Unix sockets. Never blocks; the caller decides when
//! to look.
//!
//! A sensor makes one [`TelemetryListener`], calls [`TelemetryListener::collect`] every epoch, and
//! hands what comes to `Engine::observe`. Everything is bounded: lines a call, peers, bytes a line.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek as _, SeekFrom};
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use dwell_attribution::telemetry::{FeedCounters, Observation, TelemetryError, TelemetryReader};

use super::lines::Lines;
use super::{TelemetrySpec, shown, take_line};

/// Lines taken from one source in one call: a flood waits in the kernel's buffers, then in the
/// sender.
const MAX_LINES: usize = 4096;

/// Senders connected to a stream socket; further ones are turned away.
const MAX_PEERS: usize = 64;

/// Longest datagram taken: one message of one line.
const MAX_DATAGRAM: usize = 256 * 1024;

/// Followed files and Unix sockets.
#[derive(Debug, Default)]
pub(crate) struct TelemetryListener {
    sources: Vec<Source>,
    counters: FeedCounters,
    scratch: Vec<Observation>,
    /// The first errors since the last [`TelemetryListener::take_errors`].
    errors: Vec<TelemetryError>,
}

/// Errors kept for the log between two looks.
const MAX_ERRORS: usize = 16;

#[derive(Debug)]
struct Source {
    spec: TelemetrySpec,
    from: From,
}

#[derive(Debug)]
enum From {
    File(Box<Followed>),
    Datagrams(UnixDatagram, Box<TelemetryReader>),
    Streams(UnixListener, Vec<(Lines, TelemetryReader)>),
}

/// A file that is read as it grows, and opened anew when it is replaced or cut.
#[derive(Debug)]
struct Followed {
    path: PathBuf,
    open: Option<(Lines, u64)>,
    /// Where reading began, in bytes.
    began: u64,
    reader: TelemetryReader,
}

impl TelemetryListener {
    /// Follows a file from its end on.
    pub(crate) fn follow(&mut self, spec: TelemetrySpec) {
        let reader = TelemetryReader::new(shown(&spec.path), spec.kind);
        let mut followed = Followed { path: spec.path.clone(), open: None, began: 0, reader };
        followed.open_at_end();
        self.sources.push(Source { spec, from: From::File(Box::new(followed)) });
    }

    /// Listens on a Unix datagram socket: each datagram is one line, or several.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub(crate) fn listen_datagrams(&mut self, spec: TelemetrySpec) -> anyhow::Result<()> {
        let failed = || format!("telemetry socket {}", shown(&spec.path));
        remove_stale(&spec.path).with_context(failed)?;
        let socket = UnixDatagram::bind(&spec.path).with_context(failed)?;
        socket.set_nonblocking(true).with_context(failed)?;
        let reader = Box::new(TelemetryReader::new(shown(&spec.path), spec.kind));
        self.sources.push(Source { spec, from: From::Datagrams(socket, reader) });
        Ok(())
    }

    /// Listens on a Unix stream socket for senders of lines.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub(crate) fn listen_streams(&mut self, spec: TelemetrySpec) -> anyhow::Result<()> {
        let failed = || format!("telemetry socket {}", shown(&spec.path));
        remove_stale(&spec.path).with_context(failed)?;
        let socket = UnixListener::bind(&spec.path).with_context(failed)?;
        socket.set_nonblocking(true).with_context(failed)?;
        self.sources.push(Source { spec, from: From::Streams(socket, Vec::new()) });
        Ok(())
    }

    /// Gives what has come since the last call to `take`. Never blocks.
    pub(crate) fn collect(&mut self, mut take: impl FnMut(Observation, Option<&Arc<[IpAddr]>>)) {
        for source in &mut self.sources {
            let mut sink = Sink {
                counters: &mut self.counters,
                errors: &mut self.errors,
                scratch: &mut self.scratch,
            };
            source.from.collect(&source.spec, &mut sink);
            for observation in self.scratch.drain(..) {
                self.counters.observations += 1;
                take(observation, source.spec.hosts.as_ref());
            }
        }
    }

    /// What was counted so far.
    pub(crate) const fn counters(&self) -> FeedCounters {
        self.counters
    }

    /// The first errors since the last call, for the log.
    pub(crate) fn take_errors(&mut self) -> Vec<TelemetryError> {
        std::mem::take(&mut self.errors)
    }
}

/// Where lines of one call go.
struct Sink<'s> {
    counters: &'s mut FeedCounters,
    errors: &'s mut Vec<TelemetryError>,
    scratch: &'s mut Vec<Observation>,
}

impl Sink<'_> {
    fn count(&mut self, outcome: Result<(), TelemetryError>) {
        self.counters.lines += 1;
        if let Err(error) = outcome {
            self.counters.malformed += 1;
            if self.errors.len() < MAX_ERRORS {
                self.errors.push(error);
            }
        }
    }

    /// Takes the whole lines that have come; false when the stream failed.
    fn drain(&mut self, lines: &mut Lines, reader: &mut TelemetryReader) -> bool {
        for _ in 0..MAX_LINES {
            match lines.next_whole_line() {
                Ok(Some(line)) => {
                    let outcome = take_line(reader, line, self.scratch);
                    self.count(outcome);
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

impl From {
    fn collect(&mut self, spec: &TelemetrySpec, sink: &mut Sink<'_>) {
        match self {
            Self::File(followed) => followed.collect(sink),
            Self::Datagrams(socket, reader) => datagrams(socket, reader, sink),
            Self::Streams(socket, peers) => {
                accept(socket, spec, peers, sink);
                peers.retain_mut(|(lines, reader)| sink.drain(lines, reader) && !lines.has_ended());
            }
        }
    }
}

fn datagrams(socket: &UnixDatagram, reader: &mut TelemetryReader, sink: &mut Sink<'_>) {
    let mut datagram = vec![0; MAX_DATAGRAM];
    for _ in 0..MAX_LINES {
        let Ok(len) = socket.recv(&mut datagram) else { return };
        let bytes = datagram.get(..len).unwrap_or_default();
        if len == MAX_DATAGRAM {
            let outcome = Err(reader.refuse("datagram too long"));
            sink.count(outcome);
            continue;
        }
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let outcome = reader.read(line, sink.scratch);
            sink.count(outcome);
        }
    }
}

/// Takes senders in while there is room.
fn accept(
    socket: &UnixListener,
    spec: &TelemetrySpec,
    peers: &mut Vec<(Lines, TelemetryReader)>,
    sink: &mut Sink<'_>,
) {
    for _ in 0..MAX_PEERS {
        let Ok((stream, _)) = socket.accept() else { return };
        if peers.len() >= MAX_PEERS || stream.set_nonblocking(true).is_err() {
            sink.counters.dropped += 1;
            continue;
        }
        peers.push((
            Lines::new(Box::new(stream)),
            TelemetryReader::new(shown(&spec.path), spec.kind),
        ));
    }
}

impl Followed {
    fn open_at_end(&mut self) {
        self.open = self.opened(SeekFrom::End(0)).ok();
    }

    fn opened(&mut self, from: SeekFrom) -> io::Result<(Lines, u64)> {
        let mut file = File::open(&self.path)?;
        self.began = file.seek(from)?;
        let inode = file.metadata()?.ino();
        Ok((Lines::new(Box::new(file)), inode))
    }

    fn collect(&mut self, sink: &mut Sink<'_>) {
        let mut taken = self.began;
        if let Some((lines, _)) = &mut self.open {
            sink.drain(lines, &mut self.reader);
            taken = taken.saturating_add(lines.taken());
        }
        let Ok(now) = fs::metadata(&self.path) else { return };
        let same = self.open.as_ref().is_some_and(|(_, inode)| *inode == now.ino());
        let cut = now.len() < taken;
        if !same || cut {
            // Replaced, cut, or there at last: all of it is new.
            self.open = self.opened(SeekFrom::Start(0)).ok();
        }
    }
}

/// Removes a socket that nobody listens on any more; another kind of file stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(ErrorKind::AlreadyExists, "a file is in the way")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use dwell_attribution::telemetry::Seen;

    use super::*;

    fn line(pid: u32) -> String {
        format!("{{\"pid\":{pid},\"name\":\"x\"}}\n")
    }

    fn spec(path: &Path) -> TelemetrySpec {
        TelemetrySpec { kind: None, hosts: None, path: path.into() }
    }

    fn pids(listener: &mut TelemetryListener) -> Vec<u32> {
        let mut pids = Vec::new();
        listener.collect(|observation, _| {
            if let Seen::Process(process) = observation.seen {
                pids.push(process.pid);
            }
        });
        pids
    }

    #[test]
    fn a_followed_file_gives_what_is_added_also_after_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.ndjson");
        fs::write(&path, line(1)).unwrap();
        let mut listener = TelemetryListener::default();
        listener.follow(spec(&path));
        assert_eq!(pids(&mut listener), [0; 0], "what was there before is not new");
        let mut file = File::options().append(true).open(&path).unwrap();
        let (half, rest) = (line(2), line(3));
        file.write_all(half.as_bytes()).unwrap();
        file.write_all(rest.get(..5).unwrap().as_bytes()).unwrap();
        assert_eq!(pids(&mut listener), [2], "half a line waits");
        file.write_all(rest.get(5..).unwrap().as_bytes()).unwrap();
        assert_eq!(pids(&mut listener), [3]);
        fs::rename(&path, folder.path().join("t.1")).unwrap();
        fs::write(&path, line(4)).unwrap();
        assert_eq!(pids(&mut listener), [0; 0], "the change is noticed");
        assert_eq!(pids(&mut listener), [4]);
        fs::write(&path, "").unwrap();
        pids(&mut listener);
        fs::write(&path, line(5)).unwrap();
        assert_eq!(pids(&mut listener), [5], "a file that was cut is read from its start");
    }

    #[test]
    fn datagrams_and_streams_are_taken_without_blocking() {
        let folder = tempfile::tempdir().unwrap();
        let (datagrams, streams) = (folder.path().join("d"), folder.path().join("s"));
        let mut listener = TelemetryListener::default();
        listener.listen_datagrams(spec(&datagrams)).unwrap();
        listener.listen_streams(spec(&streams)).unwrap();
        assert_eq!(pids(&mut listener), [0; 0]);
        let sender = UnixDatagram::unbound().unwrap();
        sender.send_to(line(1).as_bytes(), &datagrams).unwrap();
        sender.send_to(b"{", &datagrams).unwrap();
        let mut peer = UnixStream::connect(&streams).unwrap();
        peer.write_all(line(2).as_bytes()).unwrap();
        assert_eq!(pids(&mut listener), [1, 2]);
        peer.write_all(line(3).as_bytes()).unwrap();
        drop(peer);
        assert_eq!(pids(&mut listener), [3], "what a sender said before it left counts");
        let counters = listener.counters();
        assert_eq!((counters.lines, counters.malformed), (4, 1));
        assert_eq!(listener.take_errors().len(), 1);
    }

    #[test]
    fn a_crowd_of_senders_is_bounded_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let mut listener = TelemetryListener::default();
        listener.listen_streams(spec(&path)).unwrap();
        let mut peers = Vec::new();
        for _ in 0..MAX_PEERS + 8 {
            peers.push(UnixStream::connect(&path).unwrap());
            pids(&mut listener);
        }
        assert_eq!(listener.counters().dropped, 8);
    }

    #[test]
    fn another_kind_of_file_in_the_way_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "x").unwrap();
        assert!(TelemetryListener::default().listen_streams(spec(&path)).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }
}
