//! Automation of the repository: `cargo xtask <verb>`. Continuous integration runs the same verbs.

mod ci;
mod codegen;
mod fuzz;
mod language;
mod peers;
mod tidy;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

mod flags {
    use std::path::PathBuf;

    xflags::xflags! {
        /// Automation of the repository.
        cmd xtask {
            /// Everything that a change must pass, in order; stops at the first failure.
            cmd ci {}
            /// Rules on files, manifests and dependency directions.
            cmd tidy {}
            /// Counts of the documentation's language per package.
            cmd language {
                /// List every documentation block with a bad opener.
                optional --list
            }
            /// All tests of the workspace.
            cmd test {}
            /// Formatting and clippy, warnings denied.
            cmd lint {}
            /// Documentation, warnings denied.
            cmd doc {}
            /// Runs every numbered example.
            cmd examples {}
            /// Criterion benchmarks.
            cmd bench {
                /// Run each benchmark once, untimed, to see that it works.
                optional --smoke
                /// Save the results under this name, to be compared with later ones.
                optional --baseline name: String
            }
            /// Speed beside PyTorch and Keras, measured alternately; makes their Python environments where missing.
            cmd peers {
                /// Only this workload (may be repeated).
                repeated --workload name: String
                /// Threads of each network (may be repeated). Default 1 and 2.
                repeated --threads count: u32
                /// Only in float.
                optional --float
                /// Only with quantizers.
                optional --quantized
                /// Measurements of each side. Default 5.
                optional --rounds count: usize
                /// Folder of the Python environments. Default target/peers.
                optional --environments dir: PathBuf
                /// Folder for the raw lines and the table.
                optional --out dir: PathBuf
                /// Only compare losses after 200 steps from equal weights.
                optional --losses
            }
            /// Tests against reference values.
            cmd golden {
                /// A folder of reference values to use instead of those in the repository.
                optional --from dir: PathBuf
            }
            /// Tests of the unsafe code and of the planned executor under the address sanitizer (x86-64 and AArch64 Linux
            /// and macOS).
            cmd sanitize {}
            /// Runs every reader over changed copies of its seeds, with limits on memory and time.
            cmd fuzz {
                /// Only this target. Default all.
                optional target: String
                /// Minutes for each target. Default 1.
                optional --minutes count: u64
                /// Seed of the changes. Default 17.
                optional --seed number: u64
            }
            /// Writes the generated files: JSON schemas.
            cmd codegen {
                /// Do not write; fail where a file is not what would be written.
                optional --check
            }
        }
    }
}

fn main() -> Result<()> {
    let flags = flags::Xtask::from_env_or_exit();
    let sh = Shell::new()?;
    sh.change_dir(root());
    match flags.subcommand {
        flags::XtaskCmd::Ci(_) => ci::run(&sh),
        flags::XtaskCmd::Tidy(_) => tidy::run(&root()),
        flags::XtaskCmd::Language(flags) => tidy::language(&root(), flags.list),
        flags::XtaskCmd::Test(_) => test(&sh),
        flags::XtaskCmd::Lint(_) => lint(&sh),
        flags::XtaskCmd::Sanitize(_) => sanitize(&sh),
        flags::XtaskCmd::Doc(_) => doc(&sh),
        flags::XtaskCmd::Examples(_) => examples(&sh),
        flags::XtaskCmd::Bench(flags) => bench(&sh, flags.smoke, flags.baseline.as_deref()),
        flags::XtaskCmd::Peers(flags) => peers::run(
            &sh,
            &peers::Plan {
                workloads: flags.workload,
                threads: if flags.threads.is_empty() { vec![1, 2] } else { flags.threads },
                forms: match (flags.float, flags.quantized) {
                    (true, false) => vec![false],
                    (false, true) => vec![true],
                    _ => vec![false, true],
                },
                rounds: flags.rounds.unwrap_or(5).max(1),
                environments: flags.environments.unwrap_or_else(|| PathBuf::from("target/peers")),
                out: flags.out,
                only_losses: flags.losses,
            },
        ),
        flags::XtaskCmd::Golden(flags) => golden(&sh, flags.from.as_deref()),
        flags::XtaskCmd::Fuzz(flags) => {
            fuzz::run(&sh, flags.target.as_deref(), flags.minutes.unwrap_or(1), flags.seed.unwrap_or(17))
        }
        flags::XtaskCmd::Codegen(flags) => codegen::run(&sh, flags.check),
    }
}

