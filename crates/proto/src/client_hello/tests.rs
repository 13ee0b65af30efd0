//! Expected fingerprints are those on which Wireshark 4.6.9 and at least one of Suricata 8.0.7,
//! FoxIO's tools and nDPI 4.11 agree, unless a test says otherwise.

use proptest::prelude::*;

use super::*;
use crate::sample::{self, Hello, alpn, server_name};

fn parsed(hello: &Hello) -> ClientHello {
    parse(Handshake::Tls, &hello.body(), 1).unwrap()
}

fn check(hello: &Hello, ja3: &str, ja4: &str) {
    let found = parsed(hello);
    assert_eq!((found.ja3.as_str(), found.ja4.as_str()), (ja3, ja4), "{}", found.ja3_string);
}

fn check_ja4(hello: &Hello, ja4: &str) {
    check(hello, sample::JA3, ja4);
}

fn base() -> Hello {
    Hello::chrome_like()
}

#[test]
fn every_field_of_an_ordinary_hello() {
    let found = parsed(&base());
    assert_eq!(found.ja3, sample::JA3);
    assert_eq!(
        found.ja3_string,
        "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,\
         0-23-65281-10-11-35-16-5-13-18-51-45-43-27,29-23-24,0"
    );
    assert_eq!(found.ja4, sample::JA4);
    assert_eq!(
        found.ja4_r,
        "t13d1514h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9\
         _0005,000a,000b,000d,0012,0017,001b,0023,002b,002d,0033,ff01\
         _0403,0804,0401,0503,0805,0501,0806,0601"
    );
    assert_eq!(found.server_name.as_deref(), Some(&b"example.com"[..]));
    assert_eq!(found.alpn, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert_eq!((found.legacy_version, found.offered_version), (0x0303, 0x0304));
    assert_eq!(found.random, [0x5a; 32]);
    assert!(!found.ech && !found.resumption && !found.early_data);
    assert!(found.anomalies.is_empty(), "{:?}", found.anomalies);
}

#[test]
fn the_first_alpn_name_decides() {
    let with = |names: &[&[u8]]| base().with(0x0010, alpn(names));
    check_ja4(&with(&[b"a"]), "t13d1514aa_8daaf6152771_bc9a4605e104");
    check_ja4(&with(&[b"", b"h2"]), "t13d151400_8daaf6152771_bc9a4605e104");
    check_ja4(&with(&[&[0x30, 0xab]]), "t13d15143b_8daaf6152771_bc9a4605e104");
    check_ja4(&base().with(0x0010, vec![]), "t13d151400_8daaf6152771_bc9a4605e104");
    check(
        &base().without(0x0010),
        "3d90a696919abaf92ba5e076e4421a6a",
        "t13d151300_8daaf6152771_bc9a4605e104",
    );
}

/// The text is silent; Wireshark 4.6.9 and the text's own hex rule agree.
#[test]
fn a_grease_alpn_name_is_written_in_hex() {
    let hello = base().with(0x0010, alpn(&[&[0x0a, 0x0a], b"h2"]));
    check_ja4(&hello, "t13d15140a_8daaf6152771_bc9a4605e104");
}

#[test]
fn grease_counts_only_when_both_bytes_are_equal() {
    let mut hello = base();
    hello.ciphers.extend([0x0a1a, 0x0aaa, 0x0a01]);
    assert!(parsed(&hello).ja4.starts_with("t13d18"));
    let mut near = base();
    near.ciphers.extend([0x0a1a, 0x1a0a, 0xaa0a]);
    check(&near, "9fe543ec5c9035b6bb4d911a90f0b9f5", "t13d1814h2_43fe8d5e38cf_bc9a4605e104");
    check(
        &base().with(0x0a1a, vec![]).with(0x1a0a, vec![]),
        "07166cb2b370b977a20b2f92f5cfb99d",
        "t13d1516h2_8daaf6152771_67b802cb40f9",
    );
    let mut greased = base().with(0xfafa, vec![0]);
    greased.extensions.insert(0, (0x1a1a, vec![]));
    check_ja4(&greased, sample::JA4);
    let mut only = base();
    only.ciphers = vec![0x0a0a];
    check(&only, "399bf010825fdc0c5e7c586717015ca7", "t13d0014h2_000000000000_bc9a4605e104");
}

#[test]
fn signalling_and_repeated_ciphers_count() {
    let mut signalling = base();
    signalling.ciphers.extend([0x00ff, 0x5600, 0xfe00]);
    check(&signalling, "752964649dba5bc81ae59066f518b054", "t13d1814h2_00ce92e3546b_bc9a4605e104");
    assert!(parsed(&signalling).anomalies.is_empty());
}

/// Chrome from version 152 draws a GREASE algorithm for each connection; ja4#305 publishes the check
/// that it is left out.
#[test]
fn signature_algorithms_keep_order_and_repeats_but_no_grease() {
    let with = |codes: &[u8]| base().with(0x000d, sample::vector16(codes));
    check_ja4(&with(&[6, 1, 4, 3, 4, 3, 2, 1]), "t13d1514h2_8daaf6152771_023e9e643f27");
    check_ja4(&with(&[0x3a, 0x3a]), "t13d1514h2_8daaf6152771_c39ea2cb8a1c");
    let greased = [0x3a, 0x3a, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1];
    check_ja4(&with(&greased), sample::JA4);
}

#[test]
fn only_signature_algorithms_itself_is_appended() {
    let mut credentials = base();
    credentials.extensions.insert(8, (0x0022, vec![0, 4, 4, 3, 5, 3]));
    check(&credentials, "29bfe0915380ba17e83f4fdd96f6c7ea", "t13d1515h2_8daaf6152771_e08c29e231e1");
}

#[test]
fn without_other_extensions_the_hash_is_zeros() {
    let mut name_only = base();
    name_only.extensions.truncate(1);
    check(&name_only, "4f91657052f7e1de33c692f04279a1e9", "t12d150100_8daaf6152771_000000000000");
    let mut bare = base();
    bare.version = 0x0300;
    bare.ciphers = vec![0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035];
    bare.extensions.clear();
    check(&bare, "c0b23214a5b307e46da4772efbb30076", "ts3i080000_9363cb97a527_000000000000");
    assert!(parsed(&bare).ja3_string.ends_with(",,,"));
}

#[test]
fn the_version_is_the_highest_offered() {
    let with = |list: &[u8]| base().with(0x002b, sample::vector8(list));
    check_ja4(&with(&[0x3a, 0x3a, 3, 3, 3, 4]), "t13d1514h2_8daaf6152771_bc9a4605e104");
    check_ja4(&with(&[0x7f, 0x1c, 3, 3]), "t00d1514h2_8daaf6152771_bc9a4605e104");
    check_ja4(&with(&[0xfe, 0, 3, 4]), "t00d1514h2_8daaf6152771_bc9a4605e104");
    check_ja4(&with(&[3, 2]), "t11d1514h2_8daaf6152771_bc9a4605e104");
    check_ja4(&with(&[0x1a, 0x1a]), "t12d1514h2_8daaf6152771_bc9a4605e104");
    check_ja4(&with(&[]), "t12d1514h2_8daaf6152771_bc9a4605e104");
}

#[test]
fn the_name_letter_needs_the_extension_only() {
    let ja4 = sample::JA4;
    check_ja4(&base().with(0, vec![]), ja4);
    check_ja4(&base().with(0, server_name(&[(0, b"")])), ja4);
    check_ja4(&base().with(0, server_name(&[(1, b"example.com")])), ja4);
    check_ja4(&base().with(0, server_name(&[(0, b"192.0.2.7")])), ja4);
    check(
        &base().without(0),
        "e257f0b8a564f3816968d5c40dcc65b7",
        "t13i1513h2_8daaf6152771_bc9a4605e104",
    );
}

#[test]
fn the_first_host_name_counts() {
    let name = |names: &[(u8, &[u8])]| parsed(&base().with(0, server_name(names))).server_name;
    let first = Some(b"first.example".to_vec());
    assert_eq!(name(&[(0, b"first.example"), (0, b"second.example")]), first);
    assert_eq!(name(&[(7, b"other"), (0, b"first.example")]), first);
    assert_eq!(name(&[(1, b"other")]), None);
    assert_eq!(name(&[(0, b"")]), None);
    assert_eq!(name(&[(0, b"a\n\x00b")]), Some(b"a\n\x00b".to_vec()));
}

#[test]
fn a_name_that_is_not_one_plain_name_is_noted() {
    let odd = |body: Vec<u8>| parsed(&base().with(0, body)).anomalies;
    assert_eq!(odd(server_name(&[(0, b"a\"} 1\n")])), [Anomaly::OddServerName]);
    assert_eq!(odd(server_name(&[(0, b"")])), [Anomaly::OddServerName]);
    assert_eq!(odd(server_name(&[(0, b"a"), (0, b"b")])), [Anomaly::OddServerName]);
    assert_eq!(odd(server_name(&[(0, &[b'a'; 256])])), [Anomaly::OddServerName]);
    assert_eq!(odd(server_name(&[(0, b"2001:db8::1")])), []);
    assert_eq!(odd(server_name(&[(0, b"_dmarc.xn--mnchen-3ya.example.")])), []);
}

#[test]
fn point_formats_are_bytes_and_never_grease() {
    check(&base().with(0x000b, vec![2, 0, 10]), "c16e590445352d45316526c97b7fc971", sample::JA4);
}

/// Wireshark joins both lists; we follow the first, as the rest of the hello is read.
#[test]
fn of_two_group_lists_the_first_counts() {
    let mut hello = base();
    hello.extensions.push((0x000a, vec![0, 2, 0, 0x19]));
    check(&hello, "d0afe80fbb36aa8fdf895331fdae543e", "t13d1515h2_8daaf6152771_ad0b83a44042");
    assert_eq!(parsed(&hello).anomalies, [Anomaly::RepeatedExtension]);
}

#[test]
fn counts_stop_at_99() {
    let mut hello = base();
    hello.ciphers = (0x0100..0x0178).collect();
    assert_eq!(parsed(&hello).ja4, "t13d9914h2_78cd3e4e4f62_bc9a4605e104");
}

#[test]
fn the_carrier_is_the_first_letter_whatever_the_extensions() {
    let hello = base().with(0x0039, vec![]);
    check(&hello, "100e3984842fd1538bdd8a3abc46b788", "t13d1515h2_8daaf6152771_94a4dab2785a");
    let quic = parse(Handshake::Quic, &hello.body(), 1).unwrap();
    assert_eq!(quic.ja4, "q13d1515h2_8daaf6152771_94a4dab2785a");
}

#[test]
fn a_dtls_hello_has_a_cookie() {
    let mut hello = base();
    hello.cookie = Some(vec![9; 20]);
    let found = parse(Handshake::Dtls, &hello.body(), 2).unwrap();
    assert_eq!(found.ja3, sample::JA3);
    assert_eq!(found.ja4, "d13d1514h2_8daaf6152771_bc9a4605e104");
    assert_eq!(found.number, 2);
    assert!(found.anomalies.is_empty());
}

#[test]
fn resumption_changes_ja4_but_not_the_stable_variant() {
    let fresh = base().without(0x0023);
    let resumed = fresh.clone().with(0x002a, vec![]).with(0x0015, vec![0; 9]).with(0x0029, vec![1]);
    let (fresh, resumed) = (parsed(&fresh), parsed(&resumed));
    assert_ne!(fresh.ja4, resumed.ja4);
    assert_eq!(fresh.stable, fresh.ja4);
    assert_eq!(resumed.stable, fresh.ja4);
    assert!(resumed.resumption && resumed.early_data && !fresh.resumption);
    assert!(parsed(&base().with(0x0023, vec![1])).resumption);
}

#[test]
fn encrypted_client_hello_is_noted() {
    assert!(parsed(&base().with(0xfe0d, vec![0; 40])).ech);
}

#[test]
fn one_broken_extension_hides_no_other() {
    let hello = base().with(0x0000, vec![0xff, 0xff, 0, 0, 9, b'a']).with(0x000a, vec![0]);
    let found = parsed(&hello);
    assert_eq!(found.ja4, sample::JA4);
    assert_eq!(found.alpn.len(), 2);
    assert_eq!(found.anomalies, [Anomaly::MalformedClientHello, Anomaly::OddServerName]);
}

#[test]
fn a_last_extension_that_claims_too_much_is_kept_and_noted() {
    let mut body = base().body();
    let end = body.len();
    body[end - 4] = 9;
    let found = parse(Handshake::Tls, &body, 1).unwrap();
    assert_eq!(found.ja4, sample::JA4);
    assert_eq!(found.anomalies, [Anomaly::MalformedClientHello]);
}

#[test]
fn bytes_after_the_extensions_are_noted() {
    let body = [base().body(), vec![0; 3]].concat();
    let found = parse(Handshake::Tls, &body, 1).unwrap();
    assert_eq!(found.ja4, sample::JA4);
    assert_eq!(found.anomalies, [Anomaly::MalformedClientHello]);
}

#[test]
fn a_hello_cut_after_its_ciphers_yields_them() {
    let body = base().body();
    let found = parse(Handshake::Tls, &body[..34 + 33 + 2 + 30], 1).unwrap();
    assert!(found.ja3_string.ends_with("-47-53,,,"));
    assert_eq!(found.anomalies, [Anomaly::MalformedClientHello]);
    assert_eq!(parse(Handshake::Tls, &body[..33], 1), Err(HelloError::TooShort { captured: 33 }));
}

/// tls-parser's hello, with its extension list, as JA3 and JA4 fields.
fn by_tls_parser(body: &[u8]) -> (Vec<u16>, Vec<u16>, Option<Vec<u8>>) {
    let (_, message) = tls_parser::parse_tls_message_handshake(body).unwrap();
    let tls_parser::TlsMessage::Handshake(tls_parser::TlsMessageHandshake::ClientHello(hello)) =
        message
    else {
        panic!("not a hello");
    };
    let list = hello.ext.unwrap_or_default();
    let (rest, parsed) = tls_parser::parse_tls_client_hello_extensions(list).unwrap();
    assert!(rest.is_empty());
    let name = parsed.iter().find_map(|extension| match extension {
        tls_parser::TlsExtension::SNI(names) => names.first().map(|(_, name)| name.to_vec()),
        _ => None,
    });
    let groups = parsed.iter().find_map(|extension| match extension {
        tls_parser::TlsExtension::EllipticCurves(groups) => {
            Some(groups.iter().map(|group| group.0).collect())
        }
        _ => None,
    });
    (hello.ciphers.iter().map(|cipher| cipher.0).collect(), groups.unwrap_or_default(), name)
}

/// Extensions that tls-parser 0.12 reads without losing the rest of its list.
fn well_formed_extensions() -> impl Strategy<Value = Vec<sample::Extension>> {
    let name = proptest::collection::vec(any::<u8>(), 1..40);
    let groups = proptest::collection::vec(any::<u16>(), 0..9);
    let others = proptest::collection::vec(
        (0x4000_u16..0x7000, proptest::collection::vec(any::<u8>(), 0..20)),
        0..9,
    );
    (name, groups, others).prop_map(|(name, groups, others)| {
        let groups: Vec<u8> = groups.iter().flat_map(|group| group.to_be_bytes()).collect();
        let mut list = vec![
            (0x0000, server_name(&[(0, &name)])),
            (0x000a, sample::vector16(&groups)),
            (0x0010, alpn(&[b"h2"])),
        ];
        list.extend(others);
        list
    })
}

proptest! {
    #[test]
    fn any_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..600)) {
        for handshake in [Handshake::Tls, Handshake::Quic, Handshake::Dtls] {
            let _ = parse(handshake, &body, 1);
            let _ = crate::server_hello::parse(handshake, &body, 1);
        }
    }

    #[test]
    fn a_damaged_hello_never_panics_and_ja4_stays_printable(
        at in 0_usize..280,
        with in any::<u8>(),
        length in 34_usize..300,
    ) {
        let mut body = base().body();
        if let Some(byte) = body.get_mut(at) {
            *byte = with;
        }
        body.truncate(length);
        let found = parse(Handshake::Tls, &body, 1).unwrap();
        let printable = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        prop_assert!(found.ja4.bytes().all(printable), "{}", found.ja4);
        prop_assert_eq!(found.ja4.len(), 36);
        prop_assert_eq!(found.stable.len(), 36);
    }

    #[test]
    fn tls_parser_reads_the_same_lists(
        ciphers in proptest::collection::vec(any::<u16>(), 1..200),
        extensions in well_formed_extensions(),
    ) {
        let hello = Hello { ciphers, extensions, ..base() };
        let (ciphers, groups, name) = by_tls_parser(&hello.message());
        let body = hello.body();
        let walk = walk(Handshake::Tls, &body).unwrap();
        prop_assert!(walk.sound && !walk.broken_extension);
        prop_assert_eq!(codes(walk.ciphers).collect::<Vec<_>>(), ciphers);
        prop_assert_eq!(codes(walk.groups).collect::<Vec<_>>(), groups);
        prop_assert_eq!(walk.server_name.map(<[u8]>::to_vec), name);
    }
}
