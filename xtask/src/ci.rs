//! The checks that a change must pass, the fastest first.

use std::time::Instant;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::{bench, built, codegen, doc, examples, lint, root, test, tidy};

type Step = (&'static str, fn(&Shell) -> Result<()>);

const STEPS: [Step; 9] = [
    ("tidy", |_| tidy::run(&root())),
    ("lint", lint),
    ("package", package),
    ("test", test),
    ("doc", doc),
    ("codegen", |sh| codegen::run(sh, true)),
    ("examples", examples),
    ("bench", |sh| bench(sh, true, None)),
    ("command", command),
];

pub(crate) fn run(sh: &Shell) -> Result<()> {
    let mut took = Vec::new();
    for (name, step) in STEPS {
        // The caller has just run this step by the README's own command.
        if std::env::var("TINSMITH_CI_SKIP").is_ok_and(|skip| skip.split(',').any(|s| s == name)) {
            say(&format!("== {name}: skipped by TINSMITH_CI_SKIP"));
            continue;
        }
        say(&format!("== {name}"));
        let start = Instant::now();
        step(sh).with_context(|| format!("step `{name}` failed"))?;
        took.push(format!("{name} {} s", start.elapsed().as_secs()));
    }
    say(&format!("== all passed: {}", took.join(", ")));
    Ok(())
}

/// Assembles every package as it would be published. The weekly workflow also compiles the results.
fn package(sh: &Shell) -> Result<()> {
    Ok(cmd!(sh, "cargo package --workspace --locked --no-verify --allow-dirty --quiet").run()?)
}

/// Runs the command from end to end, with few trials.
fn command(sh: &Shell) -> Result<()> {
    let dir = sh.create_temp_dir()?;
    let out = dir.path().join("digits");
    let tinsmith = built(sh)?.join("tinsmith");
    cmd!(sh, "{tinsmith} design --trials 4 --epochs 2 --seeds 2 --quiet --out {out}").run()?;
    for file in
        ["spec.yaml", "weights.safetensors", "result.json", "metrics.jsonl", "report.html", "config.yaml"]
    {
        anyhow::ensure!(out.join(file).is_file(), "`tinsmith design` wrote no {file}");
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an automation tool speaks to its user")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
