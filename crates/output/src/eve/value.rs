//! Values of lines that have a text form of their own: times, addresses, rounded numbers, bytes of
//! the wire. Each is written without a `String` where it is ordinary.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dwell_packet::{MacAddress, Timestamp};
use serde::{Serialize, Serializer};

use crate::escape::{MAX_TEXT, printable};
use crate::json::{Short, hex, millionths, pair, verbatim, verbatim_millionths};

/// RFC 3339 with microseconds and EVE's `+0000`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time(pub(crate) Timestamp);

/// A number with at most six decimals, so that no line reads 3.5864000000000003.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Six(pub(crate) f64);

/// An IP address: dotted quad, or RFC 5952.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ip(pub(crate) IpAddr);

/// A MAC address, `02:00:00:01:01:77`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mac(pub(crate) MacAddress);

/// Sixteen hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hex64(pub(crate) u64);

/// Four hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hex16(pub(crate) u16);

/// Bytes of the wire, made printable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire<'a>(pub(crate) &'a [u8]);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nanos = self.0.as_nanos();
        let seconds = nanos / 1_000_000_000;
        let micros = nanos % 1_000_000_000 / 1_000;
        let (year, month, day) = date(seconds / 86_400);
        let second = seconds % 86_400;
        let ([y1, y2], [y3, y4]) = (pair(year / 100), pair(year % 100));
        let ([m1, m2], [d1, d2]) = (pair(month), pair(day));
        let ([h1, h2], [i1, i2]) = (pair(second / 3600), pair(second / 60 % 60));
        let [s1, s2] = pair(second % 60);
        let ([u1, u2], [u3, u4]) = (pair(micros / 10_000), pair(micros / 100 % 100));
        let [u5, u6] = pair(micros % 100);
        let text = [
            b'"', y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1,
            s2, b'.', u1, u2, u3, u4, u5, u6, b'+', b'0', b'0', b'0', b'0', b'"',
        ];
        verbatim(&text, serializer)
    }
}

/// Year, month and day of a day since 1970-01-01 (H. Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

impl Serialize for Six {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match millionths(self.0) {
            Some(millionths) => verbatim_millionths(millionths, serializer),
            None if self.0.is_finite() => serializer.serialize_f64(self.0),
            // What is no number.
            None => verbatim_millionths(0, serializer),
        }
    }
}

impl Serialize for Ip {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Short::<LONGEST_ADDRESS>::new();
        text.push(b'"');
        match self.0 {
            IpAddr::V4(addr) => push_v4(&mut text, addr),
            IpAddr::V6(addr) => push_v6(&mut text, addr),
        }
        text.push(b'"');
        verbatim(text.as_bytes(), serializer)
    }
}

fn push_v4<const N: usize>(text: &mut Short<N>, addr: Ipv4Addr) {
    for (number, octet) in addr.octets().into_iter().enumerate() {
        if number > 0 {
            text.push(b'.');
        }
        if octet >= 100 {
            text.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.push(b'0' + octet / 10 % 10);
        }
        text.push(b'0' + octet % 10);
    }
}

/// RFC 5952: the longest run of at least two zero groups, the first of equals, is left out; a
/// mapped IPv4 address is written as one.
fn push_v6<const N: usize>(text: &mut Short<N>, addr: Ipv6Addr) {
    if let Some(v4) = addr.to_ipv4_mapped() {
        b"::ffff:".iter().for_each(|&byte| text.push(byte));
        return push_v4(text, v4);
    }
    let (zeros_at, zeros) = longest_zeros(addr.segments());
    let mut separate = false;
    for (number, group) in addr.segments().into_iter().enumerate() {
        if zeros > 1 && number == zeros_at {
            text.push(b':');
            text.push(b':');
            separate = false;
        }
        if zeros > 1 && (zeros_at..zeros_at + zeros).contains(&number) {
            continue;
        }
        if separate {
            text.push(b':');
        }
        push_group(text, group);
        separate = true;
    }
}

/// Where the longest run of zero groups begins, and its length.
fn longest_zeros(groups: [u16; 8]) -> (usize, usize) {
    let (mut best, mut run) = ((0, 0), (0, 0));
    for (number, group) in groups.into_iter().enumerate() {
        run = if group == 0 { (run.0, run.1 + 1) } else { (number + 1, 0) };
        if run.1 > best.1 {
            best = run;
        }
    }
    best
}

fn push_group<const N: usize>(text: &mut Short<N>, group: u16) {
    let digits = nibbles(group);
    let leading = digits.iter().take(3).take_while(|&&digit| digit == b'0').count();
    digits.iter().skip(leading).for_each(|&digit| text.push(digit));
}

