//! Capture files as the command line names them: opening, progress, errors, interruption.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use dwell_capture::{CaptureError, Chunk, FileSource, Filter};
use dwell_packet::Frame;
use indicatif::{ProgressBar, ProgressStyle};

use crate::Exit;
use crate::workers::Source;

/// How many frames pass between two looks at the progress bar and the interrupt flag.
const LOOK_EVERY: u64 = 4096;

/// The name that stands for standard input.
const STDIN: &str = "-";

/// Reads captures frame by frame and remembers how badly it went.
pub(crate) struct Inputs {
    interrupted: Arc<AtomicBool>,
    progress: bool,
    worst: Exit,
}

impl Inputs {
    /// Ready to read; interrupts are caught from here on.
    ///
    /// # Errors
    /// When the signal handler cannot be set.
    pub(crate) fn new(progress: bool) -> anyhow::Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // A second signal ends the process at once.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&interrupted))
                .context("cannot catch signals")?;
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .context("cannot catch signals")?;
        }
        let progress = progress && io::stderr().is_terminal();
        Ok(Self { interrupted, progress, worst: Exit::Success })
    }

    /// Opens one capture; a file that cannot be opened is one line on standard error.
    pub(crate) fn open(&mut self, path: &Path) -> Option<FileSource> {
        let opened = if path == Path::new(STDIN) {
            FileSource::from_reader("standard input", Box::new(io::stdin()))
        } else {
            FileSource::open(path)
        };
        match opened {
            Ok(source) => {
                let Some(link_type) = source.unsupported_link_type() else { return Some(source) };
                let name = dwell_output::printable(path.to_string_lossy().as_bytes());
                eprintln!("dwell: {name}: link type {} is not supported", link_type.0);
                self.worst = self.worst.max(Exit::CannotOpen);
                None
            }
            Err(error) => {
                self.report(&error);
                None
            }
        }
    }

    /// Gives every frame of `source` to `take` until the end, damage or an interrupt.
    ///
    /// # Errors
    /// What `take` fails with. Damage is reported and remembered, and is no error: what was read
    /// before it counts.
    pub(crate) fn read(
        &mut self,
        path: &Path,
        source: &mut FileSource,
        mut take: impl FnMut(Frame<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let bar = self.bar(path, source);
        let mut frames = 0u64;
        loop {
            match source.next_frame() {
                Ok(Some(frame)) => take(frame)?,
                Ok(None) => break,
                Err(error) => {
                    bar.suspend(|| self.report(&error));
                    break;
                }
            }
            frames += 1;
            if frames.is_multiple_of(LOOK_EVERY) {
                bar.set_position(source.position());
                if self.is_interrupted() {
                    break;
                }
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// The frames of `files` by the chunk, those that `filter` matches.
    pub(crate) fn chunks<'i>(
        &'i mut self,
        files: &'i [PathBuf],
        filter: Option<Filter>,
    ) -> Chunks<'i> {
        Chunks { inputs: self, files, filter, next: 0, open: None }
    }

    /// Whether the user asked to stop.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// How the command should end, as far as reading went.
    pub(crate) fn exit(&self) -> Exit {
        if self.is_interrupted() { Exit::Interrupted } else { self.worst }
    }

    fn report(&mut self, error: &CaptureError) {
        eprintln!("dwell: {}", chain(error));
        let exit = match error {
            CaptureError::Damaged { .. } | CaptureError::Read { .. } => Exit::Damaged,
            _ => Exit::CannotOpen,
        };
        self.worst = self.worst.max(exit);
    }

    fn bar(&self, path: &Path, source: &FileSource) -> ProgressBar {
        if !self.progress {
            return ProgressBar::hidden();
        }
        let bar = source.len().map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let template = "{msg} {bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.with_message(path.display().to_string())
    }
}

/// Captures read one after the other by the chunk.
pub(crate) struct Chunks<'i> {
    inputs: &'i mut Inputs,
    files: &'i [PathBuf],
    filter: Option<Filter>,
    /// Number of the file to open next.
    next: usize,
    open: Option<(FileSource, ProgressBar)>,
}

impl Source for Chunks<'_> {
    /// Damage is reported and remembered, and is no error: what was read before it counts.
    fn next(&mut self, chunk: &mut Chunk) -> anyhow::Result<Option<usize>> {
        while !self.inputs.is_interrupted() {
            let Some((source, bar)) = &mut self.open else {
                let Some(path) = self.files.get(self.next) else { return Ok(None) };
                self.next += 1;
                self.open = self.inputs.open(path).map(|source| {
                    let bar = self.inputs.bar(path, &source);
                    (source, bar)
                });
                continue;
            };
            match source.next_chunk(chunk) {
                Ok(true) => {
                    bar.set_position(source.position());
                    if let Some(filter) = &mut self.filter {
                        chunk.try_retain(|frame| filter.matches(frame))?;
                    }
                    return Ok(Some(self.next - 1));
                }
                Ok(false) => {}
                Err(error) => bar.suspend(|| self.inputs.report(&error)),
            }
            bar.finish_and_clear();
            self.open = None;
        }
        Ok(None)
    }
}

/// The captures in the order of their first packets, so that a rotated set is read as one.
/// Files that cannot be opened are reported and left out.
pub(crate) fn in_time_order(inputs: &mut Inputs, paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut ordered: Vec<(Option<dwell_packet::Timestamp>, &PathBuf)> = Vec::new();
    for path in paths {
        // Standard input cannot be looked at twice: it keeps its place as the first.
        if path == Path::new(STDIN) || paths.len() == 1 {
            ordered.push((None, path));
            continue;
        }
        let Some(mut source) = inputs.open(path) else { continue };
        let first = source.next_frame().ok().flatten().map(|frame| frame.ts);
        ordered.push((first, path));
    }
    ordered.sort_by_key(|(first, _)| *first);
    ordered.into_iter().map(|(_, path)| path.clone()).collect()
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
