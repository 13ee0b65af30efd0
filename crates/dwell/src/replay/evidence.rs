//! `dwell replay --evidence`: what findings stand on, from captures that are read once more for their
//! packets. Judges nothing.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use dwell_capture::FileSource;
use dwell_detect::Detector;
use dwell_engine::Record;
use dwell_evidence::{FolderLimits, KeeperLimits, Order, Picker};
use dwell_output::{EveContext, Format, encode};
use dwell_packet::DecodeConfig;

use crate::evidence::{Casebook, Ending, Note, Wanted, outlook};

/// Memory for records of sessions that have no finding.
const RECORDS_BYTES: usize = 256 << 20;

/// Frames that are written at a time.
const FRAMES_AT_ONCE: usize = 4096;

/// Collects evidence while a capture is replayed.
pub(super) struct ReplayEvidence {
    casebook: Casebook,
    context: EveContext,
    picker: Picker,
}

impl ReplayEvidence {
    /// Ready to keep a folder for each finding under `root`.
    pub(super) fn open(root: &Path, files: &[PathBuf]) -> anyhow::Result<Self> {
        anyhow::ensure!(
            files.iter().all(|file| file.as_os_str() != "-"),
            "--evidence reads captures twice: standard input cannot be"
        );
        // What a replay finds is kept: it is asked for by name.
        let limits = FolderLimits { total: u64::MAX, keep: None, ..FolderLimits::default() };
        let casebook = Casebook::open(root, (limits, RECORDS_BYTES), Ending::Kept)
            .with_context(|| format!("{}: cannot make", root.display()))?;
        Ok(Self {
            casebook,
            context: EveContext { evidence: Some(root.to_owned()), ..EveContext::default() },
            picker: Picker::new(DecodeConfig::default(), KeeperLimits::default()),
        })
    }

    /// Takes a record that `file` gave; `detector` is as it made it.
    pub(super) fn take(&mut self, file: &Path, detector: &Detector, record: &Record) {
        let context = &mut self.context;
        let note = Note::of(record, || {
            context.pcap_filename = Some(file.to_string_lossy().into_owned());
            encode(Format::Eve, context, record)
        });
        let Some(note) = note else { return };
        for wanted in self.casebook.take(note) {
            match wanted {
                Wanted::Packets(Order::Slice { case, tuple, .. }) => self.picker.want(&tuple, case),
                Wanted::Packets(Order::Stop { .. }) => {}
                Wanted::Outlook { case, finding } => {
                    let outlook = outlook(detector, &finding);
                    self.casebook.add_outlook(case, &finding, &outlook);
                }
            }
        }
    }

    /// Reads the captures again for the packets of findings; says what was kept.
    pub(super) fn finish(mut self, files: &[PathBuf]) {
        let mut frames = Vec::new();
        let files = if self.picker.is_idle() { &[] } else { files };
        for file in files {
            // What is wrong with a file was said when it was read first.
            let Ok(mut source) = FileSource::open(file) else { continue };
            while let Ok(Some(frame)) = source.next_frame() {
                self.picker.pick(frame, &mut frames);
                if frames.len() >= FRAMES_AT_ONCE {
                    self.casebook.add_frames(std::mem::take(&mut frames));
                }
            }
        }
        self.casebook.add_frames(frames);
        let (kept, _) = self.casebook.counters();
        eprintln!(
            "dwell: evidence of {} findings: {} frames and {} records; no room for {} and {}",
            kept.findings, kept.frames, kept.records, kept.frames_refused, kept.records_refused
        );
        if kept.errors > 0 {
            eprintln!("dwell: evidence: {} things could not be written", kept.errors);
        }
    }
}
