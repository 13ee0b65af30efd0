//! Text for a terminal and for lines: bytes from the wire made printable, long text clipped.

/// The longest text made of one wire value, in bytes: names are at most 255 bytes by their own
/// rules, user agents rarely longer.
pub const MAX_TEXT: usize = 4096;

/// `bytes` with everything outside printable ASCII, and the backslash, as `\xNN`; at most
/// [`MAX_TEXT`] of them.
///
/// Safe inside a JSON string, a terminal line and a log line.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    dwell_attribution::printable(bytes, MAX_TEXT)
}

/// At most `width` characters of `text`, the last one an ellipsis where it was cut.
#[must_use]
pub fn clipped(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_marks_the_cut() {
        assert_eq!(clipped("abcdef", 6), "abcdef");
        assert_eq!(clipped("abcdefg", 6), "abcde…");
    }

    #[test]
    fn control_bytes_never_reach_a_line() {
        assert_eq!(printable(b"a\n\x1b[31m"), "a\\x0a\\x1b[31m");
    }
}
