//! Runs the bodies of the fuzz targets over the committed corpora and over deterministic mutations of them.

use std::path::{Path, PathBuf};

use tinsmith_foundation::{Rng, Seed};

#[path = "../../../../fuzz/src/bodies.rs"]
#[expect(unreachable_pub, reason = "to the fuzz targets this is a library")]
mod bodies;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files.into_iter().map(|path| (path.clone(), std::fs::read(&path).expect("bytes"))).collect()
}

/// A copy with a few bytes changed, ranges removed, repeated or taken from another seed, or truncated.
fn changed(seed: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=rng.index(4) {
        if data.is_empty() {
            break;
        }
        // Headers are at the front, so half of the changes go there.
        let end = if rng.chance(0.5) { data.len().min(512) } else { data.len() };
        let at = rng.index(end);
        match rng.index(8) {
            0 => data[at] = 0xff,
            1 => data[at] = 0,
            2 => data[at] ^= 1 << rng.index(8),
            3 => data[at] = rng.next_u32() as u8,
            // An eight-byte number that claims too much.
            4 => {
                for byte in data.iter_mut().skip(at).take(8) {
                    *byte = if rng.chance(0.7) { 0xff } else { *byte };
                }
            }
            5 => data.truncate(at),
            6 => {
                let part = data[at..(at + 1 + rng.index(16)).min(data.len())].to_vec();
                data.splice(at..at, part);
            }
            _ => {
                let from = rng.index(other.len().max(1)).min(other.len());
                let part = &other[from..(from + 1 + rng.index(12)).min(other.len())];
                let until = (at + part.len()).min(data.len());
                data.splice(at..until, part.iter().copied());
            }
        }
    }
    data
}

#[track_caller]
fn run(target: &str, rounds: usize, body: fn(&[u8])) {
    let seeds = corpus(target);
    for (_, seed) in &seeds {
        body(seed);
    }
    let mut rng = Seed::new(17).derive(target, 0).rng();
    for round in 0..rounds {
        let (path, seed) = &seeds[round % seeds.len()];
        let data = changed(seed, &seeds[rng.index(seeds.len())].1, &mut rng);
        let result = std::panic::catch_unwind(|| body(&data));
        assert!(result.is_ok(), "{target}: round {round}, from {}", path.display());
    }
}

#[test]
fn fuzz_quantizer() {
    run("quantizer", 20_000, bodies::quantizer);
}

#[test]
fn fuzz_specification() {
    run("specification", 3000, bodies::specification);
}

#[test]
fn fuzz_keras_json() {
    run("keras_json", 600, bodies::keras_json);
}

#[test]
fn fuzz_keras_file() {
    run("keras_file", 1500, bodies::keras_file);
}

#[test]
fn fuzz_npz() {
    run("npz", 1000, bodies::npz);
}

#[test]
fn fuzz_safetensors() {
    run("safetensors", 10_000, bodies::safetensors);
}
