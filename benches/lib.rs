//! Criterion benchmarks, one file per crate; run with `cargo bench -p tinsmith-benches`.
