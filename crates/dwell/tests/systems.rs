//! Operating systems by their SYN on the corpus, beside libpcap's own reading of the same headers.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use dwell_attribution::{Os, os};
use dwell_capture::{FileSource, Filter};
use dwell_packet::{DecodeConfig, Decoder, Encapsulation, TcpFlags, TransportHeader};

/// The macOS rule measured on two billion labelled SYNs, as a libpcap expression: window 65535,
/// options mss, nop, ws, nop, nop, ts, sok; at most 64 hops left.
const APPLE: &str = "ip and tcp[13] & 0x12 == 2 and tcp[14:2] == 65535 and ip[8] <= 64 \
                     and tcp[20] == 2 and tcp[24:2] == 0x0103 and tcp[28:2] == 0x0101 \
                     and tcp[30] == 8 and tcp[40] == 4";

fn corpus(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus").join(folder);
    if !path.is_dir() {
        eprintln!("systems: SKIPPED: NO CORPUS at {}", path.display());
        return None;
    }
    Some(path)
}

fn captures(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            captures(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// SYNs of every capture under a folder: ours, and whether libpcap finds the macOS rule in them.
fn syns(folder: &Path) -> Vec<(Option<Os>, bool)> {
    let mut paths = Vec::new();
    captures(folder, &mut paths);
    paths.sort();
    let mut filter = Filter::new(APPLE).unwrap();
    let mut found = Vec::new();
    for path in paths {
        let Ok(mut source) = FileSource::open(&path) else { continue };
        let mut decoder = Decoder::new(DecodeConfig::default());
        while let Ok(Some(frame)) = source.next_frame() {
            let Ok(pdu) = decoder.decode(frame) else { continue };
            let TransportHeader::Tcp(tcp) = pdu.header else { continue };
            let opens = tcp.flags.contains(TcpFlags::SYN) && !tcp.flags.contains(TcpFlags::ACK);
            // libpcap reads the outermost packet, and offsets in `ip` only.
            if !opens
                || !pdu.tuple.src.addr.is_ipv4()
                || pdu.encapsulation != Encapsulation::default()
            {
                continue;
            }
            let ours = os::from_syn(tcp.flags, tcp.window, pdu.ip.ttl, tcp.options);
            let oracle = filter.matches(&frame).unwrap_or(false);
            found.push((ours.map(|guess| guess.os), oracle));
        }
    }
    found
}

#[test]
fn every_client_of_ours_is_linux() {
    let Some(folder) = corpus("clients") else { return };
    let syns = syns(&folder);
    let linux = syns.iter().filter(|(os, _)| *os == Some(Os::Linux)).count();
    println!("systems: clients: {linux}/{} SYNs are Linux", syns.len());
    assert!(linux > 30 && linux == syns.len());
}

#[test]
fn the_macos_rule_names_apple_and_nothing_else_does() {
    let Some(folder) = corpus("ja/captures") else { return };
    let syns = syns(&folder);
    let apple = |os: &Option<Os>| matches!(os, Some(Os::Macos | Os::Ios));
    let rule = syns.iter().filter(|(_, rule)| *rule).count();
    let right = syns.iter().filter(|(os, rule)| *rule && apple(os)).count();
    let macos = syns.iter().filter(|(os, rule)| *rule && *os == Some(Os::Macos)).count();
    let confused = syns.iter().filter(|(os, rule)| !*rule && apple(os)).count();
    println!(
        "systems: {} SYNs, {right}/{rule} by the macOS rule are Apple's ({macos} macOS, {} iOS), \
         {confused} others are",
        syns.len(),
        right - macos,
    );
    assert!(rule > 20 && right == rule && confused == 0);
}
