//! Text in quotes. Most text needs no escape, which shows eight bytes at a time.

/// Appends `text` in quotes, escaped as RFC 8259, section 7 asks.
#[inline]
pub(super) fn append(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.push(b'"');
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        append_escaped(out, bytes);
    }
    out.push(b'"');
}

/// Whether nothing has to be escaped: no quote, no backslash, no control character.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    let Some(tail) = bytes.last_chunk::<8>() else {
        return match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(&[a, b, c, d]), Some(&[e, f, g, h])) => !has_special([a, b, c, d, e, f, g, h]),
            _ => bytes.iter().all(|&byte| !is_special(byte)),
        };
    };
    // The tail may overlap the last whole word.
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().all(|word| !has_special(*word)) && !has_special(*tail)
}

/// Whether one of eight bytes is special ("Bit Twiddling Hacks", section "Determine if a word has a
/// byte less than n", for each of the three tests at once).
#[inline]
fn has_special(word: [u8; 8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    let word = u64::from_ne_bytes(word);
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * 0x22)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * 0x5c)).wrapping_sub(ONES);
    (control | quote | backslash) & !word & (ONES * 0x80) != 0
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cold]
fn append_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[hex(byte >> 4), hex(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
}

/// A lower-case hexadecimal digit.
#[inline]
pub(crate) const fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }
}
