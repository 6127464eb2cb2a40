//! Faults of syntax, type and value all name their line and column.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{Faults, config};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    size: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer {
    name: String,
    items: Vec<Inner>,
    #[serde(default)]
    fast: bool,
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let validate = |outer: &Outer, faults: &mut Faults| {
        for (i, item) in outer.items.iter().enumerate() {
            faults.within(&format!("items[{i}]"), |faults| {
                if item.size == 0 {
                    faults.add("size", "is 0, want at least 1");
                }
            });
        }
    };
    let error = config::from_str(text, "t", validate).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn values_are_placed() {
    check("name: a\nitems:\n  - size: 1\n  - size: 0\n", "t:4:11: `items[1].size` is 0, want at least 1");
    check(
        "{\"name\": \"a\",\n \"items\": [{\"size\": 0}, {\"size\": 0}]}",
        "t:2:21: `items[0].size` is 0, want at least 1\nt:2:34: `items[1].size` is 0, want at least 1",
    );
}

#[test]
fn types_and_keys_are_placed() {
    for (text, place, word) in [
        ("name: a\nitems:\n  - size: big\n", "t:3:11: ", "big"),
        ("name: a\nitems: []\nfats: true\n", "t:3:1: ", "fats"),
        ("name: a\nitems: [\n", "t:", ""),
        ("items: []\n", "t:1:1: ", "name"),
        ("name: a\nitems: []\nfast: yes\n", "t:3:7: ", "bool"),
    ] {
        let error = config::from_str::<Outer>(text, "t", |_, _| {}).unwrap_err().to_string();
        assert!(error.starts_with(place), "{text:?}: {error}");
        assert!(error.contains(word), "{text:?}: {error}");
    }
}

#[test]
fn quotations_are_cut() {
    let long = "x".repeat(300_000);
    for text in [
        format!("name: a\nitems: [{long}]\n"),
        format!("name: a\nitems:\n  - size: {long}\n"),
        format!("name: a\n{long}: 1\n"),
        format!("name: a\nitems: \"{long}\"\n"),
        format!("{{ {long}"),
    ] {
        let error = config::from_str::<Outer>(&text, "t", |_, _| {}).unwrap_err().to_string();
        assert!(error.len() < 600, "{} bytes: {}", error.len(), &error[..600]);
    }
}

#[test]
fn what_is_written_is_read() {
    let value = Outer { name: "on".into(), items: vec![Inner { size: 3 }], fast: true };
    let yaml = config::to_yaml("outer", &value).unwrap();
    let json = config::to_json("outer", &value).unwrap();
    for text in [yaml, json] {
        assert_eq!(config::from_str::<Outer>(&text, "t", |_, _| {}).unwrap(), value, "{text}");
    }
}
