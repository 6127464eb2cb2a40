//! The whole pipeline in a few seconds: a design with very few trials, resumed from its folder.
//!
//! Run with `cargo run --example 05_design`; the full version is `cargo run --release -- design`.

#![expect(clippy::print_stdout, reason = "examples print their results")]

use tinsmith_foundation::{CancelToken, Silent};
use tinsmith_workshop::{
    DesignConfig, GenerateOptions, PruneOptions, SearchOptions, Session, design, resume,
};

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let out = dir.path().join("digits");
    let config = DesignConfig {
        flash: "4KiB".parse()?,
        ram: "1KiB".parse()?,
        trials: 4,
        seeds: 2,
        epochs: Some(4),
        out: Some(out.clone()),
        generate: GenerateOptions { candidates: 8 },
        search: SearchOptions { finalists: 1, ..SearchOptions::default() },
        prune: PruneOptions { sparsities: vec![0.3, 0.6], ..PruneOptions::default() },
        ..DesignConfig::default()
    };
    let session = Session::new(&Silent, CancelToken::new());
    let result = design(config, &session)?;

    for (name, figures) in [("baseline", &result.baseline), ("winner", &result.winner)] {
        println!(
            "{name:>8}: {:.1} % in {} bytes of flash and {} of RAM, {:.1} bits a weight",
            100.0 * figures.mean,
            figures.flash_bytes,
            figures.ram_bytes,
            figures.bits_per_weight
        );
    }
    assert!(result.winner.flash_bytes <= 4 << 10 && result.winner.ram_bytes <= 1 << 10);
    assert!(result.winner.flash_bytes < result.baseline.flash_bytes);

    // Resuming a finished design reads its result.
    assert_eq!(resume(&out, None, &session)?, result);
    Ok(())
}
