//! Published Initial packets, for the tests of this folder.
//!
//! RFC 9001, appendix A, and RFC 9369, appendix A; nothing here was made by our own code.

/// The client's first destination connection ID in both RFCs.
pub(crate) const DESTINATION: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

/// RFC 9001, appendix A.2.
pub(crate) fn client_initial_1() -> Vec<u8> {
    bytes(include_str!("../../vectors/rfc9001-client-initial.hex"))
}

/// RFC 9001, appendix A.3.
pub(crate) fn server_initial_1() -> Vec<u8> {
    bytes(include_str!("../../vectors/rfc9001-server-initial.hex"))
}

/// RFC 9369, appendix A.2.
pub(crate) fn client_initial_2() -> Vec<u8> {
    bytes(include_str!("../../vectors/rfc9369-client-initial.hex"))
}

/// RFC 9369, appendix A.3.
pub(crate) fn server_initial_2() -> Vec<u8> {
    bytes(include_str!("../../vectors/rfc9369-server-initial.hex"))
}

/// The bytes written in hex in `text`; white space does not count.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}
