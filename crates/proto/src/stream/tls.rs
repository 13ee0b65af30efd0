//! One direction of a TLS connection: which of its records and messages matter, and when to stop.
//!
//! Knows the order of a handshake (RFC 8446, section 2; RFC 5246, section 7.3). How messages are put
//! together and what they say is known elsewhere.

use super::conversation::Context;
use super::records::{ContentType, Found, MAX_MESSAGE, Records, message};
use crate::facts::{Anomaly, Fact, Handshake};
use crate::{certificate, client_hello, server_hello};

/// One direction while it speaks TLS in the clear.
#[derive(Debug, Default)]
pub(crate) struct TlsSide {
    records: Records,
    progress: Progress,
}

/// What is to become of the direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// More may come.
    Continue,
    /// Nothing more can be learnt.
    Finished,
    /// These are no TLS records, though they began like some.
    Lost,
}

/// What the first hello of a direction would make of it, before anything is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    /// The hello is not complete.
    Pending,
    /// A sound hello; it is reported.
    Hello,
    /// No hello, or none that is sound.
    Failed,
}

impl TlsSide {
    pub(crate) fn held_bytes(&self) -> usize {
        self.records.held_bytes()
    }

    /// Whether this direction sent a ClientHello.
    pub(crate) fn is_client(&self) -> bool {
        self.progress.role == Role::Client
    }

    /// Whether this direction sent its hello: a ClientHello or a final ServerHello.
    pub(crate) fn is_past_hello(&self) -> bool {
        self.progress.is_past_hello()
    }

    /// A client that sent its hello in SSLv2 format and goes on in records.
    pub(crate) fn after_sslv2_hello() -> Self {
        let progress = Progress { role: Role::Client, ..Progress::default() };
        Self { records: Records::default(), progress }
    }

    /// Advances `input` over what is read; part of a record header is left in it.
    pub(crate) fn step(&mut self, input: &mut &[u8], context: &mut Context<'_>) -> Verdict {
        loop {
            let before = input.len();
            let found = self.records.next(input);
            if !self.progress.count(before - input.len()) {
                return Verdict::Finished;
            }
            let verdict = match found {
                Found::NeedMore => return Verdict::Continue,
                Found::Record { kind, length } => self.progress.record(kind, length, context),
                Found::Begin { kind, length } => self.progress.begin(kind, length, context),
                Found::Message { kind, body } => self.progress.message(kind, body, context),
                Found::Broken => {
                    if self.records.is_inside_message() {
                        context.anomaly(Anomaly::HandshakeAbandoned);
                    }
                    return if self.progress.is_past_hello() {
                        Verdict::Finished
                    } else {
                        Verdict::Lost
                    };
                }
            };
            if verdict != Verdict::Continue {
                return verdict;
            }
        }
    }

    /// Takes in `input` until a first hello proves sound, and leaves in it what comes after; nothing
    /// is reported before.
    pub(crate) fn try_hello(&mut self, input: &mut &[u8], context: &mut Context<'_>) -> Trial {
        loop {
            match self.records.next(input) {
                Found::NeedMore => return Trial::Pending,
                Found::Begin { length, .. } if length > MAX_MESSAGE => return Trial::Failed,
                Found::Begin { kind: message::CLIENT_HELLO | message::SERVER_HELLO, .. } => {}
                Found::Record { kind: ContentType::HANDSHAKE, .. } => {}
                Found::Message { kind, body } if is_sound(kind, body) => {
                    let verdict = self.progress.message(kind, body, context);
                    self.progress.finished = verdict == Verdict::Finished;
                    return Trial::Hello;
                }
                Found::Begin { .. }
                | Found::Record { .. }
                | Found::Message { .. }
                | Found::Broken => {
                    return Trial::Failed;
                }
            }
        }
    }

    /// Whether [`Self::try_hello`] saw all that matters.
    pub(crate) fn is_finished(&self) -> bool {
        self.progress.finished
    }
}

