//! All that a change must pass. The order puts what fails fastest first.

use std::time::Instant;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::{bench, built, codegen, doc, examples, lint, root, test, tidy};

type Step = (&'static str, fn(&Shell) -> Result<()>);

const STEPS: [Step; 8] = [
    ("tidy", |_| tidy::run(&root())),
    ("lint", lint),
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
        // What the README's own command has just run need not run twice.
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

/// The command from end to end, on data small enough for the profile of the tests.
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
