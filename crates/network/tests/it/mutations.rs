//! Readers answer any text with a value or an error, never with a panic.

use tinsmith_foundation::Seed;
use tinsmith_network::{ModelSpec, Quantizer, json_schema};

use crate::kind_examples;
use crate::mutated::mutated;

fn read_all(text: &str) {
    if let Ok(spec) = ModelSpec::parse(text, "m") {
        let written = spec.to_json().unwrap();
        assert_eq!(ModelSpec::parse(&written, "m").unwrap(), spec, "{text}\n{written}");
        spec.structural_hash().unwrap();
        spec.summary().unwrap();
    }
    let _ = text.parse::<Quantizer>();
}

#[test]
fn no_text_makes_a_reader_panic() {
    assert!(json_schema().is_object());
    for (i, (_, spec)) in kind_examples::all().into_iter().enumerate() {
        let text = spec.to_yaml().unwrap();
        let mut rng = Seed::new(5).derive("mutations", i as u64).rng();
        read_all(&text);
        for _ in 0..40 {
            read_all(&mutated(&text, &mut rng));
        }
    }
}