fn is_sound(kind: u8, body: &[u8]) -> bool {
    match kind {
        message::CLIENT_HELLO => {
            client_hello::walk(Handshake::Tls, body).is_ok_and(|hello| hello.sound)
        }
        message::SERVER_HELLO => {
            server_hello::parse(Handshake::Tls, body, 0).is_ok_and(|hello| !hello.malformed)
        }
        _ => false,
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Unknown,
    Client,
    Server,
}

#[derive(Debug, Default)]
struct Progress {
    role: Role,
    /// The version of the final ServerHello, if this direction sent it.
    negotiated: Option<u16>,
    changed_cipher: bool,
    early_data: bool,
    odd_record: bool,
    bytes_since_hello: usize,
    finished: bool,
}

impl Progress {
    fn is_past_hello(&self) -> bool {
        self.role == Role::Client || self.negotiated.is_some()
    }

    /// Counts stream bytes since the last hello; whether so many are still read.
    fn count(&mut self, bytes: usize) -> bool {
        self.bytes_since_hello = self.bytes_since_hello.saturating_add(bytes);
        let limit = match self.role {
            Role::Unknown => MAX_BYTES_BEFORE_HELLO,
            Role::Client | Role::Server => MAX_BYTES_AFTER_HELLO,
        };
        self.bytes_since_hello <= limit
    }

    /// A record without a handshake message in it.
    fn record(&mut self, kind: ContentType, length: usize, context: &mut Context<'_>) -> Verdict {
        let is_server = self.role == Role::Server;
        match kind {
            ContentType::HANDSHAKE if length == 0 => self.note_odd_record(context),
            ContentType::ALERT if self.role == Role::Unknown => self.note_odd_record(context),
            ContentType::CHANGE_CIPHER_SPEC => {
                self.changed_cipher = true;
                if self.negotiated.is_some() { Verdict::Finished } else { Verdict::Continue }
            }
            ContentType::APPLICATION if is_server || !self.early_data => Verdict::Finished,
            _ => Verdict::Continue,
        }
    }

    /// No peer sends an empty handshake record (RFC 8446, section 5.1) or an alert before its hello.
    fn note_odd_record(&mut self, context: &mut Context<'_>) -> Verdict {
        if !self.odd_record {
            self.odd_record = true;
            context.anomaly(Anomaly::OddRecord);
        }
        Verdict::Continue
    }

    /// A handshake message of `length` bytes begins.
    fn begin(&mut self, kind: u8, length: usize, context: &mut Context<'_>) -> Verdict {
        let is_expected = match (self.role, kind) {
            (Role::Unknown, message::CLIENT_HELLO | message::SERVER_HELLO) => true,
            (Role::Unknown, message::HELLO_REQUEST | message::HELLO_RETRY_REQUEST) => true,
            (Role::Unknown, _) if self.changed_cipher => return Verdict::Finished,
            (Role::Unknown, _) => return Verdict::Lost,
            (Role::Client, _) => kind == message::CLIENT_HELLO,
            (Role::Server, message::SERVER_HELLO) => self.negotiated.is_none(),
            (Role::Server, message::CERTIFICATE | message::SUPPLEMENTAL_DATA) => {
                self.negotiated.is_some()
            }
            (Role::Server, _) => false,
        };
        if !is_expected {
            return Verdict::Finished;
        }
        let is_hello = matches!(kind, message::CLIENT_HELLO | message::SERVER_HELLO);
        if is_hello && length > MAX_MESSAGE {
            // After a change of cipher these are more likely encrypted bytes than a length.
            if !self.changed_cipher {
                context.anomaly(Anomaly::OversizedHandshake);
            }
            return Verdict::Finished;
        }
        Verdict::Continue
    }

    fn message(&mut self, kind: u8, body: &[u8], context: &mut Context<'_>) -> Verdict {
        match kind {
            message::CLIENT_HELLO => self.client_hello(body, context),
            message::SERVER_HELLO => self.server_hello(body, context),
            message::HELLO_RETRY_REQUEST => {
                self.role = Role::Server;
                context.conversation.answer(true);
                Verdict::Continue
            }
            message::CERTIFICATE => {
                match certificate::leaf(body) {
                    Ok(Some(facts)) => context.report(Fact::Certificate(Box::new(facts))),
                    Ok(None) => {}
                    Err(_) => context.anomaly(Anomaly::MalformedCertificate),
                }
                Verdict::Finished
            }
            _ => Verdict::Continue,
        }
    }

    fn client_hello(&mut self, body: &[u8], context: &mut Context<'_>) -> Verdict {
        self.role = Role::Client;
        self.bytes_since_hello = 0;
        let number = context.conversation.client_hellos.saturating_add(1);
        context.conversation.client_hellos = number;
        match client_hello::parse(Handshake::Tls, body, number) {
            Ok(hello) => {
                self.early_data = hello.early_data;
                context.report_dialect();
                client_hello::report(context.from, hello, context.facts);
            }
            Err(_) => context.anomaly(Anomaly::MalformedClientHello),
        }
        if number < MAX_CLIENT_HELLOS { Verdict::Continue } else { Verdict::Finished }
    }

    fn server_hello(&mut self, body: &[u8], context: &mut Context<'_>) -> Verdict {
        self.role = Role::Server;
        self.bytes_since_hello = 0;
        let Ok(mut hello) = server_hello::parse(Handshake::Tls, body, 0) else {
            context.anomaly(Anomaly::MalformedServerHello);
            return Verdict::Finished;
        };
        hello.answers = context.conversation.answer(hello.retry_request);
        let verdict = match hello.version {
            _ if hello.retry_request => Verdict::Continue,
            0..=0x0303 => {
                self.negotiated = Some(hello.version);
                Verdict::Continue
            }
            // TLS 1.3 and its drafts encrypt all that follows.
            0x0304.. => Verdict::Finished,
        };
        server_hello::report(context.from, hello, context.facts);
        verdict
    }
}

/// ClientHellos of one connection: two are usual after a HelloRetryRequest, no peer sends more.
const MAX_CLIENT_HELLOS: u32 = 4;
/// Stream bytes in which the first hello must end. A 64 KiB hello in one-byte records takes six times
/// its size; nothing of it is held but the message itself.
const MAX_BYTES_BEFORE_HELLO: usize = 512 * 1024;
/// Stream bytes looked at after a hello for the next one or for the certificate. Servers take at most
/// 16 KiB of early data; chains of certificates stay below 32 KiB.
const MAX_BYTES_AFTER_HELLO: usize = 64 * 1024;
