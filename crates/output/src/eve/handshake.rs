//! `event_type: tls`, `quic` and `http`: what the handshake or the request said.

use dwell_engine::{HandshakeRecord, HttpRecord};
use dwell_proto::Handshake;
use serde::{Serialize, Serializer};

use super::EveContext;
use super::common::{Dwell, Envelope, Known};
use super::value::{Hex16, Time, Wire};
use dwell_packet::Timestamp;

#[derive(Debug, Serialize)]
pub(crate) struct TlsLine<'a> {
    #[serde(rename = "+envelope")]
    envelope: Envelope<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quic: Option<Tls<'a>>,
    dwell: Dwell<'a, HelloFields<'a>>,
}

#[derive(Debug, Serialize)]
struct Tls<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sni: Option<Wire<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    ja3: Ja3<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ja3s: Option<Ja3<'a>>,
    ja4: &'a str,
    #[serde(serialize_with = "names")]
    client_alpns: &'a [Vec<u8>],
    #[serde(skip_serializing_if = "Option::is_none")]
    server_alpns: Option<[Wire<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuerdn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notbefore: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notafter: Option<Time>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    subjectaltname: &'a [String],
}

#[derive(Debug, Serialize)]
struct Ja3<'a> {
    hash: &'a str,
    string: &'a str,
}

#[derive(Debug, Serialize)]
struct HelloFields<'a> {
    hellos: u32,
    ja4_stable: &'a str,
    ech: bool,
    resumption: bool,
    early_data: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cipher: Option<Hex16>,
}

/// The line of a handshake: `tls`, or `quic` where QUIC carried it.
pub(crate) fn tls_line<'a>(
    context: &'a EveContext,
    record: &'a HandshakeRecord,
    known: Option<Known<'a>>,
) -> TlsLine<'a> {
    let (event_type, quic) = match record.hello.handshake {
        Handshake::Tls => ("tls", false),
        Handshake::Dtls => ("tls", false),
        Handshake::Quic => ("quic", true),
    };
    let envelope = Envelope::new(context, event_type, record.ts)
        .of_flow(&record.identity, known)
        .at_frame(record.frame);
    let fields = tls(record);
    let (tls, quic) = if quic { (None, Some(fields)) } else { (Some(fields), None) };
    let hello = &record.hello;
    let more = HelloFields {
        hellos: record.hellos,
        ja4_stable: &hello.stable,
        ech: hello.ech,
        resumption: hello.resumption,
        early_data: hello.early_data,
        cipher: record.answer.as_ref().map(|answer| Hex16(answer.cipher)),
    };
    TlsLine { envelope, tls, quic, dwell: Dwell::new(&record.identity, known, more) }
}

fn tls(record: &HandshakeRecord) -> Tls<'_> {
    let hello = &record.hello;
    let answer = record.answer.as_ref();
    let certificate = record.certificate.as_ref();
    let server_alpn = answer.and_then(|answer| answer.alpn.as_deref());
    let seconds = |s: i64| Time(Timestamp::from_parts(u64::try_from(s).unwrap_or(0), 0));
    Tls {
        sni: hello.server_name.as_deref().map(Wire),
        version: answer.map(|answer| Version(answer.version)),
        ja3: Ja3 { hash: &hello.ja3, string: &hello.ja3_string },
        ja3s: answer.map(|answer| Ja3 { hash: &answer.ja3s, string: &answer.ja3s_string }),
        ja4: &hello.ja4,
        client_alpns: &hello.alpn,
        server_alpns: server_alpn.map(|name| [Wire(name)]),
        subject: certificate.map(|facts| &*facts.subject),
        issuerdn: certificate.map(|facts| &*facts.issuer),
        serial: certificate.map(|facts| &*facts.serial),
        fingerprint: certificate.map(|facts| &*facts.sha256),
        notbefore: certificate.map(|facts| seconds(facts.not_before_s)),
        notafter: certificate.map(|facts| seconds(facts.not_after_s)),
        subjectaltname: certificate.map(|facts| &*facts.names).unwrap_or_default(),
    }
}

/// Serialises names of the wire as a list.
fn names<S: Serializer>(names: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(|name| Wire(name)))
}

/// A protocol version as EVE writes it.
#[derive(Debug)]
struct Version(u16);

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = match self.0 {
            0x0300 => "SSLv3",
            0x0301 => "TLS 1.0",
            0x0302 => "TLS 1.1",
            0x0303 => "TLS 1.2",
            0x0304 => "TLS 1.3",
            0xfeff => "DTLS 1.0",
            0xfefd => "DTLS 1.2",
            0xfefc => "DTLS 1.3",
            other => return Hex16(other).serialize(serializer),
        };
        serializer.serialize_str(name)
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct HttpLine<'a> {
    #[serde(rename = "+envelope")]
    envelope: Envelope<'a>,
    http: Http<'a>,
    dwell: Dwell<'a, HttpFields>,
}

#[derive(Debug, Serialize)]
struct Http<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<Wire<'a>>,
    url: Wire<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_user_agent: Option<Wire<'a>>,
    http_method: Wire<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

#[derive(Debug, Serialize)]
struct HttpFields {
    websocket: bool,
}

/// The line of an HTTP request.
pub(crate) fn http_line<'a>(
    context: &'a EveContext,
    record: &'a HttpRecord,
    known: Option<Known<'a>>,
) -> HttpLine<'a> {
    let envelope = Envelope::new(context, "http", record.ts)
        .of_flow(&record.identity, known)
        .at_frame(record.frame);
    let request = &record.request;
    HttpLine {
        envelope,
        http: Http {
            hostname: request.host.as_deref().map(Wire),
            url: Wire(&request.target),
            http_user_agent: request.user_agent.as_deref().map(Wire),
            http_method: Wire(&request.method),
            status: record.response.as_ref().map(|response| response.status),
        },
        dwell: Dwell::new(&record.identity, known, HttpFields { websocket: request.websocket }),
    }
}
