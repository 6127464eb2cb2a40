//! Training speed beside PyTorch and Keras, measured alternately in one run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::ci::say;

/// Scope of a comparison.
pub(crate) struct Plan {
    pub(crate) workloads: Vec<String>,
    pub(crate) threads: Vec<u32>,
    /// Float, quantized, or both.
    pub(crate) forms: Vec<bool>,
    pub(crate) rounds: usize,
    /// Folder of the Python environments; missing ones are created.
    pub(crate) environments: PathBuf,
    /// Folder for the raw lines and the table.
    pub(crate) out: Option<PathBuf>,
    /// Compares losses only.
    pub(crate) only_losses: bool,
}

type Bars = (&'static str, [f64; 2], Option<[f64; 2]>);

/// Lowest accepted ratio to the faster peer: float on one and two threads, quantized on one and two.
const BARS: [Bars; 6] = [
    ("jet_mlp", [2.0, 3.0], Some([2.5, 4.0])),
    ("sparana_mlp", [1.1, 1.5], None),
    ("mnist_cnn", [1.4, 1.8], Some([2.5, 2.8])),
    ("ds_cnn", [1.8, 2.2], None),
    ("har_cnn1d", [1.5, 2.5], Some([2.3, 3.5])),
    ("resnet8", [1.3, 1.5], None),
];

/// A framework, one way of using it, and its script.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Peer {
    environment: &'static str,
    script: &'static str,
    variant: &'static str,
}

/// The ways of using each framework that were fastest on some machine; the first round tries them all.
fn peers(workload: &str, quantized: bool) -> Vec<Peer> {
    let keras = |variant| Peer { environment: "tf", script: "keras_bench.py", variant };
    let torch = |variant| Peer { environment: "torch", script: "torch_bench.py", variant };
    let is_image = matches!(workload, "mnist_cnn" | "ds_cnn" | "resnet8");
    let mut peers = vec![keras("loop")];
    if matches!(workload, "jet_mlp" | "sparana_mlp") {
        peers.push(keras("loop_jit"));
    }
    if !quantized {
        peers.push(torch(if is_image { "cl" } else { "fused" }));
        peers.push(torch(if is_image { "cl@malloc" } else { "fused@malloc" }));
    }
    peers
}

pub(crate) fn run(sh: &Shell, plan: &Plan) -> Result<()> {
    make_environments(sh, &plan.environments)?;
    cmd!(sh, "cargo build --release --workspace --example throughput").run()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let ours = target.join("release/examples/throughput");
    let (mut lines, mut apart) = (Vec::new(), Vec::new());
    let mut table = String::from(
        "| workload | form | threads | ours, samples/s | faster peer | its samples/s | ratio | bar |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (workload, float_bars, quantized_bars) in BARS {
        if !plan.workloads.is_empty() && !plan.workloads.iter().any(|w| w == workload) {
            continue;
        }
        for &quantized in &plan.forms {
            let bars = if quantized { quantized_bars } else { Some(float_bars) };
            let Some(bars) = bars else { continue };
            if !agree(sh, plan, &ours, workload, quantized, &mut lines)? {
                apart.push(workload);
            }
            if plan.only_losses {
                continue;
            }
            for &threads in &plan.threads {
                let bar = bars[usize::from(threads > 1)];
                let found = alternate(sh, plan, &ours, (workload, quantized, threads), &mut lines)?;
                let (mine, peer, theirs, ratio) = found;
                let form = if quantized { "quantized" } else { "float" };
                let row = format!(
                    "| {workload} | {form} | {threads} | {mine:.0} | {} {} | {theirs:.0} | {ratio:.2} | {bar} |",
                    peer.environment, peer.variant
                );
                say(&row);
                writeln!(table, "{row}")?;
                save(plan, &lines, &table)?;
            }
        }
    }
    say(&table);
    save(plan, &lines, &table)?;
    ensure!(apart.is_empty(), "losses are more than 2 % apart: {}", apart.join(", "));
    Ok(())
}

/// Writes the measurements so far, so that an interrupted run leaves them.
fn save(plan: &Plan, lines: &[String], table: &str) -> Result<()> {
    if let Some(out) = &plan.out {
        std::fs::create_dir_all(out)?;
        std::fs::write(out.join("lines.jsonl"), lines.join("\n") + "\n")?;
        std::fs::write(out.join("ratios.md"), table)?;
    }
    Ok(())
}