/// The four hexadecimal digits of a number.
fn nibbles(value: u16) -> [u8; 4] {
    let [high, low] = value.to_be_bytes();
    [hex(high >> 4), hex(high & 15), hex(low >> 4), hex(low & 15)]
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Short::<19>::new();
        for (number, octet) in self.0.0.into_iter().enumerate() {
            text.push(if number == 0 { b'"' } else { b':' });
            text.push(hex(octet >> 4));
            text.push(hex(octet & 15));
        }
        text.push(b'"');
        verbatim(text.as_bytes(), serializer)
    }
}

impl Serialize for Hex64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Short::<18>::new();
        text.push(b'"');
        for octet in self.0.to_be_bytes() {
            text.push(hex(octet >> 4));
            text.push(hex(octet & 15));
        }
        text.push(b'"');
        verbatim(text.as_bytes(), serializer)
    }
}

impl Serialize for Hex16 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [a, b, c, d] = nibbles(self.0);
        verbatim(&[b'"', a, b, c, d, b'"'], serializer)
    }
}

impl Serialize for Wire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ordinary = |&byte: &u8| (0x20..0x7f).contains(&byte) && byte != b'\\';
        if self.0.len() <= MAX_TEXT
            && self.0.iter().all(ordinary)
            && let Ok(text) = std::str::from_utf8(self.0)
        {
            serializer.serialize_str(text)
        } else {
            serializer.serialize_str(&printable(self.0))
        }
    }
}

/// Eight groups of four digits with their colons, or `::ffff:` and a dotted quad; two quotes.
const LONGEST_ADDRESS: usize = 41;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `value` is as JSON: by our own serializer and, the same, by `serde_json`.
    fn text(value: &impl Serialize) -> String {
        let mut ours = Vec::new();
        crate::json::append(&mut ours, value).unwrap();
        let ours = String::from_utf8(ours).unwrap();
        assert_eq!(ours, serde_json::to_string(value).unwrap());
        ours.trim_matches('"').to_owned()
    }

    #[test]
    fn times_are_utc_with_microseconds() {
        let of = |ts| text(&Time(ts));
        assert_eq!(of(Timestamp::from_parts(0, 1_999)), "1970-01-01T00:00:00.000001+0000");
        let day = Timestamp::from_parts(1_793_608_200, 0);
        assert_eq!(of(day), "2026-11-02T08:30:00.000000+0000");
        assert!(of(Timestamp::MAX).starts_with("2554-07-21T"));
    }

    #[test]
    fn numbers_have_at_most_six_decimals() {
        let of = |value| text(&Six(value));
        assert_eq!(of(3.586_400_000_000_000_3), "3.5864");
        assert_eq!(of(-0.000_000_4), "0.0");
        assert_eq!(of(-12.5), "-12.5");
        assert_eq!(of(f64::NAN), "0.0");
    }

    #[test]
    fn bytes_of_the_wire_are_printable() {
        assert_eq!(text(&Wire(b"a b~c")), "a b~c");
        assert_eq!(text(&Wire(b"a\"b\\c\n\xff")), "a\\\"b\\\\x5cc\\\\x0a\\\\xff");
    }

    proptest! {
        /// jiff's own formatting is the oracle.
        #[test]
        fn times_are_those_of_jiff(nanos: u64) {
            let time = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap();
            let expected = time.strftime("%Y-%m-%dT%H:%M:%S.%6f+0000").to_string();
            prop_assert_eq!(text(&Time(Timestamp::from_nanos(nanos))), expected);
        }

        #[test]
        fn numbers_are_those_rounded_to_six_decimals(value in -1e9..1e9) {
            prop_assert_eq!(text(&Six(value)), format!("{:?}", (value * 1e6).round() / 1e6 + 0.0));
        }

        #[test]
        fn addresses_are_those_of_the_standard_library(
            octets: [u8; 4], groups in proptest::array::uniform8(prop_oneof![Just(0), any::<u16>()]),
        ) {
            for addr in [IpAddr::from(octets), IpAddr::from(groups)] {
                prop_assert_eq!(text(&Ip(addr)), addr.to_string());
            }
            let mapped = IpAddr::V6(Ipv4Addr::from(octets).to_ipv6_mapped());
            prop_assert_eq!(text(&Ip(mapped)), mapped.to_string());
        }

        #[test]
        fn other_identifiers_are_those_of_their_types(mac: [u8; 6], id: u64, number: u16) {
            prop_assert_eq!(text(&Mac(MacAddress(mac))), MacAddress(mac).to_string());
            prop_assert_eq!(text(&Hex64(id)), format!("{id:016x}"));
            prop_assert_eq!(text(&Hex16(number)), format!("{number:04x}"));
        }

        #[test]
        fn wire_bytes_are_escaped_as_everywhere(bytes: Vec<u8>) {
            let expected = serde_json::to_string(&printable(&bytes)).unwrap();
            prop_assert_eq!(serde_json::to_string(&Wire(&bytes)).unwrap(), expected.clone());
            prop_assert_eq!(text(&Wire(&bytes)), expected.trim_matches('"'));
        }
    }
}
