//! Committed generated files: the JSON schemas for editors, written by the command itself.

use anyhow::{Result, ensure};
use xshell::{Shell, cmd};

/// File under `docs/`, and its name in `tinsmith schema`.
const SCHEMAS: [(&str, &str); 8] = [
    ("docs/model.schema.json", "model"),
    ("docs/design.schema.json", "design"),
    ("docs/generator.schema.json", "generator"),
    ("docs/corpus.schema.json", "corpus"),
    ("docs/designed.schema.json", "designed"),
    ("docs/training.schema.json", "training"),
    ("docs/slurm.schema.json", "slurm"),
    ("docs/sweep.schema.json", "sweep"),
];

pub(crate) fn run(sh: &Shell, check: bool) -> Result<()> {
    let tinsmith = crate::built(sh)?.join("tinsmith");
    for (path, name) in SCHEMAS {
        let text = cmd!(sh, "{tinsmith} schema {name}").read()? + "\n";
        if check {
            let found = sh.read_file(path).unwrap_or_default();
            ensure!(found == text, "{path} is not what the types say; run `cargo xtask codegen`");
        } else {
            sh.write_file(path, text)?;
        }
    }
    Ok(())
}
