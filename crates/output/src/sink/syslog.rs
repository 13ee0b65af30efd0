//! Records as syslog messages (RFC 5424) over UDP (RFC 5426), TCP (RFC 6587, octet counting) and
//! TLS (RFC 5425).

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs as _, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dwell_packet::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Again, Clock, Failure, Item, Sink};
use crate::SinkError;

/// How long a connection and a write may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest message in one datagram, in bytes: UDP over IPv4 carries 65,507.
const MAX_DATAGRAM: usize = 65_507;

/// A syslog receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogConfig {
    /// How messages travel.
    pub transport: SyslogTransport,
    /// Host and port.
    pub address: String,
    /// Facility (RFC 5424, table 1); 16 is local0.
    pub facility: u8,
    /// HOSTNAME of the messages.
    pub hostname: String,
}

/// How messages travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogTransport {
    /// A datagram each.
    Udp,
    /// One connection.
    Tcp,
    /// One connection, encrypted; the authorities that may sign the receiver's certificate (PEM).
    Tls {
        /// Where they are.
        authorities: PathBuf,
    },
}

/// Sends records to a syslog receiver.
pub struct SyslogSink {
    config: SyslogConfig,
    clock: Clock,
    tls: Option<Arc<ClientConfig>>,
    link: Option<Link>,
    buffer: Vec<u8>,
}

enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl SyslogSink {
    /// A sink that connects when it first has something to send.
    ///
    /// # Errors
    /// Authorities that cannot be read.
    pub fn new(config: SyslogConfig, clock: Clock) -> io::Result<Self> {
        let tls = match &config.transport {
            SyslogTransport::Tls { authorities } => Some(client_config(authorities)?),
            SyslogTransport::Udp | SyslogTransport::Tcp => None,
        };
        Ok(Self { config, clock, tls, link: None, buffer: Vec::new() })
    }

    fn connect(&self) -> io::Result<Link> {
        let addresses = self.config.address.to_socket_addrs()?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            if self.config.transport == SyslogTransport::Udp {
                let any: std::net::SocketAddr =
                    if address.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                return Ok(Link::Udp(socket));
            }
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => return self.over(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn over(&self, stream: TcpStream) -> io::Result<Link> {
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Link::Tcp(stream)) };
        let host = self.config.address.rsplit_once(':').map_or("", |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let name = ServerName::try_from(host)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let connection = ClientConnection::new(Arc::clone(tls), name).map_err(invalid)?;
        let mut stream = StreamOwned::new(connection, stream);
        // The handshake now, not with the first record: a refused certificate loses nothing.
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Link::Tls(Box::new(stream)))
    }

    /// Sends one message on the connection, which is made anew if it is gone.
    fn send(&mut self, item: &Item) -> io::Result<()> {
        if self.link.as_ref().is_some_and(is_gone) {
            self.link = None;
        }
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.connect()?,
        };
        let message = message(&self.config, (self.clock)(), item);
        self.buffer.clear();
        if !matches!(link, Link::Udp(_)) {
            write!(self.buffer, "{} ", message.len())?;
        }
        self.buffer.extend_from_slice(&message);
        match &mut link {
            Link::Udp(socket) => socket.send(&self.buffer).map(|_| ())?,
            Link::Tcp(stream) => stream.write_all(&self.buffer)?,
            Link::Tls(stream) => {
                stream.write_all(&self.buffer)?;
                stream.flush()?;
            }
        }
        self.link = Some(link);
        Ok(())
    }
}

impl Sink for SyslogSink {
    fn write(&mut self, items: &[Arc<Item>]) -> Result<(), Failure> {
        for (written, item) in items.iter().enumerate() {
            let long = item.bytes.len().saturating_add(HEADER_ALLOWANCE) > MAX_DATAGRAM;
            if long && self.config.transport == SyslogTransport::Udp {
                return Err(Failure {
                    error: SinkError::Other,
                    message: format!("a record of {} bytes fits no datagram", item.bytes.len()),
                    again: Again::Never,
                    written,
                });
            }
            if let Err(error) = self.send(item) {
                return Err(Failure { written, ..Failure::of_io(&error, &self.config.address) });
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for SyslogSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyslogSink").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What a header takes at most, in bytes: HOSTNAME has 255 (RFC 5424, section 6).
const HEADER_ALLOWANCE: usize = 400;

/// Whether the far side has closed the connection. Syslog has no answers: without a look, records
/// would be written into a connection that nobody reads.
fn is_gone(link: &Link) -> bool {
    let stream = match link {
        Link::Udp(_) => return false,
        Link::Tcp(stream) => stream,
        Link::Tls(stream) => &stream.sock,
    };
    if stream.set_nonblocking(true).is_err() {
        return true;
    }
    let looked = stream.peek(&mut [0]);
    let closed = match looked {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).is_err() || closed
}

/// `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG` (RFC 5424, section 6).
fn message(config: &SyslogConfig, now: Timestamp, item: &Item) -> Vec<u8> {
    /// Warning for findings, informational for the rest (RFC 5424, table 2).
    const WARNING: u32 = 4;
    const INFORMATIONAL: u32 = 6;
    let severity = if item.is_finding() { WARNING } else { INFORMATIONAL };
    let priority = u32::from(config.facility.min(23)) * 8 + severity;
    let time = crate::eve_time(now).replace("+0000", "Z");
    let printable = |c: &char| c.is_ascii_graphic();
    let host: String = config.hostname.chars().filter(printable).take(255).collect();
    let host = if host.is_empty() { "-" } else { &host };
    let process = std::process::id();
    let mut text =
        format!("<{priority}>1 {time} {host} dwell {process} {} - ", item.kind).into_bytes();
    text.extend_from_slice(&item.bytes);
    text
}

fn client_config(authorities: &PathBuf) -> io::Result<Arc<ClientConfig>> {
    let refused = |error: String| {
        let text = format!("{}: {error}", authorities.display());
        io::Error::new(io::ErrorKind::InvalidInput, text)
    };
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(authorities).map_err(|error| refused(error.to_string()))?
    {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refused("no certificate in it".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
