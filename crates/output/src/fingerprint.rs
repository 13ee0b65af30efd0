//! Rows of `dwell fingerprint`: JSON lines whose fields other tools read, and a table for people.

use dwell_engine::HelloRow;
use dwell_proto::Handshake;
use serde::Serialize;

use crate::escape::printable;

/// One ClientHello as a JSON line. The field names are fixed.
#[derive(Debug, Serialize)]
pub struct FingerprintRow<'a> {
    pcap: &'a str,
    frame: u64,
    transport: &'static str,
    src: String,
    sport: u16,
    dst: String,
    dport: u16,
    hello_no: u32,
    sni: Option<String>,
    alpn: Vec<String>,
    ja3: &'a str,
    ja3_string: &'a str,
    ja3s: Option<&'a str>,
    ja4: &'a str,
    ja4_r: &'a str,
    ech: bool,
}

impl<'a> FingerprintRow<'a> {
    /// The row of one hello in the capture named `pcap`.
    #[must_use]
    pub fn new(pcap: &'a str, row: &'a HelloRow) -> Self {
        let hello = &row.hello;
        Self {
            pcap,
            frame: row.frame,
            transport: transport(hello.handshake),
            src: row.tuple.src.addr.to_string(),
            sport: row.tuple.src.port,
            dst: row.tuple.dst.addr.to_string(),
            dport: row.tuple.dst.port,
            hello_no: hello.number,
            sni: hello.server_name.as_deref().map(printable),
            alpn: hello.alpn.iter().map(|name| printable(name)).collect(),
            ja3: &hello.ja3,
            ja3_string: &hello.ja3_string,
            ja3s: row.ja3s.as_deref(),
            ja4: &hello.ja4,
            ja4_r: &hello.ja4_r,
            ech: hello.ech,
        }
    }

    /// The row as cells of a table: frame, transport, client, server, SNI, ALPN, JA4, JA3.
    #[must_use]
    pub fn cells(&self) -> [String; 8] {
        let sni = match (&self.sni, self.ech) {
            (Some(name), true) => format!("{name} (ECH)"),
            (Some(name), false) => name.clone(),
            (None, _) => "-".to_owned(),
        };
        [
            self.frame.to_string(),
            self.transport.to_owned(),
            endpoint(&self.src, self.sport),
            endpoint(&self.dst, self.dport),
            sni,
            self.alpn.join(","),
            self.ja4.to_owned(),
            self.ja3.to_owned(),
        ]
    }
}

/// The word for what carried a hello: `tcp`, `quic` or `dtls`.
#[must_use]
pub const fn transport(handshake: Handshake) -> &'static str {
    match handshake {
        Handshake::Tls => "tcp",
        Handshake::Quic => "quic",
        Handshake::Dtls => "dtls",
    }
}

fn endpoint(addr: &str, port: u16) -> String {
    if addr.contains(':') { format!("[{addr}]:{port}") } else { format!("{addr}:{port}") }
}
