//! Bytes from the wire as text that is safe to print. Knows no protocol.

/// Longest name kept of the wire, in bytes (RFC 1035, section 2.3.4: 255 with length octets).
pub const MAX_NAME_BYTES: usize = 255;

/// The bytes as printable ASCII: at most `max_bytes` of them, everything else as `\xNN`.
///
/// A backslash is written as `\x5c`, so that no two inputs of one length give the same text.
#[must_use]
pub fn printable(bytes: &[u8], max_bytes: usize) -> String {
    let mut text = String::with_capacity(bytes.len().min(max_bytes));
    for &byte in bytes.iter().take(max_bytes) {
        if (byte.is_ascii_graphic() && byte != b'\\') || byte == b' ' {
            text.push(char::from(byte));
        } else {
            text.push_str("\\x");
            text.push(hex_digit(byte >> 4));
            text.push(hex_digit(byte & 0x0f));
        }
    }
    if bytes.len() > max_bytes {
        text.push_str("...");
    }
    text
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('?')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_bytes_are_escaped_and_length_is_capped() {
        assert_eq!(printable(b"a\x1b[31m\\\xff", 100), "a\\x1b[31m\\x5c\\xff");
        assert_eq!(printable(b"abcdef", 3), "abc...");
    }

    proptest! {
        #[test]
        fn text_is_printable_ascii_and_distinct(a: Vec<u8>, b: Vec<u8>) {
            let (left, right) = (printable(&a, 64), printable(&b, 64));
            prop_assert!(left.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
            if a.len() <= 64 && b.len() <= 64 {
                prop_assert_eq!(left == right, a == b);
            }
        }
    }
}
