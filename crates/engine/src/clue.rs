//! What a flow showed of its application and destination. Sees one flow only, keeps no records.

use std::sync::Arc;

use dwell_attribution::{Evidence, NameSource, Opening, OsGuess};
use dwell_packet::Timestamp;
use dwell_proto::{CertificateFacts, ClientHello, HttpRequest};

/// What names the application and the destination, kept while the flow is open.
///
/// The hello is shared with its record, not copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clue {
    opening: Opening,
    hello: Option<Arc<ClientHello>>,
    /// Of a Google QUIC hello.
    server_name: Option<Vec<u8>>,
    user_agent: Option<Vec<u8>>,
    proxied: Option<Vec<u8>>,
    http_host: Option<Vec<u8>>,
    certificate_name: Option<Vec<u8>>,
}

impl Clue {
    /// Takes the connection's first hello in.
    pub(crate) fn take_hello(&mut self, hello: &Arc<ClientHello>) {
        self.opening = Opening::Hello;
        self.hello = Some(Arc::clone(hello));
    }

    /// Takes a Google QUIC hello in.
    pub(crate) fn take_google_hello(
        &mut self,
        server_name: Option<Vec<u8>>,
        user_agent: Option<Vec<u8>>,
    ) {
        self.opening = Opening::Hello;
        self.server_name = server_name;
        self.user_agent = user_agent;
    }

    /// Takes a request in; the first to say something is believed.
    pub(crate) fn take_request(&mut self, request: &HttpRequest) {
        if self.opening == Opening::Unseen {
            self.opening = Opening::HttpRequest;
        }
        if self.user_agent.is_none() {
            self.user_agent.clone_from(&request.user_agent);
        }
        if self.http_host.is_none() {
            self.http_host.clone_from(&request.host);
        }
    }

    /// Takes the server's certificate in.
    pub(crate) fn take_certificate(&mut self, certificate: &CertificateFacts) {
        if self.certificate_name.is_none() {
            let name = certificate.names.first();
            self.certificate_name = name.map(|name| name.clone().into_bytes());
        }
    }

    /// Takes in what a proxy was asked for.
    pub(crate) fn take_proxied(&mut self, target: Vec<u8>) {
        self.proxied = Some(target);
    }

    /// Whether anything was seen that names an application.
    pub(crate) const fn opening(&self) -> Opening {
        self.opening
    }

    /// Whether the name may be a public one in front of another.
    pub(crate) fn ech(&self) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.ech)
    }

    /// Whether the flow goes through a proxy.
    pub(crate) const fn is_proxied(&self) -> bool {
        self.proxied.is_some()
    }

    /// Whether there was a hello, and no server name in it.
    pub(crate) fn is_hello_without_name(&self) -> bool {
        self.opening == Opening::Hello && self.server_name().is_none()
    }

    /// The destination's name: by SNI, by what a proxy was asked for, by Host, by what the resolver
    /// told the host (`dns`), by the certificate.
    pub(crate) fn name<'a>(&'a self, dns: Option<&'a [u8]>) -> Option<(&'a [u8], NameSource)> {
        [
            (self.server_name(), NameSource::Sni),
            (self.proxied.as_deref(), NameSource::Proxy),
            (self.http_host.as_deref(), NameSource::HttpHost),
            (dns, NameSource::Dns),
            (self.certificate_name.as_deref(), NameSource::Certificate),
        ]
        .into_iter()
        .find_map(|(name, source)| Some((name?, source)))
    }

    /// What the rules may look at.
    pub(crate) fn evidence(&self, port: u16, os: Option<OsGuess>, at: Timestamp) -> Evidence<'_> {
        let hello = self.hello.as_deref();
        Evidence {
            opening: self.opening,
            ja4: hello.map(|hello| &*hello.ja4),
            stable: hello.map(|hello| &*hello.stable),
            ja3: hello.map(|hello| &*hello.ja3),
            server_name: self.server_name().or(self.http_host.as_deref()),
            user_agent: self.user_agent.as_deref(),
            alpn: hello.and_then(|hello| hello.alpn.first()).map(Vec::as_slice),
            port,
            os,
            at,
        }
    }

    fn server_name(&self) -> Option<&[u8]> {
        let hello = self.hello.as_deref().and_then(|hello| hello.server_name.as_deref());
        self.server_name.as_deref().or(hello)
    }
}
