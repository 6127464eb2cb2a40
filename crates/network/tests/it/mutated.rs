//! Random changes of a text, for readers that must answer any text with a value or an error.

use tinsmith_foundation::Rng;

/// Inserted tokens: words of the formats, and numbers at the edges of their ranges.
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

/// `text` after one to three random deletions, insertions, replacements or duplications.
pub(crate) fn mutated(text: &str, rng: &mut Rng) -> String {
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
