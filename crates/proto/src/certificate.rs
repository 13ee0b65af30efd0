//! The leaf of a Certificate message (RFC 5246, section 7.4.2) and what it says (RFC 5280).
//!
//! Knows names, validity and hash. It verifies nothing.

use std::net::IpAddr;

use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::ascii::{hex, hex_digits};
use crate::bytes::Reader;
use crate::facts::CertificateFacts;

/// Facts of the first certificate in `body`, a Certificate message before TLS 1.3; `None` if the
/// list is empty.
///
/// # Errors
/// When the first certificate is cut off or is not DER.
pub(crate) fn leaf(body: &[u8]) -> Result<Option<CertificateFacts>, CertificateError> {
    let mut reader = Reader::new(body);
    let list_length = reader.u24().ok_or(CertificateError::Cut)?;
    if list_length == 0 {
        return Ok(None);
    }
    let length = reader.u24().and_then(|length| usize::try_from(length).ok());
    let der = length.and_then(|length| reader.take(length)).ok_or(CertificateError::Cut)?;
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::NotDer)?;
    Ok(Some(CertificateFacts {
        subject: distinguished_name(certificate.subject()),
        issuer: distinguished_name(certificate.issuer()),
        names: alternative_names(&certificate),
        serial: hex(certificate.raw_serial().get(..MAX_SERIAL).unwrap_or(certificate.raw_serial())),
        not_before_s: certificate.validity().not_before.timestamp(),
        not_after_s: certificate.validity().not_after.timestamp(),
        sha256: hex(&Sha256::digest(der)),
    }))
}

/// Why a Certificate message yields nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    /// The message ends before its first certificate does.
    #[error("certificate message ends inside its first certificate")]
    Cut,
    /// The bytes are no certificate.
    #[error("first certificate is not DER")]
    NotDer,
}

/// DNS names and addresses of the subject alternative name.
fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.chars().take(MAX_NAME_CHARS).collect()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(text).take(MAX_NAMES).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// RFC 4514, section 2: all in reverse order, `,` between, `+` inside, values escaped.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for relative in name.iter_rdn().take(MAX_NAME_PARTS) {
        let mut attributes: Vec<String> = relative.iter().map(attribute).collect();
        attributes.reverse();
        parts.push(attributes.join("+"));
    }
    parts.reverse();
    parts.join(",").chars().take(MAX_NAME_CHARS).collect()
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = oid2abbrev(attribute.attr_type(), oid_registry())
        .map_or_else(|_| attribute.attr_type().to_id_string(), str::to_owned);
    let value = attribute.as_str().map_or_else(
        |_| {
            let digits = attribute.as_slice().iter().take(MAX_NAME_CHARS).copied();
            let digits = digits.flat_map(hex_digits).map(char::from);
            core::iter::once('#').chain(digits).collect()
        },
        escaped,
    );
    format!("{kind}={value}")
}

/// RFC 4514, section 2.4.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(value.len());
    for (place, char) in value.chars().enumerate().take(MAX_NAME_CHARS) {
        match char {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', char]),
            '#' if place == 0 => out.push_str("\\#"),
            ' ' if place == 0 || place == last => out.push_str("\\ "),
            '\0'..='\x1f' | '\x7f' => {
                let code = u8::try_from(char).unwrap_or(0);
                out.push('\\');
                out.extend(hex_digits(code).map(char::from));
            }
            _ => out.push(char),
        }
    }
    out
}

/// Kept alternative names: certificates of content networks name hundreds.
const MAX_NAMES: usize = 64;
/// Kept characters of a name; the standard bounds each part at 64 or 128 (RFC 5280, appendix A).
const MAX_NAME_CHARS: usize = 1024;
/// Kept parts of a distinguished name; real ones have at most a dozen.
const MAX_NAME_PARTS: usize = 32;
/// Longest serial number (RFC 5280, section 4.1.2.2), and one byte of sign.
const MAX_SERIAL: usize = 21;

#[cfg(test)]
mod tests;
