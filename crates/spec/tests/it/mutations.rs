//! Readers answer any text with a value or an error, never with a panic.

use tinsmith_foundation::{Rng, Seed};
use tinsmith_spec::{ModelSpec, Quantizer, json_schema, keras};

use crate::{golden, kinds};

/// The body: everything that reads a text, and what is done with what was read.
fn read_all(text: &str) {
    if let Ok(spec) = ModelSpec::parse(text, "m") {
        let written = spec.to_json().unwrap();
        assert_eq!(ModelSpec::parse(&written, "m").unwrap(), spec, "{text}\n{written}");
        spec.structural_hash().unwrap();
        spec.summary().unwrap();
        if let Ok(stored) = keras::write_json(&spec) {
            let again = keras::read_json(&stored, "m").map_err(|e| format!("{e}\n{text}\n{stored}")).unwrap();
            again.structural_hash().unwrap();
        }
    }
    if let Ok(spec) = keras::read_json(text, "m") {
        spec.graph().unwrap();
    }
    let _ = text.parse::<Quantizer>();
}

/// What a mutation puts in: tokens of the formats, and numbers at the edges.
const TOKENS: [&str; 24] = [
    "0",
    "-1",
    "1",
    "3",
    "18446744073709551615",
    "9223372036854775807",
    "4294967296",
    "1e308",
    "-0.0",
    "null",
    "{}",
    "[]",
    "[",
    "}",
    "\"",
    "'",
    ":",
    ", ",
    "é",
    "\n",
    "true",
    "same",
    "relu",
    "[1, 2, 3]",
];

fn mutated(text: &str, rng: &mut Rng) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..=rng.below(3) {
        let at = rng.index(characters.len().max(1)).min(characters.len());
        match rng.below(4) {
            0 => {
                let end = (at + 1 + rng.index(8)).min(characters.len());
                characters.drain(at..end);
            }
            1 => {
                let token = TOKENS[rng.index(TOKENS.len())];
                characters.splice(at..at, token.chars());
            }
            2 => {
                // A number or word is replaced as a whole: this gets past the syntax most often.
                let is_part = |c: &char| c.is_alphanumeric() || *c == '_' || *c == '-';
                let start = (0..at).rev().find(|&i| !is_part(&characters[i])).map_or(0, |i| i + 1);
                let end =
                    (at..characters.len()).find(|&i| !is_part(&characters[i])).unwrap_or(characters.len());
                let token = TOKENS[rng.index(TOKENS.len())];
                characters.splice(start..end, token.chars());
            }
            _ => {
                let from = rng.index(characters.len().max(1)).min(characters.len());
                let piece: Vec<char> =
                    characters[from..(from + rng.index(30)).min(characters.len())].to_vec();
                characters.splice(at..at, piece);
            }
        }
    }
    characters.into_iter().collect()
}

#[test]
fn no_text_makes_a_reader_panic() {
    let mut corpus: Vec<String> = kinds::all().into_iter().map(|(_, spec)| spec.to_yaml().unwrap()).collect();
    corpus.extend(kinds::all().iter().filter_map(|(_, spec)| keras::write_json(spec).ok()));
    corpus.push(golden::text("models/qmlp/architecture.json"));
    assert!(json_schema().is_object());
    for (i, text) in corpus.iter().enumerate() {
        let mut rng = Seed::new(5).derive("mutations", i as u64).rng();
        read_all(text);
        for _ in 0..40 {
            read_all(&mutated(text, &mut rng));
        }
    }
}
