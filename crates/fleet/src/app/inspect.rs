//! `show`, `status`, `compare`, `export`, `annotate` and `collect`.

use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use tinsmith_foundation::{config, files};

use super::args::{AnnotateArgs, CompareArgs, ExportArgs, ProjectArgs, ShowArgs, StatusArgs};
use super::control::selected;
use super::{Exit, Surroundings};
use crate::error::{FleetError, Result};
use crate::plan::Plan;
use crate::project::{Project, projects};
use crate::report::{self, Format};
use crate::state::{RunState, State, Status};
use crate::{index, notes, sweep};

/// Returns date, hour and minute of a timestamp. Files can be edited, so a shorter or odd text is returned whole.
fn minute(timestamp: &str) -> &str {
    timestamp.get(..16).unwrap_or(timestamp)
}

fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|h| (*h).to_owned()).collect::<Vec<String>>());
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

pub(super) fn show(args: &ShowArgs, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
    let found = match Project::open(&args.folder) {
        Ok(project) => vec![project],
        Err(_) => projects(&args.folder)?,
    };
    for project in found {
        let name =
            project.folder().file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        if args.names {
            surroundings.line(name)?;
            continue;
        }
        let manifest = project.manifest();
        let plan = project.plan()?;
        let outcomes = index::outcomes(project.layout(), plan.runs.len() as u64)?;
        surroundings.line(format!("{name}  {}", manifest.description))?;
        let done = outcomes.iter().flatten().count();
        surroundings.line(format!(
            "  {done} of {} runs done; made {}; data {}",
            plan.runs.len(),
            minute(&manifest.created),
            manifest.data.name
        ))?;
        for (model, runs) in plan.models() {
            let of_model = plan.runs.iter().filter(|r| r.is_of(&model));
            let done = of_model
                .filter(|r| {
                    usize::try_from(r.index).is_ok_and(|i| outcomes.get(i).is_some_and(Option::is_some))
                })
                .count();
            surroundings.line(format!("  {model}: {done} of {runs}"))?;
        }
        for note in notes::notes(project.layout())? {
            let run = note.run.map(|r| format!(" run {r}:")).unwrap_or_default();
            surroundings.line(format!("  note {}:{run} {}", minute(&note.written), note.text))?;
        }
    }
    Ok(Exit::SUCCESS)
}

pub(super) fn status(args: &StatusArgs, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
    let project = Project::open(&args.project.project)?;
    if args.rebuild {
        index::forget(project.layout())?;
        index::fold(project.layout(), project.plan()?.runs.len() as u64)?;
    }
    loop {
        let plan = project.plan()?;
        let status = Status::of(&project, &plan)?;
        let is_over = print_status(&project, &plan, &status, args, surroundings)?;
        match args.follow {
            // One controller serves all users of a cluster, so it is not polled more often than every 30 s.
            Some(seconds) if !is_over => std::thread::sleep(Duration::from_secs(seconds.max(30))),
            _ => return Ok(Exit::SUCCESS),
        }
    }
}

fn print_status(
    project: &Project,
    plan: &Plan,
    status: &Status,
    args: &StatusArgs,
    surroundings: &mut Surroundings<'_>,
) -> Result<bool> {
    let counts = status.counts();
    let words: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
    surroundings.line(format!("{} runs: {}", status.runs.len(), words.join(", ")))?;
    for note in &status.notes {
        surroundings.line(format!("note: {note}"))?;
    }
    let is_shown = |s: &RunState| {
        args.all || matches!(s.state, State::Failed(_) | State::Stalled | State::Running) || s.submitted
    };
    let rows: Vec<(&crate::plan::PlannedRun, &RunState)> = selected(plan, &args.select)?
        .into_iter()
        .filter_map(|run| Some((run, status.runs.get(usize::try_from(run.index).ok()?)?)))
        .filter(|(_, state)| is_shown(state))
        .collect();
    if !rows.is_empty() {
        let cells = rows.iter().take(args.rows).map(|(run, state)| {
            let log = state
                .log
                .as_ref()
                .map(|p| p.strip_prefix(project.folder()).unwrap_or(p).display().to_string());
            vec![
                run.index.to_string(),
                run.model().to_string(),
                run.replicate.to_string(),
                sweep::describe(&run.values),
                state.state.to_string(),
                state.job.clone().unwrap_or_default(),
                state.node.clone(),
                log.unwrap_or_default(),
                state.reason.clone(),
            ]
        });
        let header = ["run", "model", "replicate", "values", "state", "job", "node", "log", "reason"];
        surroundings.line(table(&header, cells.collect()))?;
        if rows.len() > args.rows {
            surroundings.line(format!("and {} more; --rows shows them", rows.len() - args.rows))?;
        }
    }
    let open =
        counts.iter().filter(|(state, _)| matches!(state, State::Pending | State::Running | State::Stalled));
    Ok(open.map(|(_, n)| n).sum::<u64>() == 0)
}

