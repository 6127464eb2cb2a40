//! The import answers any text with a network or an error, never with a panic, and the export's text is read again.

use tinsmith_foundation::Seed;
use tinsmith_network::ModelSpec;

use crate::mutated::mutated;
use crate::{golden, kind_examples};

fn read_all(text: &str) {
    if let Ok(spec) = ModelSpec::parse(text, "m")
        && let Ok(stored) = tinsmith_keras::write_json(&spec)
    {
        let again =
            tinsmith_keras::read_json(&stored, "m").map_err(|e| format!("{e}\n{text}\n{stored}")).unwrap();
        again.structural_hash().unwrap();
    }
    if let Ok(spec) = tinsmith_keras::read_json(text, "m") {
        spec.graph().unwrap();
    }
}

#[test]
fn no_text_makes_the_import_panic() {
    let examples = kind_examples::all();
    let mut corpus: Vec<String> = examples.iter().map(|(_, spec)| spec.to_yaml().unwrap()).collect();
    corpus.extend(examples.iter().filter_map(|(_, spec)| tinsmith_keras::write_json(spec).ok()));
    corpus.push(golden::text("models/qmlp/architecture.json"));
    for (i, text) in corpus.iter().enumerate() {
        let mut rng = Seed::new(5).derive("mutations", i as u64).rng();
        read_all(text);
        for _ in 0..40 {
            read_all(&mutated(text, &mut rng));
        }
    }
}
