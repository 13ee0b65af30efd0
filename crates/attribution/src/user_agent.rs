//! The product and system that a `User-Agent` claims. Knows no rules.

use crate::Os;

/// The product a `User-Agent` names (RFC 9110, section 10.1.5), without its version.
///
/// Browsers name several products; the one that tells them apart is given (`Edg` before `Chrome`
/// before `Safari`). `None` if the first token is no product.
#[must_use]
pub fn product(user_agent: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(user_agent).ok()?;
    let first = product_of(text.split(' ').next()?)?;
    if first != "Mozilla" {
        return Some(first);
    }
    BROWSER_PRODUCTS
        .into_iter()
        .find(|wanted| text.split(' ').any(|token| product_of(token) == Some(wanted)))
        .or(Some(first))
}

/// The operating system a `User-Agent` names.
#[must_use]
pub fn system(user_agent: &[u8]) -> Option<Os> {
    let text = std::str::from_utf8(user_agent).ok()?;
    let has = |word: &str| text.contains(word);
    if has("iPhone") || has("iPad") {
        Some(Os::Ios)
    } else if has("Android") {
        Some(Os::Android)
    } else if has("Macintosh") || has("Mac OS X") {
        Some(Os::Macos)
    } else if has("Windows NT") {
        Some(Os::Windows)
    } else if has("X11; Linux") || has("Linux x86_64") {
        Some(Os::Linux)
    } else {
        None
    }
}

fn product_of(token: &str) -> Option<&str> {
    let product = token.split('/').next()?;
    let fits = !product.is_empty() && product.len() <= MAX_PRODUCT_BYTES;
    (fits && product.bytes().all(is_token_byte)).then_some(product)
}

/// A `tchar` of RFC 9110, section 5.6.2, as far as product names use them.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'!' | b'~')
}

/// The products that tell browsers apart, the most telling first.
const BROWSER_PRODUCTS: [&str; 9] =
    ["Edg", "OPR", "Vivaldi", "Slack", "Electron", "Firefox", "Chrome", "Version", "Safari"];

/// Longer names than any product's.
const MAX_PRODUCT_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(user_agent: &str, expected: Option<&str>, os: Option<Os>) {
        assert_eq!(product(user_agent.as_bytes()), expected, "{user_agent}");
        assert_eq!(system(user_agent.as_bytes()), os, "{user_agent}");
    }

    #[test]
    fn products_and_systems_are_read_as_browsers_and_tools_write_them() {
        check("python-requests/2.31.0", Some("python-requests"), None);
        check("curl/8.7.1", Some("curl"), None);
        check("Go-http-client/1.1", Some("Go-http-client"), None);
        let mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 \
                   (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
        check(mac, Some("Chrome"), Some(Os::Macos));
        check(&format!("{mac} Edg/131.0"), Some("Edg"), Some(Os::Macos));
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
        check(firefox, Some("Firefox"), Some(Os::Linux));
        check("", None, None);
        check("(no product)", None, None);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>) {
            let _ = (product(&bytes), system(&bytes));
        }
    }
}
