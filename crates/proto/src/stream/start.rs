//! What a direction begins with: at the start of the stream, and again behind each preamble.
//!
//! Knows the first bytes of the protocols that are read here. It decides on them and hands over.

use super::conversation::Context;
use super::preamble::{Meaning, Opening, opening};
use super::records::{ContentType, record_header};
use crate::bytes::Reader;
use crate::facts::Fact;

/// The decision on first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// Too few bytes to tell.
    Unclear,
    /// TLS records.
    Tls,
    /// TLS records after an SSLv2-format hello of so many bytes.
    AfterSslV2Hello(usize),
    /// TLS records, but from the middle of a connection: nothing is in the clear.
    MidStreamTls,
    /// HTTP/1 requests.
    HttpRequests,
    /// HTTP/1 responses.
    HttpResponses,
    /// A message of so many bytes in front of something else.
    Preamble(usize),
    /// A protocol that sends no TLS hello and no readable head.
    Opaque,
    /// Anything else: to be searched.
    Unknown,
}

/// The first bytes of a direction, read until they tell.
#[derive(Debug, Default)]
pub(crate) struct Start {
    line: FirstLine,
}

impl Start {
    /// Decides on `input`, which begins where the direction, or what follows a preamble, begins.
    pub(crate) fn step(&mut self, input: &[u8], context: &mut Context<'_>) -> Beginning {
        if input.is_empty() {
            return Beginning::Unclear;
        }
        if let Some(beginning) = tls(input).or_else(|| sslv2(input, context)) {
            return beginning;
        }
        if input.starts_with(HTTP2_PREFACE) {
            context.report(Fact::Http2Preface);
            return Beginning::Opaque;
        }
        if HTTP2_PREFACE.starts_with(input) {
            return Beginning::Unclear;
        }
        match opening(input, context.from, context.conversation) {
            Opening::Unclear => return Beginning::Unclear,
            Opening::Message { length, meaning } => {
                apply(meaning, context);
                return Beginning::Preamble(length);
            }
            Opening::Other => {}
        }
        self.text(input, context)
    }

    fn text(&mut self, input: &[u8], context: &mut Context<'_>) -> Beginning {
        match self.line.read(input) {
            Read::Unclear => Beginning::Unclear,
            Read::Binary => Beginning::Unknown,
            Read::TooLong(line) if has_common_method(line) => Beginning::HttpRequests,
            Read::TooLong(_) => Beginning::Unknown,
            Read::Line(line) => match () {
                () if line.starts_with(b"SSH-") => Beginning::Opaque,
                () if is_status_line(line) => Beginning::HttpResponses,
                () if is_request_line(line) => Beginning::HttpRequests,
                () => {
                    context.conversation.open_with(line);
                    Beginning::Unknown
                }
            },
        }
    }
}

fn apply(meaning: Meaning, context: &mut Context<'_>) {
    match meaning {
        Meaning::Nothing => {}
        Meaning::Preamble(preamble) => context.report(Fact::Preamble(preamble)),
        Meaning::Speaks(dialect) => context.conversation.speak(dialect),
        Meaning::AsksForTls(dialect) => context.conversation.ask_for_tls(dialect),
        Meaning::Socks(socks) => context.conversation.socks = socks,
        Meaning::SocksRequest(preamble) => {
            context.conversation.request_socks(context.from);
            context.report(Fact::Preamble(preamble));
        }
    }
}

/// Type, version and length of a TLS record. `None` if the bytes are no such thing.
fn tls(input: &[u8]) -> Option<Beginning> {
    let Some(header) = input.first_chunk() else {
        let mut padded = [20, 3, 0, 0, 0];
        for (slot, byte) in padded.iter_mut().zip(input) {
            *slot = *byte;
        }
        return record_header(padded).map(|_| Beginning::Unclear);
    };
    Some(match record_header(*header)? {
        (ContentType::APPLICATION, _) => Beginning::MidStreamTls,
        _ => Beginning::Tls,
    })
}

/// A ClientHello in SSLv2 format (RFC 5246, appendix E.2), all fields of which must agree.
fn sslv2(input: &[u8], context: &mut Context<'_>) -> Option<Beginning> {
    const CLIENT_HELLO: u8 = 1;
    let mut reader = Reader::new(input);
    let first = reader.u8()?;
    if first & 0x80 == 0 {
        return None;
    }
    let Some(low) = reader.u8() else { return Some(Beginning::Unclear) };
    let length = usize::from(u16::from_be_bytes([first & 0x7f, low]));
    match reader.u8() {
        None => return Some(Beginning::Unclear),
        Some(kind) if kind != CLIENT_HELLO => return None,
        Some(_) => {}
    }
    let lengths = (reader.u16(), reader.u16(), reader.u16(), reader.u16());
    let (Some(version), Some(ciphers), Some(session_id), Some(challenge)) = lengths else {
        return Some(Beginning::Unclear);
    };
    let parts = [ciphers, session_id, challenge].map(usize::from);
    let fits = length == 9 + parts.iter().sum::<usize>()
        && matches!(version, 0x0002 | 0x0300..=0x0304)
        && ciphers > 0
        && ciphers.is_multiple_of(3)
        && matches!(session_id, 0 | 16)
        && (16..=32).contains(&challenge);
    if !fits {
        return None;
    }
    context.conversation.client_hellos = context.conversation.client_hellos.saturating_add(1);
    context.report_dialect();
    context.report(Fact::SslV2Hello { version });
    Some(Beginning::AfterSslV2Hello(2 + length))
}