/// The workspace's folder.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

fn test(sh: &Shell) -> Result<()> {
    Ok(cmd!(sh, "cargo test --workspace --locked").run()?)
}

/// Uses a target folder of its own, since everything is compiled with the sanitizer. The flag needs `RUSTC_BOOTSTRAP`; its
/// runtime comes with the stable compiler. Naming the target keeps the flag from build scripts.
fn sanitize(sh: &Shell) -> Result<()> {
    let version = cmd!(sh, "rustc -vV").read()?;
    let host =
        version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    let flags = ["-Zsanitizer=address", &std::env::var("RUSTFLAGS").unwrap_or_default()].join(" ");
    let _bootstrap = sh.push_env("RUSTC_BOOTSTRAP", "1");
    let _flags = sh.push_env("RUSTFLAGS", flags.trim());
    // Helper threads are not joined at the end of a process, so their buffers would be reported as leaks.
    let _options = sh.push_env("ASAN_OPTIONS", "detect_leaks=0");
    let crates = ["-p", "tinsmith-kernels", "-p", "tinsmith-core-tensor", "-p", "tinsmith-layers"];
    cmd!(sh, "cargo test {crates...} --lib --tests --target {host} --target-dir target/sanitize").run()?;
    Ok(())
}

fn lint(sh: &Shell) -> Result<()> {
    cmd!(sh, "cargo fmt --all --check").run()?;
    Ok(cmd!(sh, "cargo clippy --workspace --all-targets --locked -- -D warnings").run()?)
}

fn doc(sh: &Shell) -> Result<()> {
    let _env = sh.push_env("RUSTDOCFLAGS", "-D warnings");
    Ok(cmd!(sh, "cargo doc --workspace --no-deps --locked").run()?)
}

fn examples(sh: &Shell) -> Result<()> {
    let built = built(sh)?.join("examples");
    for name in example_names(sh)? {
        let example = built.join(&name);
        cmd!(sh, "{example}").run().with_context(|| format!("example {name}"))?;
    }
    Ok(())
}

/// Builds the command and all examples in the profile of the tests, and returns their folder.
///
/// Builds the whole workspace as the tests do: for a single package, cargo would select other features and compile the
/// dependencies again.
fn built(sh: &Shell) -> Result<PathBuf> {
    cmd!(sh, "cargo build --quiet --workspace --bins --examples --locked").run()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("debug"))
}

/// The names of the files in `examples/`, in order.
fn example_names(sh: &Shell) -> Result<Vec<String>> {
    let mut names: Vec<String> = sh
        .read_dir("examples")?
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
        .filter(|name| name != "lib")
        .collect();
    names.sort();
    Ok(names)
}

fn bench(sh: &Shell, smoke: bool, baseline: Option<&str>) -> Result<()> {
    if smoke {
        // In the profile of the tests, so that continuous integration compiles the dependencies once.
        return Ok(cmd!(sh, "cargo test --workspace --locked --bench *").run()?);
    }
    let save: Vec<&str> = baseline.map_or_else(Vec::new, |name| vec!["--save-baseline", name]);
    Ok(cmd!(sh, "cargo bench --workspace --locked --bench * -- {save...}").run()?)
}

fn golden(sh: &Shell, from: Option<&Path>) -> Result<()> {
    let dir = from
        .map(|dir| dir.canonicalize().with_context(|| format!("no folder {}", dir.display())))
        .transpose()?;
    let _env = dir.map(|dir| sh.push_env("TINSMITH_GOLDEN", dir));
    Ok(cmd!(sh, "cargo test --workspace --locked golden -- --nocapture").run()?)
}
