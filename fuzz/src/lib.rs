//! Fuzzing of every reader: the bodies of the targets, and deterministic mutations of the committed seeds.

#![forbid(unsafe_code)]

mod folders;
mod mutation;
mod networks;
mod tables;
mod trainings;

use std::path::{Path, PathBuf};

use tinsmith_foundation::Seed;

pub use mutation::changed;

/// A reader under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name, also of its folder of seeds.
    pub name: &'static str,
    /// Reads an input. A panic is a fault.
    pub body: fn(&[u8]),
    /// Executions in the replay, few for slow readers.
    pub rounds: u64,
}

/// All targets, by name.
pub const TARGETS: [Target; 17] = [
    Target { name: "checkpoint", body: trainings::checkpoint, rounds: 300 },
    Target { name: "corpus", body: networks::corpus, rounds: 1000 },
    Target { name: "design_yaml", body: trainings::design_yaml, rounds: 2000 },
    Target { name: "fleet_folder", body: folders::fleet_folder, rounds: 300 },
    Target { name: "idx", body: tables::idx, rounds: 5000 },
    Target { name: "journal", body: tables::journal, rounds: 3000 },
    Target { name: "keras_file", body: networks::keras_file, rounds: 1500 },
    Target { name: "keras_json", body: networks::keras_json, rounds: 600 },
    Target { name: "npy", body: tables::npy, rounds: 5000 },
    Target { name: "npz", body: tables::npz, rounds: 1000 },
    Target { name: "quantizer", body: networks::quantizer, rounds: 20_000 },
    Target { name: "run_folder", body: folders::run_folder, rounds: 1000 },
    Target { name: "safetensors", body: networks::safetensors, rounds: 5000 },
    Target { name: "specification", body: networks::specification, rounds: 3000 },
    Target { name: "sweep", body: folders::sweep, rounds: 1000 },
    Target { name: "table", body: tables::table, rounds: 1000 },
    Target { name: "training_yaml", body: trainings::training_yaml, rounds: 2000 },
];

/// Seeds of a target with their paths, in order.
///
/// # Errors
/// If the folder has no seeds or cannot be read.
pub fn seeds(target: &str) -> std::io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries: Result<Vec<PathBuf>, _> = folder.read_dir()?.map(|entry| entry.map(|e| e.path())).collect();
    let mut paths = entries?;
    paths.sort();
    if paths.is_empty() {
        return Err(std::io::Error::other(format!("{} has no seeds", folder.display())));
    }
    paths.into_iter().map(|path| std::fs::read(&path).map(|bytes| (path, bytes))).collect()
}

/// Input number `round` of a target: a seed as it is at first, then changed copies.
#[must_use]
pub fn input(target: &str, seeds: &[(PathBuf, Vec<u8>)], seed: u64, round: u64) -> Vec<u8> {
    let place = (round % seeds.len() as u64) as usize;
    let (_, bytes) = &seeds[place];
    if round < seeds.len() as u64 {
        return bytes.clone();
    }
    let mut rng = Seed::new(seed).derive(target, round).rng();
    let other = rng.index(seeds.len());
    changed(bytes, &seeds[other].1, &mut rng)
}
