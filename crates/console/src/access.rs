//! Who may ask: a token, or, without one, only those who know the sensor by a local name.

use std::net::{IpAddr, SocketAddr};

/// The longest token that is read, in bytes.
const MAX_TOKEN: usize = 4096;

/// The shortest token that is taken, in bytes: 16 random letters and digits resist guessing.
const MIN_TOKEN: usize = 16;

/// A secret that requests must bring.
#[derive(Clone)]
pub struct Token(Box<[u8]>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// The token of a file's text, without white space around it; `None` if that is too short or
    /// too long to be one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (MIN_TOKEN..=MAX_TOKEN).contains(&text.len()).then(|| Self(text.as_bytes().into()))
    }

    /// Whether `Authorization` brings the token: as a bearer token (RFC 6750), or as the password
    /// of basic authentication (RFC 7617), which browsers can ask a person for.
    #[must_use]
    pub(crate) fn is_in(&self, authorization: &[u8]) -> bool {
        let (scheme, value) = match authorization.iter().position(|byte| *byte == b' ') {
            Some(space) => authorization.split_at(space),
            None => return false,
        };
        let value = value.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return self.is(value);
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return false;
        }
        let Some(decoded) = base64(value) else { return false };
        let colon = decoded.iter().position(|byte| *byte == b':');
        colon.and_then(|colon| decoded.get(colon + 1..)).is_some_and(|password| self.is(password))
    }

    /// Whether `found` is the token; takes as long for any text of the same length.
    fn is(&self, found: &[u8]) -> bool {
        let differs = self.0.iter().zip(found).fold(0, |sum, (a, b)| sum | (a ^ b));
        differs == 0 && self.0.len() == found.len()
    }
}

/// Whether the name by which a client calls the sensor is one that only a local or a direct caller
/// uses. Another name means a browser that was led here by somebody else's (DNS rebinding).
#[must_use]
pub(crate) fn is_own_name(host: &str) -> bool {
    let direct = host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    direct || name.eq_ignore_ascii_case("localhost") || name.starts_with('[')
}

/// Decodes RFC 4648's base64 with padding.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if text.len() > 2 * MAX_TOKEN {
        return None;
    }
    let mut decoded = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_as_bearer_or_as_password_and_nothing_else_passes() {
        let token = Token::new(" 0123456789abcdef\n").unwrap();
        assert!(token.is_in(b"Bearer 0123456789abcdef"));
        // `printf 'any:0123456789abcdef' | base64`
        assert!(token.is_in(b"basic YW55OjAxMjM0NTY3ODlhYmNkZWY="));
        for wrong in [
            &b""[..],
            b"Bearer",
            b"Bearer 0123456789abcde",
            b"Bearer 0123456789abcdef0",
            b"Bearer 0123456789abcdeg",
            b"Basic 0123456789abcdef",
            b"Basic !!!",
            b"Digest 0123456789abcdef",
        ] {
            assert!(!token.is_in(wrong), "{wrong:?}");
        }
        assert!(Token::new("short").is_none());
    }

    #[test]
    fn only_local_and_direct_names_are_ours() {
        for own in ["localhost", "LOCALHOST:10146", "127.0.0.1:10146", "[::1]:10146", "10.0.0.1"] {
            assert!(is_own_name(own), "{own}");
        }
        for foreign in ["evil.example", "evil.example:10146", "127.0.0.1.evil.example", ""] {
            assert!(!is_own_name(foreign), "{foreign}");
        }
    }
}
