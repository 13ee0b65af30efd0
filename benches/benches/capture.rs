//! What reading a capture file costs, a frame: our reader, gzip and zstd, and libpcap's.
//!
//! Figures to hold against, of the prototype over the same kind of mix: 115 ns for a walk over
//! reads of 256 KiB, of which 111 are the kernel's copying; libpcap 182.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use criterion::{Criterion, Throughput};
use dwell_benches::ThreadCpu;
use dwell_capture::FileSource;
use dwell_testkit::PcapWriter;
use dwell_testkit::traffic::{Mix, Traffic};

/// Frames of the file: about 45 MB of the internet mix.
const FRAMES: usize = 50_000;

fn main() {
    let mut criterion = dwell_benches::criterion();
    if let Err(error) = read(&mut criterion) {
        eprintln!("capture: {error}");
    }
    criterion.final_summary();
}

fn read(criterion: &mut Criterion<ThreadCpu>) -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let plain = folder.path().join("internet.pcap");
    let mut writer = PcapWriter::new(BufWriter::new(File::create(&plain)?))?;
    for frame in Traffic::new(Mix::Internet, 1).take(FRAMES) {
        writer.write(&frame)?;
    }
    drop(writer);
    let bytes = std::fs::read(&plain)?;
    let gzip = folder.path().join("internet.pcap.gz");
    let level = flate2::Compression::default();
    let mut encoder = flate2::write::GzEncoder::new(File::create(&gzip)?, level);
    encoder.write_all(&bytes)?;
    encoder.finish()?;
    let zstd = folder.path().join("internet.pcap.zst");
    std::fs::write(&zstd, zstd::stream::encode_all(bytes.as_slice(), 3)?)?;

    let mut group = criterion.benchmark_group("capture");
    group.throughput(Throughput::Elements(FRAMES as u64)).sample_size(20);
    for (name, path) in [("plain", &plain), ("gzip", &gzip), ("zstd", &zstd)] {
        group.bench_function(name, |bencher| bencher.iter(|| black_box(frames(path))));
    }
    group.bench_function("libpcap", |bencher| bencher.iter(|| black_box(with_libpcap(&plain))));
    group.finish();
    Ok(())
}

/// Frames of a file; fewer than there are would be seen as a wonder of speed.
fn frames(path: &Path) -> usize {
    let mut frames = 0;
    if let Ok(mut source) = FileSource::open(path) {
        while let Ok(Some(frame)) = source.next_frame() {
            frames += usize::from(!frame.bytes.is_empty());
        }
    }
    assert_eq!(frames, FRAMES, "{}", path.display());
    frames
}

fn with_libpcap(path: &Path) -> usize {
    let mut frames = 0;
    if let Ok(mut capture) = pcap::Capture::from_file(path) {
        while let Ok(packet) = capture.next_packet() {
            frames += usize::from(!packet.data.is_empty());
        }
    }
    assert_eq!(frames, FRAMES, "libpcap: {}", path.display());
    frames
}