/// The first line that is not empty, found without looking at a byte twice.
#[derive(Debug, Default)]
struct FirstLine {
    /// Bytes before the line: line ends that some clients send first.
    skipped: usize,
    /// Bytes looked at.
    read: usize,
}

enum Read<'a> {
    Unclear,
    /// Not a line of text.
    Binary,
    /// Without its line end.
    Line(&'a [u8]),
    /// What there is of a line that is longer than is waited for.
    TooLong(&'a [u8]),
}

impl FirstLine {
    fn read<'a>(&mut self, input: &'a [u8]) -> Read<'a> {
        for byte in input.get(self.read..).unwrap_or_default() {
            let is_first = self.read == self.skipped;
            self.read += 1;
            match byte {
                b'\r' | b'\n' if is_first && self.skipped < MAX_EMPTY_LINES => {
                    self.skipped = self.read;
                }
                b'!'..=b'~' if is_first => {}
                _ if is_first => return Read::Binary,
                b'\n' | b'>' if *byte == b'\n' || self.is_tag(input) => {
                    let line = input.get(self.skipped..self.read).unwrap_or_default();
                    return Read::Line(line.trim_ascii_end());
                }
                // Request targets come with raw bytes above 0x7f.
                b'\t' | b'\r' | b' '..=b'~' | 0x80.. => {}
                _ => return Read::Binary,
            }
            if self.read - self.skipped > MAX_FIRST_LINE {
                return Read::TooLong(input.get(self.skipped..self.read).unwrap_or_default());
            }
        }
        Read::Unclear
    }

    fn is_tag(&self, input: &[u8]) -> bool {
        input.get(self.skipped) == Some(&b'<')
    }
}

/// RFC 9112, section 3: method, target and `HTTP/1.x` with spaces between.
fn is_request_line(line: &[u8]) -> bool {
    let mut words = line.splitn(2, |byte| *byte == b' ');
    let (Some(method), Some(rest)) = (words.next(), words.next()) else { return false };
    let is_method = !method.is_empty()
        && method.len() <= MAX_METHOD
        && method.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let version = rest.len().checked_sub(b" HTTP/1.x".len()).and_then(|at| rest.get(at..));
    is_method && version.is_some_and(|tail| tail.starts_with(b" HTTP/1."))
}

/// RFC 9112, section 4.
fn is_status_line(line: &[u8]) -> bool {
    line.starts_with(b"HTTP/1.")
}

fn has_common_method(line: &[u8]) -> bool {
    const METHODS: [&[u8]; 8] =
        [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ", b"CONNECT "];
    METHODS.iter().any(|method| line.starts_with(method))
}

/// RFC 9113, section 3.4.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Text waited for without a line end: request targets are at most 8,000 bytes long where servers
/// follow RFC 9112, section 3.
const MAX_FIRST_LINE: usize = 8 * 1024;
/// Bytes of line ends before the first line: one line is usual (RFC 9112, section 2.2).
const MAX_EMPTY_LINES: usize = 64;
/// Longest method in the IANA registry is `UPDATEREDIRECTREF`, 17.
const MAX_METHOD: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines_need_a_method_and_a_version() {
        assert!(is_request_line(b"GET / HTTP/1.1"));
        assert!(is_request_line(b"M-SEARCH * HTTP/1.1"));
        assert!(is_request_line(b"GET /a b HTTP/1.0"));
        assert!(!is_request_line(b"GET /"));
        assert!(!is_request_line(b"OPTIONS rtsp://a RTSP/1.0"));
        assert!(!is_request_line(b"EHLO HTTP/1.1"));
        assert!(!is_request_line(b"HTTP/1.1"));
        assert!(!is_request_line(b" / HTTP/1.1"));
    }

    #[test]
    fn part_of_a_record_header_is_unclear() {
        assert_eq!(tls(&[22]), Some(Beginning::Unclear));
        assert_eq!(tls(&[22, 3, 1, 0x48]), Some(Beginning::Unclear));
        assert_eq!(tls(&[22, 2]), None);
        assert_eq!(tls(&[22, 3, 5]), None);
        assert_eq!(tls(&[22, 3, 1, 0xff]), None);
        assert_eq!(tls(&[22, 3, 1, 0, 1]), Some(Beginning::Tls));
        assert_eq!(tls(&[23, 3, 3, 1, 0]), Some(Beginning::MidStreamTls));
    }
}
