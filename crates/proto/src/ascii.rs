//! Decimal and hexadecimal digits without the formatting machinery; it knows no protocol.

/// Appends `number` in decimal, without leading zeros.
pub(crate) fn push_decimal(out: &mut Vec<u8>, number: u16) {
    let digit = |place: u16| {
        let [_, low] = (number / place % 10).to_be_bytes();
        b'0' + low
    };
    match number {
        0..10 => out.push(digit(1)),
        10..100 => out.extend_from_slice(&[digit(10), digit(1)]),
        100..1000 => out.extend_from_slice(&[digit(100), digit(10), digit(1)]),
        1000..10_000 => {
            out.extend_from_slice(&[digit(1000), digit(100), digit(10), digit(1)]);
        }
        10_000.. => {
            let digits = [digit(10_000), digit(1000), digit(100), digit(10), digit(1)];
            out.extend_from_slice(&digits);
        }
    }
}

/// Appends `code` as four lower-case hex digits.
pub(crate) fn push_hex_code(out: &mut Vec<u8>, code: u16) {
    let [high, low] = code.to_be_bytes();
    let [a, b] = hex_digits(high);
    let [c, d] = hex_digits(low);
    out.extend_from_slice(&[a, b, c, d]);
}

/// The two lower-case hex digits of `byte`.
pub(crate) const fn hex_digits(byte: u8) -> [u8; 2] {
    const fn digit(nibble: u8) -> u8 {
        if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }
    }
    [digit(byte >> 4), digit(byte & 0x0f)]
}

/// `bytes` in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        out.extend_from_slice(&hex_digits(*byte));
    }
    into_string(out)
}

/// Text that was put together from ASCII; anything else would come out with replacements.
pub(crate) fn into_string(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_those_of_the_standard_library() {
        let mut out = Vec::new();
        for number in 0..=u16::MAX {
            out.clear();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    #[test]
    fn hex_codes_are_those_of_the_standard_library() {
        let mut out = Vec::new();
        for code in 0..=u16::MAX {
            out.clear();
            push_hex_code(&mut out, code);
            assert_eq!(out, format!("{code:04x}").as_bytes());
        }
    }

    #[test]
    fn bytes_become_lower_case_hex() {
        assert_eq!(hex(&[0x00, 0xab, 0xff]), "00abff");
    }
}
