//! What one direction of a connection has to know of the other. It sees no bytes.

use super::dialect::Dialect;
use crate::facts::{Anomaly, Fact, Observed, Preamble, Sender};

/// What has been said so far, by both sides.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    /// ClientHellos seen, SSLv2-format ones included.
    pub(crate) client_hellos: u32,
    /// HelloRetryRequests seen.
    pub(crate) retry_requests: u32,
    /// Number of the ClientHello that a final ServerHello answered.
    pub(crate) answered: Option<u32>,
    /// Whether either stream has a hole.
    pub(crate) bytes_are_missing: bool,
    /// SOCKS, if the client began with it.
    pub(crate) socks: Socks,
    /// HTTP/1 requests and responses.
    pub(crate) http: HttpExchange,
    greeting: Option<Dialect>,
    spoken: Option<Dialect>,
    asked_for_tls: Option<Dialect>,
    preamble_reported: bool,
}

/// How far a SOCKS exchange got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Socks {
    /// No SOCKS.
    #[default]
    None,
    /// A version 5 greeting by this side; replies by the other so far.
    Greeted { client: Sender, replies: u8 },
    /// A version 4 request by this side.
    Requested { client: Sender },
}

/// Requests and responses of a connection, by number from 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HttpExchange {
    pub(crate) requests: u32,
    pub(crate) responses: u32,
    /// Bit `n`: request `n` was a CONNECT.
    connects: u64,
    /// Bit `n`: request `n` was a HEAD.
    heads: u64,
}

/// What a request's method says of the response to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A tunnel.
    Tunnel,
    /// A head without its body.
    HeadOnly,
    /// Anything else.
    Resource,
    /// The request was not seen, or not yet.
    Unknown,
}

impl HttpExchange {
    pub(crate) fn request(&mut self, method: &[u8]) {
        let bit = 1_u64.checked_shl(self.requests).unwrap_or(0);
        match method {
            b"CONNECT" => self.connects |= bit,
            b"HEAD" => self.heads |= bit,
            _ => {}
        }
        self.requests = self.requests.saturating_add(1);
    }

    /// What the next final response answers.
    pub(crate) fn response(&mut self) -> Asked {
        let number = self.responses;
        self.responses = self.responses.saturating_add(1);
        let bit = 1_u64.checked_shl(number).unwrap_or(0);
        match () {
            () if number >= self.requests => Asked::Unknown,
            () if self.connects & bit != 0 => Asked::Tunnel,
            () if self.heads & bit != 0 => Asked::HeadOnly,
            () => Asked::Resource,
        }
    }
}

impl Conversation {
    /// The protocol that is spoken in front of TLS, by the best witness: the request for TLS itself,
    /// what the client says, what the server greets with.
    pub(crate) fn dialect(&self) -> Option<Dialect> {
        self.asked_for_tls.or(self.spoken).or(self.greeting)
    }

    /// `client` asked a SOCKS version 4 server for a connection.
    pub(crate) fn request_socks(&mut self, client: Sender) {
        self.socks = Socks::Requested { client };
    }

    /// A client asked for TLS in this dialect.
    pub(crate) fn ask_for_tls(&mut self, dialect: Dialect) {
        self.asked_for_tls = Some(dialect);
    }

    /// Takes in the first line of a direction.
    pub(crate) fn open_with(&mut self, line: &[u8]) {
        self.greeting = self.greeting.or(Dialect::of_greeting(line));
        self.spoken = self.spoken.or(Dialect::of_client_line(line, self.greeting));
    }

    /// Takes in a later line; some ask for TLS.
    pub(crate) fn continue_with(&mut self, line: &[u8]) {
        if let Some(dialect) = Dialect::of_tls_request(line, self.dialect()) {
            self.asked_for_tls = Some(dialect);
        }
    }

    /// Notes that a dialect is spoken.
    pub(crate) fn speak(&mut self, dialect: Dialect) {
        self.spoken = self.spoken.or(Some(dialect));
    }

    /// The number of the ClientHello that a ServerHello answers: the first, or the one after a retry
    /// request, whatever was seen in between or not yet. Only where bytes are missing may the retry
    /// request be among them, and the last hello counts.
    pub(crate) fn answer(&mut self, retry_request: bool) -> u32 {
        let next = self.retry_requests.saturating_add(1);
        if retry_request {
            self.retry_requests = next;
            return next;
        }
        let number = if self.bytes_are_missing { next.max(self.client_hellos) } else { next };
        self.answered = Some(number);
        number
    }

    /// Whether the server's final answer and all hellos before it were seen.
    pub(crate) fn is_answered(&self) -> bool {
        self.answered.is_some_and(|number| self.client_hellos >= number)
    }
}

/// Where the facts of one direction go.
pub(crate) struct Context<'c> {
    pub(crate) from: Sender,
    pub(crate) conversation: &'c mut Conversation,
    pub(crate) facts: &'c mut Vec<Observed>,
}

impl Context<'_> {
    pub(crate) fn report(&mut self, fact: Fact) {
        self.facts.push(Observed { from: self.from, fact });
    }

    pub(crate) fn anomaly(&mut self, anomaly: Anomaly) {
        self.report(Fact::Anomaly(anomaly));
    }

    /// Reports what the TLS that begins now was asked for in, once a connection.
    pub(crate) fn report_dialect(&mut self) {
        if self.conversation.preamble_reported {
            return;
        }
        if let Some(dialect) = self.conversation.dialect() {
            self.conversation.preamble_reported = true;
            self.report(Fact::Preamble(Preamble::StartTls(dialect.name())));
        }
    }
}