/// First and last loss of 200 steps from the same weights on the same rows. Returns whether theirs is within 2 % of ours, or
/// of what ours comes to where rows differ in their last digit.
fn agree(
    sh: &Shell,
    plan: &Plan,
    ours: &Path,
    workload: &str,
    quantized: bool,
    lines: &mut Vec<String>,
) -> Result<bool> {
    let folder = sh.create_temp_dir()?;
    let file = folder.path().join("exchange.npz");
    let python = plan.environments.join("tf/bin/python");
    let script = crate::root().join("benches/peers/keras_bench.py");
    let quantized_flag = quantized.then_some("--quantized");
    let theirs = cmd!(sh, "{python} {script} --workload {workload} {quantized_flag...} --exchange {file}")
        .quiet()
        .read()?;
    let mine =
        cmd!(sh, "{ours} --workload {workload} {quantized_flag...} --exchange {file}").quiet().read()?;
    let (theirs, mine) = (last_line(&theirs)?, last_line(&mine)?);
    lines.extend([theirs.to_string(), mine.to_string()]);
    let form = if quantized { " quantized" } else { "" };
    let mut agrees = true;
    for key in ["first_loss", "loss_after_20", "final_loss"] {
        let (a, b) = (number(&mine, key)?, number(&theirs, key)?);
        let range = &mine[format!("{key}_range")];
        let ends = (range[0].as_f64().unwrap_or(a), range[1].as_f64().unwrap_or(a));
        say(&format!("{workload}{form}: {key} {a:.5} ({:.5} to {:.5}), theirs {b:.5}", ends.0, ends.1));
        let margin = 0.02 * b.abs();
        agrees &= (ends.0 - margin..=ends.1 + margin).contains(&b);
    }
    Ok(agrees)
}

/// Ours and theirs in turn. Returns our median, the faster peer, its median, and the median of the rounds' ratios.
fn alternate(
    sh: &Shell,
    plan: &Plan,
    ours: &Path,
    (workload, quantized, threads): (&str, bool, u32),
    lines: &mut Vec<String>,
) -> Result<(f64, Peer, f64, f64)> {
    let (count, quantized_flag) = (threads.to_string(), quantized.then_some("--quantized"));
    let mut candidates = peers(workload, quantized);
    let (mut mine, mut theirs) = (Vec::new(), BTreeMap::<Peer, Vec<f64>>::new());
    for _ in 0..plan.rounds {
        let line =
            cmd!(sh, "{ours} --workload {workload} --threads {count} {quantized_flag...}").quiet().read()?;
        let line = last_line(&line)?;
        mine.push(number(&line, "samples_per_s")?);
        lines.push(line.to_string());
        for peer in &candidates {
            let python = plan.environments.join(peer.environment).join("bin/python");
            let (script, variant) = (crate::root().join("benches/peers").join(peer.script), peer.variant);
            let line = cmd!(
                sh,
                "{python} {script} --workload {workload} --threads {count} {quantized_flag...} --variants {variant}"
            )
            .quiet()
            .read()?;
            let line = last_line(&line)?;
            theirs.entry(peer.clone()).or_default().push(number(&line, "samples_per_s")?);
            lines.push(line.to_string());
        }
        let best = theirs.iter().max_by(|a, b| median(a.1).total_cmp(&median(b.1)));
        let best = best.map(|(peer, _)| peer.clone()).context("no peer was measured")?;
        candidates = vec![best];
    }
    let Some(peer) = candidates.pop() else { bail!("no peer was measured") };
    let rates = &theirs[&peer];
    let ratios: Vec<f64> = mine.iter().zip(rates).map(|(a, b)| a / b).collect();
    Ok((median(&mine), peer.clone(), median(rates), median(&ratios)))
}

fn make_environments(sh: &Shell, folder: &Path) -> Result<()> {
    let environments: [(&str, &[&str]); 2] = [
        (
            "tf",
            &[
                "tensorflow-cpu==2.15.*",
                "qkeras==0.9.0",
                "keras-tuner",
                "scikit-learn",
                "scipy",
                "threadpoolctl",
                "pyparsing",
            ],
        ),
        ("torch", &["torch", "numpy", "scipy", "threadpoolctl", "brevitas"]),
    ];
    for (name, packages) in environments {
        let environment = folder.join(name);
        // The marker is written last, so that an installation that was cut short is made anew.
        let marker = environment.join("complete");
        if marker.exists() {
            continue;
        }
        say(&format!("making the Python environment {}", environment.display()));
        cmd!(sh, "python3.11 -m venv {environment}").run().context("want python3.11 with its venv module")?;
        let pip = environment.join("bin/pip");
        cmd!(sh, "{pip} install --quiet {packages...}").run()?;
        std::fs::write(marker, "")?;
    }
    Ok(())
}

fn last_line(text: &str) -> Result<Value> {
    let line =
        text.lines().rfind(|l| l.starts_with('{')).with_context(|| format!("no line of JSON in {text:?}"))?;
    Ok(serde_json::from_str(line)?)
}

fn number(line: &Value, key: &str) -> Result<f64> {
    line[key].as_f64().with_context(|| format!("no number {key} in {line}"))
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
