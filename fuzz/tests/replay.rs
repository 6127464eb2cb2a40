//! Runs every target over its seeds and over changed copies, the same ones each time.

use tinsmith_fuzz::{TARGETS, input, seeds};

#[test]
fn every_reader_bears_changed_input() {
    for target in TARGETS {
        let seeds = seeds(target.name).unwrap_or_else(|e| panic!("{}: {e}", target.name));
        for round in 0..target.rounds.max(seeds.len() as u64) {
            let data = input(target.name, &seeds, 17, round);
            let result = std::panic::catch_unwind(|| (target.body)(&data));
            assert!(result.is_ok(), "{}: execution {round}", target.name);
        }
    }
}
