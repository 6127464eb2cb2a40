//! Tables of results: comparisons of models and sweep values, and exports of every run.

use std::collections::BTreeMap;
use std::io::Write;

use tinsmith_trainer::metric::mean_and_deviation;

use crate::error::{FleetError, Result};
use crate::outcome::Outcome;
use crate::plan::{Plan, PlannedRun};
use crate::project::Project;
use crate::state::{RunState, Status};

/// Results of the runs that share the values of some keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Values of the grouping keys.
    pub keys: Vec<String>,
    /// Number of runs with a result.
    pub runs: usize,
    /// Mean of the score.
    pub mean: f64,
    /// Standard deviation of the score over the runs.
    pub deviation: f64,
    /// Index of the best run.
    pub best: u64,
    /// Its score.
    pub best_score: f64,
}

/// Returns true for scores to minimize: losses, errors and durations.
#[must_use]
pub fn is_less_better(score: &str) -> bool {
    score.contains("loss") || score.contains("error") || score == "seconds"
}

/// Returns the value of a run's key: `class`, `architecture`, `model`, `replicate`, or a parameter of the
/// sweep.
fn key_of(run: &PlannedRun, key: &str) -> Option<String> {
    match key {
        "class" => Some(run.class.clone()),
        "architecture" => Some(run.architecture.clone()),
        "model" => Some(run.model().to_string()),
        "replicate" => Some(run.replicate.to_string()),
        _ => run.values.get(key).map(ToString::to_string),
    }
}

fn score_of(outcome: &Outcome, score: &str) -> Option<f64> {
    if score == "seconds" { Some(outcome.seconds) } else { outcome.scores.get(score).copied() }
}

/// Groups the results by `keys`, the best group first.
///
/// # Errors
/// [`FleetError::Usage`] if no run has these keys and this score; the message lists those that exist.
pub fn compare(plan: &Plan, status: &Status, keys: &[String], score: &str) -> Result<Vec<Group>> {
    let mut groups: BTreeMap<Vec<String>, Vec<(u64, f64)>> = BTreeMap::new();
    let mut known: BTreeMap<&str, ()> = BTreeMap::new();
    for (run, outcome) in
        plan.runs.iter().zip(&status.runs).filter_map(|(r, s)| Some((r, s.outcome.as_ref()?)))
    {
        known.extend(outcome.scores.keys().map(|name| (name.as_str(), ())));
        let found: Option<Vec<String>> = keys.iter().map(|key| key_of(run, key)).collect();
        if let (Some(found), Some(value)) = (found, score_of(outcome, score)) {
            groups.entry(found).or_default().push((run.index, value));
        }
    }
    if groups.is_empty() && !known.is_empty() {
        let known = known.keys().copied().collect::<Vec<_>>().join(", ");
        let parameters =
            plan.runs.iter().flat_map(|r| r.values.0.keys()).collect::<std::collections::BTreeSet<_>>();
        let parameters = parameters.iter().map(|p| p.as_str()).collect::<Vec<_>>().join(", ");
        return Err(FleetError::usage(format!(
            "no result has score `{score}` and keys `{}`; there are scores {known}, seconds and keys model, class, \
             architecture, replicate {parameters}",
            keys.join(",")
        )));
    }
    let less = is_less_better(score);
    let better = |a: f64, b: f64| if less { a.total_cmp(&b) } else { b.total_cmp(&a) };
    let mut rows: Vec<Group> = groups
        .into_iter()
        .filter_map(|(keys, values)| {
            let (best, best_score) = *values.iter().min_by(|a, b| better(a.1, b.1))?;
            let scores: Vec<f64> = values.iter().map(|(_, v)| *v).collect();
            let (mean, deviation) = mean_and_deviation(&scores);
            Some(Group { keys, runs: values.len(), mean, deviation, best, best_score })
        })
        .collect();
    rows.sort_by(|a, b| better(a.mean, b.mean));
    Ok(rows)
}

/// Format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// CSV table, one row per run
    Csv,
    /// JSON lines, one object per run
    Jsonl,
}

/// Writes every run: plan, state, scores, and the folder of its decisive attempt.
///
/// # Errors
/// [`FleetError::File`] if `out` cannot be written.
pub fn export(
    project: &Project,
    plan: &Plan,
    status: &Status,
    format: Format,
    out: &mut dyn Write,
) -> Result<()> {
    let values: std::collections::BTreeSet<&String> =
        plan.runs.iter().flat_map(|r| r.values.0.keys()).collect();
    let scores: std::collections::BTreeSet<&String> =
        status.runs.iter().filter_map(|s| s.outcome.as_ref()).flat_map(|o| o.scores.keys()).collect();
    let path = std::path::Path::new("export");
    let rows = plan.runs.iter().zip(&status.runs);
    match format {
        Format::Jsonl => {
            for (run, state) in rows {
                let line = serde_json::json!({
                    "index": run.index, "class": run.class, "architecture": run.architecture,
                    "replicate": run.replicate, "seed": run.seed, "values": run.values,
                    "state": state.state.to_string(), "reason": state.reason, "node": state.node, "job": state.job,
                    "folder": folder(project, state), "result": state.outcome,
                });
                writeln!(out, "{line}").map_err(FleetError::write(path))?;
            }
            Ok(())
        }
        Format::Csv => {
            let fault = |e: csv::Error| FleetError::usage(format!("cannot write the table: {e}"));
            let mut table = csv::Writer::from_writer(out);
            let fixed = ["index", "class", "architecture", "replicate", "seed", "state", "reason", "node"];
            let header = fixed.iter().map(|s| (*s).to_owned());
            let header = header.chain(values.iter().map(|v| (*v).clone()));
            let header = header.chain(scores.iter().map(|s| (*s).clone()));
            table
                .write_record(header.chain(["epochs", "seconds", "weights", "folder"].map(str::to_owned)))
                .map_err(fault)?;
            for (run, state) in rows {
                let outcome = state.outcome.as_ref();
                let text = |value: Option<String>| value.unwrap_or_default();
                let mut row = vec![
                    run.index.to_string(),
                    run.class.clone(),
                    run.architecture.clone(),
                    run.replicate.to_string(),
                    run.seed.value().to_string(),
                    state.state.to_string(),
                    state.reason.clone(),
                    state.node.clone(),
                ];
                row.extend(values.iter().map(|v| text(run.values.get(v).map(ToString::to_string))));
                row.extend(
                    scores.iter().map(|s| text(outcome.and_then(|o| o.scores.get(*s)).map(f64::to_string))),
                );
                row.push(text(outcome.map(|o| o.epochs.to_string())));
                row.push(text(outcome.map(|o| format!("{:.3}", o.seconds))));
                row.push(text(outcome.map(|o| o.weights.clone())));
                row.push(folder(project, state));
                table.write_record(&row).map_err(fault)?;
            }
            table.flush().map_err(FleetError::write(path))
        }
    }
}

/// Returns the folder of the attempt that gave the result, relative to the project; the run's folder if there
/// is no result.
fn folder(project: &Project, state: &RunState) -> String {
    let run = project.layout().run(state.index);
    let path = match &state.outcome {
        Some(outcome) => crate::attempt::RunFolder(run).attempt_folder(outcome.attempt),
        None => run,
    };
    path.strip_prefix(project.folder()).unwrap_or(&path).display().to_string()
}