pub(super) fn compare(args: &CompareArgs, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
    let project = Project::open(&args.project.project)?;
    let plan = project.plan()?;
    let status = Status::of(&project, &plan)?;
    let has_accuracy =
        status.runs.iter().filter_map(|s| s.outcome.as_ref()).any(|o| o.scores.contains_key("val_accuracy"));
    let default = if has_accuracy { "val_accuracy" } else { "val_loss" };
    let score = args.score.as_deref().unwrap_or(default);
    let groups = report::compare(&plan, &status, &args.by, score)?;
    if groups.is_empty() {
        surroundings.line("no run is done yet")?;
        return Ok(Exit::SUCCESS);
    }
    let mut header: Vec<&str> = args.by.iter().map(String::as_str).collect();
    let mean = format!("mean {score}");
    header.extend(["runs", &mean, "deviation", "best", "best run"]);
    let rows = groups.into_iter().map(|g| {
        let mut row = g.keys;
        row.push(g.runs.to_string());
        row.extend([g.mean, g.deviation, g.best_score].iter().map(|x| format!("{x:.4}")));
        row.push(g.best.to_string());
        row
    });
    surroundings.line(table(&header, rows.collect()))?;
    Ok(Exit::SUCCESS)
}

pub(super) fn export(args: &ExportArgs, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
    let project = Project::open(&args.project.project)?;
    let plan = project.plan()?;
    let status = Status::of(&project, &plan)?;
    match &args.output {
        None => report::export(&project, &plan, &status, args.format, surroundings.out)?,
        Some(path) => {
            let mut bytes = Vec::new();
            report::export(&project, &plan, &status, args.format, &mut bytes)?;
            files::write_atomic(path, &bytes)?;
        }
    }
    Ok(Exit::SUCCESS)
}

pub(super) fn annotate(args: &AnnotateArgs, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
    let project = Project::open(&args.project.project)?;
    if let Some(run) = args.run {
        project.plan()?.run(run)?;
    }
    if args.text.trim().is_empty() {
        return Err(FleetError::usage("the note is empty, want a text"));
    }
    notes::annotate(project.layout(), args.run, &args.text)?;
    surroundings.line("noted")?;
    Ok(Exit::SUCCESS)
}

/// Folds all results into the index, and writes the results table and a summary beside the plan.
pub(super) fn collect(args: &ProjectArgs, surroundings: &mut Surroundings<'_>) -> Result<Exit> {
    let project = Project::open(&args.project)?;
    let plan = project.plan()?;
    index::fold(project.layout(), plan.runs.len() as u64)?;
    let status = Status::of(&project, &plan)?;
    let mut bytes = Vec::new();
    report::export(&project, &plan, &status, Format::Csv, &mut bytes)?;
    files::write_atomic(&project.folder().join("results.csv"), &bytes)?;
    let counts: std::collections::BTreeMap<String, u64> =
        status.counts().into_iter().map(|(state, n)| (state.to_string(), n)).collect();
    let text = config::to_json("summary", &counts)?;
    files::write_atomic(&project.folder().join("summary.json"), text.as_bytes())?;
    let words: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
    surroundings.line(words.join(", "))?;
    Ok(Exit::SUCCESS)
}
