//! Flows as IPFIX (RFC 7011) over UDP or TCP: one record for each direction that carried packets
//! since the flow's last record.

mod message;

use std::io::{self, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use super::{Clock, Failure, Item, Sink};
use message::{MAX_MESSAGE, Message};

pub(super) use message::encode;

/// How long a connection and a write may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often templates are sent again over UDP (RFC 7011, section 8.4).
const TEMPLATES_EVERY: Duration = Duration::from_secs(60);

/// A collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpfixConfig {
    /// Host and port.
    pub address: String,
    /// Whether messages travel in one connection or in datagrams.
    pub transport: IpfixTransport,
    /// Observation domain.
    pub domain: u32,
}

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpfixTransport {
    /// A datagram each.
    Udp,
    /// One connection.
    Tcp,
}

/// Sends flows to a collector.
#[derive(Debug)]
pub struct IpfixSink {
    config: IpfixConfig,
    clock: Clock,
    link: Option<Link>,
    sequence: u32,
    templates_at: dwell_packet::Timestamp,
}

#[derive(Debug)]
enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl IpfixSink {
    /// A sink that connects when it first has something to send.
    #[must_use]
    pub const fn new(config: IpfixConfig, clock: Clock) -> Self {
        let templates_at = dwell_packet::Timestamp::ZERO;
        Self { config, clock, link: None, sequence: 0, templates_at }
    }

    fn connect(&self) -> io::Result<Link> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in self.config.address.to_socket_addrs()? {
            match self.config.transport {
                IpfixTransport::Udp => {
                    let any: std::net::SocketAddr =
                        if address.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
                    let socket = UdpSocket::bind(any)?;
                    socket.connect(address)?;
                    return Ok(Link::Udp(socket));
                }
                IpfixTransport::Tcp => match TcpStream::connect_timeout(&address, PATIENCE) {
                    Ok(stream) => {
                        stream.set_write_timeout(Some(PATIENCE))?;
                        return Ok(Link::Tcp(stream));
                    }
                    Err(error) => last = error,
                },
            }
        }
        Err(last)
    }

    fn send(&mut self, message: Message) -> io::Result<()> {
        let records = message.records();
        let now = (self.clock)();
        let mut link = match self.link.take() {
            Some(link) => link,
            None => {
                self.templates_at = dwell_packet::Timestamp::ZERO;
                self.connect()?
            }
        };
        let bytes = message.finish(now, self.sequence, self.config.domain);
        match &mut link {
            Link::Udp(socket) => socket.send(&bytes).map(|_| ())?,
            Link::Tcp(stream) => stream.write_all(&bytes)?,
        }
        self.sequence = self.sequence.wrapping_add(records);
        self.link = Some(link);
        Ok(())
    }

    fn send_templates(&mut self) -> io::Result<()> {
        let now = (self.clock)();
        let due = now.saturating_since(self.templates_at) >= TEMPLATES_EVERY;
        let once = self.config.transport == IpfixTransport::Tcp;
        if self.link.is_some() && (once || !due) {
            return Ok(());
        }
        self.send(Message::templates())?;
        self.templates_at = now;
        Ok(())
    }
}

impl Sink for IpfixSink {
    fn write(&mut self, items: &[Arc<Item>]) -> Result<(), Failure> {
        let mut sent = 0;
        while sent < items.len() {
            let failed = |error: &io::Error, address: &str| Failure {
                written: sent,
                ..Failure::of_io(error, address)
            };
            self.send_templates().map_err(|error| failed(&error, &self.config.address))?;
            let mut message = Message::default();
            let rest = items.get(sent..).unwrap_or_default();
            let taken = rest.iter().take_while(|item| message.add(&item.bytes)).count();
            // An item that no message takes is none of ours: it is passed over.
            if taken > 0 {
                self.send(message).map_err(|error| failed(&error, &self.config.address))?;
            }
            sent += taken.max(1);
        }
        Ok(())
    }
}

/// A message fits the smallest packet that every IPv6 path carries.
const _: () = assert!(MAX_MESSAGE <= 1232);
