//! A capture file as memory: nothing is copied, and pages are asked for ahead. Knows no format.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::{Advice, Mmap, MmapOptions, UncheckedAdvice};

/// Smaller files are read: mapping one costs as much as copying it.
const MIN_BYTES: u64 = 4 << 20;

/// Pages asked for at once. A system call each, so not too few; what is touched later than it is
/// asked for leaves the third-level cache, so not too many.
const AHEAD: usize = 4 << 20;

/// Pages that stay mapped behind what is being read: other threads may still look at them. Those
/// that look later have them brought back.
const BEHIND: usize = 32 << 20;

/// The bytes of a whole file.
#[derive(Debug)]
pub(crate) struct Mapping {
    file: File,
    bytes: Mmap,
    /// Up to where pages were asked for.
    asked: AtomicUsize,
    /// Up to where pages were let go.
    let_go: AtomicUsize,
}

impl Mapping {
    /// Maps `file`, of `len` bytes; `None` when it is too small to be worth it, or cannot be
    /// mapped.
    #[expect(unsafe_code, reason = "memory that other processes can change")]
    pub(crate) fn of(file: &File, len: u64) -> Option<Arc<Self>> {
        if len < MIN_BYTES {
            return None;
        }
        let file = file.try_clone().ok()?;
        let options = MmapOptions::new();
        // SAFETY: the map is private and read-only. Another process that writes to the file can
        // change bytes while they are read, which are then as hostile as any packet's and are
        // copied by nobody who relies on them: no reference is handed out whose value a type
        // depends on. One that cuts the file short is noticed before each part of it is read.
        let bytes = unsafe { options.map(&file) }.ok()?;
        let (asked, let_go) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Some(Arc::new(Self { file, bytes, asked, let_go }))
    }

    /// The bytes of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Sees to it that the pages up to `end` are there, and lets go those far behind `start`.
    ///
    /// # Errors
    /// When the file was cut short since it was mapped: its pages are gone.
    pub(crate) fn ask_for(&self, start: usize, end: usize) -> io::Result<()> {
        let asked = self.asked.load(Ordering::Relaxed);
        if end <= asked {
            return Ok(());
        }
        let len = self.bytes.len();
        if self.file.metadata()?.len() < u64::try_from(len).unwrap_or(u64::MAX) {
            let cut = "the file was cut short while it was read";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, cut));
        }
        let until = end.max(asked.saturating_add(AHEAD)).min(len);
        // A kernel without this advice brings each page when it is touched.
        let _ = self.bytes.advise_range(Advice::PopulateRead, asked, until - asked);
        self.asked.store(until, Ordering::Relaxed);
        self.let_go_before(start.saturating_sub(BEHIND));
        Ok(())
    }

    #[expect(unsafe_code, reason = "pages of a file that are given back")]
    fn let_go_before(&self, end: usize) {
        let from = self.let_go.load(Ordering::Relaxed);
        let end = end - end % AHEAD;
        if end <= from {
            return;
        }
        // SAFETY: the map is of a file and read-only, so that a page that was let go comes back
        // with the same bytes when it is touched.
        let gone = unsafe {
            self.bytes.unchecked_advise_range(UncheckedAdvice::DontNeed, from, end - from)
        };
        if gone.is_ok() {
            self.let_go.store(end, Ordering::Relaxed);
        }
    }
}
