//! What the inspectors find out, as plain values.

use crate::{dhcp, dns};

/// Which side of a flow sent some bytes, as far as the caller knows. Only a label: who is the TLS
/// or HTTP client shows in the facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The side believed to have opened the flow.
    Originator,
    /// The side believed to have answered.
    Responder,
}

impl Sender {
    /// The other side.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Originator => Self::Responder,
            Self::Responder => Self::Originator,
        }
    }
}

/// One fact and the side whose bytes showed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// Who sent it.
    pub from: Sender,
    /// What it is.
    pub fact: Fact,
}

/// What was learnt of a flow.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fact {
    /// A TLS, QUIC or DTLS ClientHello, once for each distinct hello.
    ClientHello(Box<ClientHello>),
    /// A ServerHello, HelloRetryRequest included.
    ServerHello(Box<ServerHello>),
    /// The server's leaf certificate (TLS 1.2 and earlier send it in the clear).
    Certificate(Box<CertificateFacts>),
    /// An SSLv2-format hello: no JA3 or JA4 is defined for it.
    SslV2Hello {
        /// The version it offers.
        version: u16,
    },
    /// An HTTP/1 request head.
    HttpRequest(Box<HttpRequest>),
    /// An HTTP/1 response head.
    HttpResponse(Box<HttpResponse>),
    /// The HTTP/2 connection preface in the clear (RFC 9113, section 3.4).
    Http2Preface,
    /// Something that comes before TLS on the same connection.
    Preamble(Preamble),
    /// A Google QUIC client hello (Q024 to Q050): no JA3 or JA4 is defined for it.
    GoogleQuicHello {
        /// The `SNI` tag.
        server_name: Option<Vec<u8>>,
        /// The `UAID` tag.
        user_agent: Option<Vec<u8>>,
        /// The version as its four bytes, `Q043`.
        version: [u8; 4],
    },
    /// A DNS query or response.
    Dns(Box<dns::Message>),
    /// A DHCP message.
    Dhcp(Box<dhcp::Message>),
    /// Something that a well-behaved peer does not send; counted, and kept as evidence.
    Anomaly(Anomaly),
}

/// Which handshake carried a hello: the first letter of JA4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handshake {
    /// TLS over TCP.
    Tls,
    /// TLS in QUIC.
    Quic,
    /// DTLS.
    Dtls,
}

/// A ClientHello's fields and fingerprints, all computed once.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientHello {
    /// What carried it.
    pub handshake: Handshake,
    /// `legacy_version` (RFC 8446, section 4.1.2).
    pub legacy_version: u16,
    /// The version JA4 names: the highest offered.
    pub offered_version: u16,
    /// `server_name`: the first host name, as sent; `None` if absent or empty.
    pub server_name: Option<Vec<u8>>,
    /// `application_layer_protocol_negotiation`: the names offered, as sent.
    pub alpn: Vec<Vec<u8>>,
    /// JA3: the MD5 of `ja3_string`, lower hex.
    pub ja3: String,
    /// The string that JA3 hashes.
    pub ja3_string: String,
    /// JA4.
    pub ja4: String,
    /// JA4 with lists in place of hashes.
    pub ja4_r: String,
    /// Our own normalised variant: JA4 without the extensions that come and go with resumption
    /// (0015, 0023, 0029, 002a), count and hash included.
    pub stable: String,
    /// Whether `encrypted_client_hello` is present, so that the name may be a public one.
    pub ech: bool,
    /// Whether a pre-shared key is offered (`pre_shared_key`, or a session ticket with content).
    pub resumption: bool,
    /// Whether early data is announced.
    pub early_data: bool,
    /// The client random.
    pub random: [u8; 32],
    /// Which hello of the connection this is, from 1 (a second follows a HelloRetryRequest).
    pub number: u32,
    /// The QUIC version on the wire, if QUIC carried it.
    pub quic_version: Option<u32>,
    /// What is wrong with the hello; each is also a fact of its own.
    pub anomalies: Vec<Anomaly>,
}

