use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Serialize;
use serde_json::Value;

use super::{Json, Shown, append};

/// Everything that a derived type can ask a serializer for.
#[derive(Debug, Serialize)]
struct Everything<'a> {
    text: &'a str,
    #[serde(flatten)]
    inner: Inner,
    floats: Vec<f64>,
    small: f32,
    integers: (i8, i16, i32, i64, u8, u16, u32, u64),
    map: BTreeMap<String, Option<bool>>,
    numbered: BTreeMap<i32, char>,
    none: Option<u8>,
    unit: (),
    kinds: Vec<Kind>,
    bytes: Bytes<'a>,
}

#[derive(Debug, Serialize)]
struct Inner {
    first: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    second: Option<u8>,
}

#[derive(Clone, Debug, Serialize)]
enum Kind {
    Unit,
    Newtype(u8),
    Tuple(u8, u8),
    Struct { a: u8, b: Vec<u8> },
    Empty {},
}

#[derive(Debug)]
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

fn json(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    append(&mut out, value).unwrap();
    String::from_utf8(out).unwrap()
}

/// Asserts that our text reads back as the value that `serde_json` writes.
fn check(value: &impl Serialize) {
    let ours: Value = serde_json::from_str(&json(value)).unwrap();
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(ours, serde_json::from_str::<Value>(&text).unwrap(), "{text}");
}

#[test]
fn text_is_that_of_serde_json_to_the_byte() {
    for text in ["", "a", "sync.site-104.example", "a\"b\\c", "é\u{7f}\u{2028}", "\0\n\r\t\x1f"] {
        assert_eq!(json(&text), serde_json::to_string(text).unwrap().replace("\\b", "\\u0008"));
    }
}

#[test]
fn floats_are_short_and_exact() {
    for (value, text) in [
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (1.0, "1.0"),
        (0.372_809, "0.372809"),
        (-0.717_347, "-0.717347"),
        (1e-7, "1e-7"),
        (0.1 + 0.2, "0.30000000000000004"),
        (86_400.000_001, "86400.000001"),
        (f64::MAX, "1.7976931348623157e308"),
        (f64::INFINITY, "null"),
    ] {
        assert_eq!(json(&value), text);
    }
}

#[test]
fn a_map_whose_keys_are_lists_is_refused() {
    let map = BTreeMap::from([(vec![1], 2)]);
    let mut out = Vec::new();
    assert!(map.serialize(Json { out: &mut out, mode: super::Mode::Value }).is_err());
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Unit),
        any::<u8>().prop_map(Kind::Newtype),
        any::<(u8, u8)>().prop_map(|(a, b)| Kind::Tuple(a, b)),
        any::<(u8, Vec<u8>)>().prop_map(|(a, b)| Kind::Struct { a, b }),
        Just(Kind::Empty {}),
    ]
}

#[test]
fn members_of_a_plus_field_are_the_outer_objects() {
    #[derive(Serialize)]
    struct Outer {
        first: u8,
        #[serde(rename = "+inner")]
        inner: Option<Inner>,
        #[serde(rename = "+ready")]
        ready: Shown<'static, ()>,
        #[serde(rename = "+map")]
        map: BTreeMap<&'static str, u8>,
    }
    let ready = || Shown::Ready(br#""a":1,"b":[2]"#);
    let inner = Some(Inner { first: 7, second: None });
    let full = Outer { first: 1, inner, ready: ready(), map: BTreeMap::from([("z", 9)]) };
    assert_eq!(json(&full), r#"{"first":1,"first":7,"a":1,"b":[2],"z":9}"#);
    let none = Outer { first: 1, inner: None, ready: ready(), map: BTreeMap::new() };
    assert_eq!(json(&none), r#"{"first":1,"a":1,"b":[2]}"#);
}

proptest! {
    #[test]
    fn any_value_reads_back_as_serde_json_writes_it(
        text: String,
        wide in proptest::collection::vec(any::<f64>(), 0..4),
        near in proptest::collection::vec(-1e7..1e7, 0..4),
        integers: (i8, i16, i32, i64, u8, u16, u32, u64),
        map: BTreeMap<String, Option<bool>>,
        numbered: BTreeMap<i32, char>,
        kinds in proptest::collection::vec(kind(), 0..4),
        second: Option<u8>,
        quarters: i16,
        bytes: Vec<u8>,
    ) {
        // Of two shortest texts that read back as one `f32`, `serde_json` may choose the other.
        let small = f32::from(quarters) / 4.0;
        let floats: Vec<f64> = wide.into_iter().chain(near).collect();
        check(&Everything {
            text: &text,
            inner: Inner { first: 1, second },
            small,
            floats,
            integers,
            map,
            numbered,
            none: None,
            unit: (),
            kinds,
            bytes: Bytes(&bytes),
        });
    }

    #[test]
    fn any_single_reads_back_as_itself(small in any::<f32>().prop_filter("finite", |s| s.is_finite())) {
        prop_assert_eq!(json(&small).parse::<f32>().unwrap().abs(), small.abs());
    }

    #[test]
    fn text_of_any_length_is_escaped_where_it_must_be(
        text in "[ -~]{0,40}[\"\\\\\u{1}-\u{ff}]{0,2}[a-z]{0,20}",
    ) {
        let back: String = serde_json::from_str(&json(&text)).unwrap();
        prop_assert_eq!(back, text);
    }
}
