//! Measures how long the status of a large project takes. Creates a project of RUNS runs, OPEN of them
//! without a result, with files like those of real runs, and reads its status three times.
//!
//! `cargo run --release -p tinsmith-fleet --example many_runs -- FOLDER RUNS OPEN`

#![expect(clippy::print_stdout, reason = "a measurement speaks to its user")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;

use tinsmith_data::TableOptions;
use tinsmith_fleet::{DataSource, Outcome, PartOptions, Project, ProjectOptions, Status};
use tinsmith_foundation::{Seed, Silent};
use tinsmith_trainer::TrainConfig;

fn make(folder: &Path, runs: u64, open: u64) -> Result<Project, Box<dyn Error>> {
    let models = folder.with_extension("models");
    fs::create_dir_all(models.join("flat"))?;
    let spec = "layers: [{name: x, input: {shape: [8, 8, 1]}}, {name: f, flatten: {}}, {name: y, dense: {units: 10}}]";
    fs::write(models.join("flat/none.yaml"), spec)?;
    let part = PartOptions {
        models: format!("flat.none={runs}").parse()?,
        folder: models,
        array: 1,
        epochs: 1,
        epoch_samples: None,
        intelligent: false,
        training: TrainConfig::default(),
        sweep: None,
        command: Vec::new(),
    };
    let options = ProjectOptions {
        description: "not trained, for a measurement".to_owned(),
        seed: Seed::new(0),
        data: DataSource::of("digits8x8", TableOptions::default(), 0.2, &Silent)?,
        program: None,
        copy_program: false,
        specifications: true,
        slurm: tinsmith_fleet::slurm::SlurmConfig::default(),
        template: None,
    };
    let project = Project::create(folder, &options, &part)?;
    let every = runs.checked_div(open).unwrap_or(u64::MAX);
    for run in project.plan()?.runs {
        if run.index % every == every - 1 {
            continue;
        }
        let place = folder.join(format!("runs/{:03}/{:06}", run.index / 1000, run.index));
        fs::create_dir_all(place.join("attempt-0001"))?;
        let outcome = Outcome {
            index: run.index,
            attempt: 1,
            seed: run.seed,
            scores: [("loss", 0.25), ("val_accuracy", 0.9375), ("val_loss", 0.3125)]
                .map(|(n, v)| (n.to_owned(), v + run.index as f64 * 1e-7))
                .into(),
            epochs: 30,
            weights: format!("{:064x}", run.seed.value()),
            seconds: 1.25,
            finished: "2026-11-22T00:00:00.000000+00:00".to_owned(),
            node: "n1".to_owned(),
            job: Some(format!("17_{}", run.index % 1000)),
        };
        fs::write(place.join("result.json"), serde_json::to_string_pretty(&outcome)?)?;
    }
    Ok(project)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, runs, open] = &args[..] else { return Err("want FOLDER RUNS OPEN".into()) };
    let folder = Path::new(folder);
    let project = match Project::open(folder) {
        Ok(project) => project,
        Err(_) => make(folder, runs.parse()?, open.parse()?)?,
    };
    for look in ["without an index", "with it", "again"] {
        let begin = Instant::now();
        let plan = project.plan()?;
        let planned = begin.elapsed();
        let status = Status::of(&project, &plan)?;
        let words: Vec<String> = status.counts().iter().map(|(state, n)| format!("{n} {state}")).collect();
        let (all, plan) = (begin.elapsed().as_secs_f64(), planned.as_secs_f64());
        println!("{look}: {all:.2} s, of which the plan {plan:.2} s: {}", words.join(", "));
    }
    Ok(())
}
