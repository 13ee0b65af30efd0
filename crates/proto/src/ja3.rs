//! JA3 and JA3S (salesforce/ja3, BSD-3): how the strings are made, and their hashes.
//!
//! It knows what goes in and in which order; where the fields come from is the walkers' affair.

use md5::{Digest, Md5};

use crate::ascii::{hex, into_string, push_decimal};
use crate::bytes::codes;
use crate::client_hello::{Walk, extensions, is_grease};

/// The JA3 string: `version,ciphers,extensions,groups,point_formats` in decimal, wire order.
///
/// GREASE is left out of ciphers, extensions and groups; a point format is a byte and never GREASE.
/// Absent lists leave their commas (salesforce/ja3 README, "How it works").
pub(crate) fn ja3_string(walk: &Walk<'_>) -> String {
    let listed = walk.ciphers.len() + walk.extensions.len() / 2 + walk.groups.len();
    let mut out = Vec::with_capacity(listed.saturating_mul(3).saturating_add(16));
    push_decimal(&mut out, walk.legacy_version);
    out.push(b',');
    push_list(&mut out, codes(walk.ciphers).filter(|code| !is_grease(*code)));
    out.push(b',');
    let kinds = extensions(walk.extensions).map(|extension| extension.kind);
    push_list(&mut out, kinds.filter(|kind| !is_grease(*kind)));
    out.push(b',');
    push_list(&mut out, codes(walk.groups).filter(|code| !is_grease(*code)));
    out.push(b',');
    push_list(&mut out, walk.point_formats.iter().copied().map(u16::from));
    into_string(out)
}

/// The JA3S string: `version,cipher,extensions` in decimal, wire order, nothing left out.
pub(crate) fn ja3s_string(version: u16, cipher: u16, extension_list: &[u8]) -> String {
    let mut out = Vec::with_capacity(extension_list.len().saturating_add(16));
    push_decimal(&mut out, version);
    out.push(b',');
    push_decimal(&mut out, cipher);
    out.push(b',');
    push_list(&mut out, extensions(extension_list).map(|extension| extension.kind));
    into_string(out)
}

/// MD5 of `text` in lower hex.
pub(crate) fn md5_hex(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

fn push_list(out: &mut Vec<u8>, numbers: impl Iterator<Item = u16>) {
    for (place, number) in numbers.enumerate() {
        if place > 0 {
            out.push(b'-');
        }
        push_decimal(out, number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of the salesforce/ja3 README.
    #[test]
    fn readme_examples() {
        assert_eq!(
            md5_hex("769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0"),
            "ada70206e40642a3e4461f35503241d5"
        );
        assert_eq!(
            md5_hex("769,4-5-10-9-100-98-3-6-19-18-99,,,"),
            "de350869b8c85de67a350c8d186f11e6"
        );
        assert_eq!(ja3s_string(769, 47, &[0xff, 0x01, 0, 0, 0, 0x0b, 0, 0]), "769,47,65281-11");
        assert_eq!(ja3s_string(769, 4, &[]), "769,4,");
    }
}
