//! Fuzzing with the driver in `fuzz/`, built with the stable toolchain.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

/// Address space of the driver in KiB. The driver itself ends at 256 MiB for one input; this bound also stops a single
/// allocation beyond it.
const ADDRESS_SPACE: &str = "1048576";

/// Runs `target`, or all targets one after the other; stops at the first fault.
pub(crate) fn run(sh: &Shell, target: Option<&str>, minutes: u64, seed: u64) -> Result<()> {
    cmd!(sh, "cargo build --profile fuzz --package tinsmith-fuzz --locked").run()?;
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let driver = folder.join("fuzz/tinsmith-fuzz");
    // Files of the targets are small and many.
    let memory = PathBuf::from("/dev/shm");
    let _folder = memory.is_dir().then(|| sh.push_env("TMPDIR", memory));
    let targets = targets(sh)?;
    let chosen: Vec<&str> = match target {
        Some(name) if !targets.iter().any(|t| t == name) => {
            bail!("no target `{name}`; there are {}", targets.join(", "))
        }
        Some(name) => vec![name],
        None => targets.iter().map(String::as_str).collect(),
    };
    let (minutes, seed) = (minutes.to_string(), seed.to_string());
    for name in chosen {
        let script = "ulimit -v \"$1\" 2>/dev/null; shift; exec \"$@\"";
        cmd!(sh, "sh -c {script} sh {ADDRESS_SPACE} {driver} {name} {minutes} {seed}").run().with_context(
            || {
                let at = sh.read_file(format!("target/fuzz-found/{name}.at")).unwrap_or_default();
                let at = at.split_whitespace().last().unwrap_or("?").to_owned();
                format!("target {name}, execution {at}; again: {} {name} 0 {seed} {at}", driver.display())
            },
        )?;
    }
    Ok(())
}

/// The folders of seeds, one for each target.
fn targets(sh: &Shell) -> Result<Vec<String>> {
    let folders = sh.read_dir("fuzz/corpus")?;
    let mut names: Vec<String> =
        folders.iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect();
    names.sort();
    Ok(names)
}
