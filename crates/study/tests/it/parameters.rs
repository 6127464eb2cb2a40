//! Domains and spaces.

use proptest::prelude::*;
use tinsmith_foundation::{Seed, config};
use tinsmith_study::{Domain, FloatDomain, IntDomain, ParamValue, Params, Space};

fn domains() -> Vec<Domain> {
    vec![
        Domain::float(-1.0, 3.0),
        Domain::log_float(1e-6, 10.0),
        Domain::Float(FloatDomain { low: -1.0, high: 1.1, log: false, step: Some(0.1) }),
        Domain::int(-3, 12),
        Domain::log_int(1, 100),
        Domain::Int(IntDomain { low: 2, high: 9, log: false, step: 3 }),
        Domain::categorical([
            ParamValue::Null,
            ParamValue::Bool(false),
            ParamValue::Int(1),
            ParamValue::Float(1.0),
        ]),
        Domain::float(2.0, 2.0),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn units_and_values_are_inverse(u in 0.0_f64..1.0) {
        for domain in domains() {
            let value = domain.from_unit(u);
            prop_assert!(domain.contains(&value), "{domain:?} at {u}: {value:?}");
            let back = domain.from_unit(domain.to_unit(&value).unwrap());
            match (&back, &value) {
                (ParamValue::Float(a), ParamValue::Float(b)) => prop_assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0)),
                _ => prop_assert_eq!(&back, &value),
            }
            if let Some(index) = domain.index_of(&value) {
                prop_assert!(index < domain.cardinality().unwrap());
                prop_assert_eq!(domain.at(index).unwrap(), value);
            }
        }
    }
}

#[test]
fn finite_domains_are_drawn_evenly() {
    let mut rng = Seed::new(4).rng();
    for domain in domains().into_iter().filter(|d| !matches!(d, Domain::Int(i) if i.log)) {
        let Some(count) = domain.cardinality() else { continue };
        let mut seen = vec![0_u32; count as usize];
        for _ in 0..1000 * count {
            seen[domain.index_of(&domain.sample(&mut rng)).unwrap() as usize] += 1;
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{domain:?}: {seen:?}");
    }
    assert!(domains().iter().all(|d| !d.contains(&ParamValue::from("other"))));
}

#[test]
fn spaces_are_read_and_checked() {
    let read = |text: &str| config::from_str::<Space>(text, "s", Space::check);
    let space = read("act: {categorical: {choices: [relu, null, 2, 0.5, true]}}\nrate: {float: {low: 1e-4, high: 0.1, log: true}}\nbits: {int: {low: 2, high: 8}}\n").unwrap();
    assert_eq!(space.parameters().keys().collect::<Vec<_>>(), ["act", "bits", "rate"]);
    let params = space.sample(&mut Seed::new(2).rng());
    let text = serde_json::to_string(&params).unwrap();
    assert_eq!(serde_json::from_str::<Params>(&text).unwrap(), params);
    for (text, fault) in [
        ("x: {int: {low: 2, high: 1}}", "s:1:16: `x.int.low` is 2, want at most high (1)"),
        (
            "x: {float: {low: 0, high: 1, log: true}}",
            "s:1:18: `x.float.low` is 0, want more than 0 where log is true",
        ),
        ("x: {categorical: {choices: [a, a]}}", "s:1:32: `x.categorical.choices[1]` repeats a"),
        ("x: {float: {low: 0, high: 1, step: -1}}", "s:1:36: `x.float.step` is -1, want more than 0"),
    ] {
        assert_eq!(read(text).unwrap_err().to_string(), fault);
    }
    assert!(read("x: {int: {low: 2, high: 8, steps: 1}}").unwrap_err().to_string().contains("steps"));
    assert!(Space::new([("a", Domain::int(0, 1)), ("a", Domain::int(0, 1))]).is_err());
}

#[test]
fn the_ends_of_a_domain_are_exact() {
    for (low, high) in [(0.001, 0.1), (1e-4, 1e-2), (0.003, 0.7)] {
        for domain in [Domain::log_float(low, high), Domain::float(low, high)] {
            assert_eq!(domain.from_unit(0.0), ParamValue::Float(low));
            assert_eq!(domain.from_unit(1.0), ParamValue::Float(high));
        }
    }
}

#[test]
fn the_widest_integers_do_not_wrap() {
    let domain = Domain::int(i64::MIN, i64::MAX);
    assert_eq!(domain.cardinality(), None);
    assert_eq!(domain.at(u64::MAX), Some(ParamValue::Int(i64::MAX)));
    assert_eq!(domain.from_unit(0.5), ParamValue::Int(0));
    assert_eq!(domain.from_unit(1.0), ParamValue::Int(i64::MAX));
    assert_eq!(domain.to_unit(&ParamValue::Int(0)), Some(0.5));
}
