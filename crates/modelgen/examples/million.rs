//! A million distinct networks with their costs, timed:
//! `cargo run --release -p tinsmith-modelgen --example million [COUNT] [JOBS] [FILE]`.
#![expect(clippy::print_stdout, reason = "an example speaks to its reader")]

use std::path::PathBuf;
use std::time::Instant;

use tinsmith_foundation::{CancelToken, Silent, WorkerScope};
use tinsmith_modelgen::{BatchConfig, ModelgenError, generate};

fn main() -> Result<(), ModelgenError> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let count = number(1_000_000);
    let jobs = number(WorkerScope::available().cores());
    let out = arguments.next().map_or_else(|| std::env::temp_dir().join("million.jsonl"), PathBuf::from);
    // The defaults: 3 to 8 layers, duplicates dropped, costs in each line.
    let config = BatchConfig { count: count as u64, ..BatchConfig::default() };
    let start = Instant::now();
    let manifest = generate(&config, &out, WorkerScope::new(jobs), &CancelToken::new(), &Silent)?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} networks in {seconds:.1} s, {:.0} a second, {} duplicates dropped, in {}",
        manifest.written,
        manifest.written as f64 / seconds,
        manifest.tally.duplicates,
        out.display()
    );
    Ok(())
}
