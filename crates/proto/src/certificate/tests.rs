//! Expected values are what OpenSSL 3.0.22 prints for the same certificate
//! (`openssl x509 -nameopt RFC2253`); it was made with `openssl req -x509`.

use proptest::prelude::*;

use super::*;

const LEAF: &str = "\
    3082023f308201e5a00302010202080123456789abcdef300a06082a8648ce3d0403023051310b300906035504\
    061302444531163014060355040a0c0d4578616d706c652c204c74642e31143008060355040b0c016130080603\
    55040b0c01623114301206035504030c0b206c65616620226f6e6522301e170d3236313132343232323530375a\
    170d3336313132313232323530375a3051310b300906035504061302444531163014060355040a0c0d4578616d\
    706c652c204c74642e31143008060355040b0c01613008060355040b0c01623114301206035504030c0b206c65\
    616620226f6e65223059301306072a8648ce3d020106082a8648ce3d0301070342000482928906ff16e54b4469\
    3b551f183b3f1403fd5ed4a90abf1bd41e99ce93abe3347dbe5cce11a5ef04d41dbbdf76aae28fd1ab5da09d40\
    433ee8ec46bd962a1ea381a63081a3301d0603551d0e04160414f55669e4d1b52034ffd6388d8a584e729fa468\
    82301f0603551d23041830168014f55669e4d1b52034ffd6388d8a584e729fa46882300f0603551d130101ff04\
    0530030101ff30500603551d1104493047820f7777772e6578616d706c652e636f6d820d2a2e6578616d706c65\
    2e636f6d8704c0000201871020010db8000000000000000000000001810d61406578616d706c652e636f6d300a\
    06082a8648ce3d040302034800304502206541f99fc6f8f84179ad11a3346c121988b13d525d44fe2e4eceb9ab\
    4c226794022100a4abff1f8811fa8858699944b1543f125e7d555722ceee8a8032dbec561ac16d\
";

fn der() -> Vec<u8> {
    let digits: Vec<u8> = LEAF.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn vector24(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[1..], bytes].concat()
}

#[test]
fn the_leaf_is_read_as_openssl_prints_it() {
    let chain = [vector24(&der()), vector24(&[1, 2, 3])].concat();
    let facts = leaf(&vector24(&chain)).unwrap().unwrap();
    assert_eq!(facts.subject, "CN=\\ leaf \\\"one\\\",OU=b+OU=a,O=Example\\, Ltd.,C=DE");
    assert_eq!(facts.issuer, facts.subject);
    assert_eq!(facts.serial, "0123456789abcdef");
    assert_eq!((facts.not_before_s, facts.not_after_s), (1_795_559_107, 2_110_919_107));
    assert_eq!(facts.names, ["www.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"]);
    assert_eq!(facts.sha256, "16b68ccb956e62c6e370617df920c1a6846bfc852c4cf2745a5fe69f96cc6c43");
}

#[test]
fn an_empty_list_has_no_leaf() {
    assert_eq!(leaf(&[0, 0, 0]), Ok(None));
}

#[test]
fn a_leaf_that_is_cut_or_no_certificate_is_an_error() {
    assert_eq!(leaf(&[0, 0]), Err(CertificateError::Cut));
    assert_eq!(leaf(&[0, 0, 9, 0, 0, 6, 1]), Err(CertificateError::Cut));
    assert_eq!(leaf(&vector24(&vector24(&[0x30, 0]))), Err(CertificateError::NotDer));
}

#[test]
fn names_are_escaped() {
    assert_eq!(escaped("#a#"), "\\#a#");
    assert_eq!(escaped(" "), "\\ ");
    assert_eq!(escaped("a\n\x7f"), "a\\0a\\7f");
}

proptest! {
    #[test]
    fn a_damaged_certificate_never_panics(
        at in 0_usize..579,
        with in any::<u8>(),
        length in 0_usize..579,
    ) {
        let mut bytes = der();
        bytes[at] = with;
        let _ = leaf(&vector24(&vector24(&bytes)));
        bytes.truncate(length);
        let _ = leaf(&vector24(&vector24(&bytes)));
        let _ = leaf(&bytes);
    }
}
