//! HTTP/1 request and response heads (RFC 9112).
//!
//! Knows one head once all of it is there. Where it ends in a stream, and what follows, is for the
//! stream's reader to see.

use crate::facts::{HttpRequest, HttpResponse};

/// A head that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head<T> {
    /// What it says.
    pub(crate) fact: T,
    /// What its fields say of the message around it.
    pub(crate) framing: Framing,
    /// Whether it follows the grammar.
    pub(crate) well_formed: bool,
    /// Whether it names two different hosts.
    pub(crate) conflicting_hosts: bool,
}

/// How a message goes on after its head (RFC 9112, section 6.3; RFC 9110, section 7.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Framing {
    /// `Content-Length`.
    pub(crate) content_length: Option<u64>,
    /// Whether there is a `Transfer-Encoding`.
    pub(crate) chunked: bool,
    /// Whether `Upgrade` names TLS (RFC 2817).
    pub(crate) upgrades_to_tls: bool,
}

/// The request in `head`, a head with its empty line, or as much of one as there is.
pub(crate) fn request(head: &[u8]) -> Head<HttpRequest> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let outcome = parsed.parse(head);
    let well_formed = outcome.is_ok_and(|status| status.is_complete());
    let mut fields = Fields::default();
    let (method, target) = match (well_formed, parsed.method, parsed.path) {
        (true, Some(method), Some(target)) => {
            fields.take_all(parsed.headers);
            (method.as_bytes(), target.as_bytes())
        }
        _ => {
            let (line, rest) = split_line(head.trim_ascii_start());
            fields.take_lines(rest);
            request_line(line)
        }
    };
    let named = authority(target).map(<[u8]>::to_vec);
    let conflicting = named.is_some() && fields.host.is_some() && named != fields.host;
    Head {
        conflicting_hosts: fields.conflicting_hosts || conflicting,
        fact: HttpRequest {
            method: capped(method, MAX_METHOD),
            target: capped(target, MAX_TARGET),
            // RFC 9112, section 3.2.2: the target's own host goes before the field.
            host: named.or(fields.host),
            user_agent: fields.user_agent,
            websocket: fields.websocket,
        },
        framing: fields.framing,
        well_formed,
    }
}

/// The response in `head`, a head with its empty line, or as much of one as there is.
pub(crate) fn response(head: &[u8]) -> Head<HttpResponse> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let outcome = parsed.parse(head);
    let well_formed = outcome.is_ok_and(|status| status.is_complete());
    let mut fields = Fields::default();
    let status = match (well_formed, parsed.code) {
        (true, Some(code)) => {
            fields.take_all(parsed.headers);
            code
        }
        _ => {
            let (line, rest) = split_line(head.trim_ascii_start());
            fields.take_lines(rest);
            status_code(line)
        }
    };
    Head {
        fact: HttpResponse { status, server: fields.server },
        framing: fields.framing,
        well_formed,
        conflicting_hosts: false,
    }
}

/// The fields that matter of a head.
#[derive(Debug, Default)]
struct Fields {
    host: Option<Vec<u8>>,
    conflicting_hosts: bool,
    user_agent: Option<Vec<u8>>,
    server: Option<Vec<u8>>,
    websocket: bool,
    framing: Framing,
}

impl Fields {
    fn take_all(&mut self, headers: &[httparse::Header<'_>]) {
        for header in headers {
            self.take(header.name.as_bytes(), header.value);
        }
    }

    /// Reads fields line by line, as servers do that are less strict than the grammar: folded lines
    /// belong to the field before, and a byte that should not be there does no harm.
    fn take_lines(&mut self, mut rest: &[u8]) {
        let mut field: Option<(&[u8], Vec<u8>)> = None;
        while !rest.is_empty() {
            let line;
            (line, rest) = split_line(rest);
            match (&mut field, line) {
                (Some((_, value)), [b' ' | b'\t', ..]) => {
                    let room = MAX_VALUE.saturating_sub(value.len());
                    value.push(b' ');
                    value.extend(line.trim_ascii().iter().take(room));
                }
                _ => {
                    if let Some((name, value)) = field.take() {
                        self.take(name, &value);
                    }
                    let colon = line.iter().position(|byte| *byte == b':');
                    field = colon.and_then(|at| line.split_at_checked(at)).map(|(name, value)| {
                        (name.trim_ascii(), capped(value.get(1..).unwrap_or_default(), MAX_VALUE))
                    });
                }
            }
        }
        if let Some((name, value)) = field {
            self.take(name, &value);
        }
    }

    fn take(&mut self, name: &[u8], value: &[u8]) {
        let value = value.trim_ascii();
        let is = |expected: &[u8]| name.eq_ignore_ascii_case(expected);
        match () {
            () if is(b"host") => self.take_host(value),
            () if is(b"user-agent") => {
                self.user_agent.get_or_insert_with(|| capped(value, MAX_VALUE));
            }
            () if is(b"server") => {
                self.server.get_or_insert_with(|| capped(value, MAX_VALUE));
            }
            () if is(b"content-length") => {
                let length = str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                self.framing.content_length = self.framing.content_length.or(length);
            }
            () if is(b"transfer-encoding") => self.framing.chunked = true,
            () if is(b"upgrade") => {
                let mut protocols = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                self.websocket |=
                    protocols.clone().any(|name| name.eq_ignore_ascii_case(b"websocket"));
                self.framing.upgrades_to_tls |= protocols.any(|name| name.starts_with(b"TLS/"));
            }
            () => {}
        }
    }

    fn take_host(&mut self, value: &[u8]) {
        let host = capped(value, MAX_HOST);
        match &self.host {
            None => self.host = Some(host),
            Some(first) => self.conflicting_hosts |= *first != host,
        }
    }
}

/// The first line without its end, and what comes after it.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at(end);
    (line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..).unwrap_or_default())
}

/// Method and target of a request line that may break the grammar.
fn request_line(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let (method, rest) = line.split_at(end);
    let target = rest.trim_ascii();
    let version = target.iter().rposition(|byte| *byte == b' ');
    (method, version.and_then(|at| target.get(..at)).unwrap_or(target).trim_ascii_end())
}

/// The status of a status line that may break the grammar; 0 if there is none.
fn status_code(line: &[u8]) -> u16 {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let code = words.nth(1).and_then(|word| str::from_utf8(word).ok());
    code.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The host and port of a target in absolute form (RFC 9112, section 3.2.2).
fn authority(target: &[u8]) -> Option<&[u8]> {
    let scheme = b"http://";
    let head = target.get(..scheme.len())?;
    if !head.eq_ignore_ascii_case(scheme) {
        return None;
    }
    let rest = target.get(scheme.len()..)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    let host = authority.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
    authority.get(host..).filter(|host| !host.is_empty() && host.len() <= MAX_HOST)
}

fn capped(bytes: &[u8], at_most: usize) -> Vec<u8> {
    bytes.get(..at_most).unwrap_or(bytes).to_vec()
}

/// Fields of a head that the strict grammar is tried on; longer ones are read line by line.
const MAX_HEADERS: usize = 96;
/// Kept bytes of a method; the longest registered has 17.
const MAX_METHOD: usize = 32;
/// Kept bytes of a target: enough to tell a path, too few to keep what was uploaded in it.
const MAX_TARGET: usize = 1024;
/// Kept bytes of `User-Agent` and `Server`.
const MAX_VALUE: usize = 2048;
/// Kept bytes of a host: a name of 253 and a port.
const MAX_HOST: usize = 512;

#[cfg(test)]
mod tests;
