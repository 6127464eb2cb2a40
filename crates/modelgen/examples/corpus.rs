//! Timing of a corpus: a million distinct networks of the default family with their costs, or the corpus of a file.
//!
//! Run with `cargo run --release -p tinsmith-modelgen --example corpus -- OUT [CONFIG.yaml] [JOBS]`.

#![expect(clippy::print_stdout, reason = "examples print their results")]

use std::path::PathBuf;
use std::time::Instant;

use tinsmith_foundation::{CancelToken, Silent, WorkerScope, config};
use tinsmith_modelgen::{CorpusConfig, generate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().map_or_else(|| std::env::temp_dir().join("corpus.jsonl"), PathBuf::from);
    let corpus = match arguments.next() {
        Some(path) => config::load(&PathBuf::from(path), CorpusConfig::check)?,
        // 3 to 8 layers, duplicates dropped.
        None => CorpusConfig { count: 1_000_000, ..CorpusConfig::default() },
    };
    let scope = match arguments.next() {
        Some(jobs) => WorkerScope::new(jobs.parse()?),
        None => WorkerScope::available(),
    };
    let start = Instant::now();
    let manifest = generate(&corpus, &out, scope, &CancelToken::new(), &Silent)?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} networks in {seconds:.1} s, {:.0} a second, {} draws, {} duplicates, in {}",
        manifest.written,
        manifest.written as f64 / seconds,
        manifest.tally.draws,
        manifest.tally.duplicates,
        out.display()
    );
    Ok(())
}