/// A ServerHello's fields and fingerprint.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerHello {
    /// What carried it.
    pub handshake: Handshake,
    /// The negotiated version (`supported_versions` if present, else `legacy_version`).
    pub version: u16,
    /// The cipher suite chosen.
    pub cipher: u16,
    /// The ALPN name chosen, where it is in the clear.
    pub alpn: Option<Vec<u8>>,
    /// JA3S: the MD5 of `ja3s_string`, lower hex.
    pub ja3s: String,
    /// The string that JA3S hashes.
    pub ja3s_string: String,
    /// Whether this is a HelloRetryRequest.
    pub retry_request: bool,
    /// Number of the ClientHello that it answers, from 1.
    pub answers: u32,
    /// Whether the structure breaks; what could be read is here.
    pub malformed: bool,
}

impl ServerHello {
    /// The cipher suite's name in the IANA registry.
    #[must_use]
    pub fn cipher_name(&self) -> Option<&'static str> {
        tls_parser::TlsCipherSuite::from_id(self.cipher).map(|suite| suite.name)
    }
}

/// Facts of a server's leaf certificate (RFC 5280).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Subject, RFC 4514 style.
    pub subject: String,
    /// Issuer, RFC 4514 style.
    pub issuer: String,
    /// DNS names and addresses of the subject alternative name, at most 64.
    pub names: Vec<String>,
    /// Serial number, lower hex.
    pub serial: String,
    /// Start of validity, seconds since 1970-01-01 UTC.
    pub not_before_s: i64,
    /// End of validity, seconds since 1970-01-01 UTC.
    pub not_after_s: i64,
    /// SHA-256 of the DER bytes, lower hex.
    pub sha256: String,
}

/// An HTTP/1 request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Method.
    pub method: Vec<u8>,
    /// Request target, capped.
    pub target: Vec<u8>,
    /// `Host`.
    pub host: Option<Vec<u8>>,
    /// `User-Agent`, capped.
    pub user_agent: Option<Vec<u8>>,
    /// Whether `Upgrade: websocket` is asked.
    pub websocket: bool,
}

/// An HTTP/1 response head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// `Server`, capped.
    pub server: Option<Vec<u8>>,
}

/// What preceded TLS on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preamble {
    /// An HTTP CONNECT to this target.
    Connect {
        /// `host:port` as sent.
        target: Vec<u8>,
    },
    /// A SOCKS request to this target.
    Socks {
        /// 4 or 5.
        version: u8,
        /// `host:port`.
        target: Vec<u8>,
    },
    /// A PROXY protocol header: the connection's real client.
    Proxy {
        /// 1 or 2.
        version: u8,
        /// `address:port` of the client behind the proxy, if said.
        client: Option<Vec<u8>>,
    },
    /// A protocol that switches to TLS by a command or request of its own.
    StartTls(&'static str),
}

/// Oddities of a byte stream or handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Anomaly {
    /// A ClientHello whose structure breaks; what could be read is in its own fact.
    MalformedClientHello,
    /// A `server_name` that is not one plain host name or address: several, none, odd bytes.
    OddServerName,
    /// A ClientHello with the same extension twice (RFC 8446, section 4.2, forbids it).
    RepeatedExtension,
    /// A ServerHello whose structure breaks.
    MalformedServerHello,
    /// An empty handshake record, or an alert in front of a hello (RFC 8446, sections 5.1 and 6).
    OddRecord,
    /// A handshake message that claims more than is kept.
    OversizedHandshake,
    /// A certificate that is not valid DER.
    MalformedCertificate,
    /// A QUIC or DTLS handshake message of which a part never came.
    IncompleteHandshake,
    /// Two copies of the same CRYPTO or DTLS bytes differ.
    ConflictingHandshakeBytes,
    /// A QUIC Initial that looks right but does not decrypt.
    UndecryptableInitial,
    /// An HTTP head that is too long or breaks the grammar.
    MalformedHttp,
    /// An HTTP request that names two different hosts.
    ConflictingHosts,
    /// Bytes that began like a TLS hello and went on as something else.
    HandshakeAbandoned,
}
