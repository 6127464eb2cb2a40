//! A fleet of trainings with a custom configurator: networks built in code, samples from a generator.
//!
//! With arguments it is a complete command (`-- generate --models "ring.narrow=10,wide=5" --array 20 --run`), and the
//! jobs it submits run the same program. Without arguments it runs a demonstration in a temporary folder.

use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use tinsmith_fleet::{Fleet, ModelConfigurator, ModelRequest, ModelSetup, Project, Samples, State, Status};
use tinsmith_foundation::Seed;
use tinsmith_network::ModelSpec;

/// Configures classifiers of points inside and outside a ring.
struct Rings;

/// Returns an endless stream of points with their one-hot classes.
fn points(seed: Seed) -> impl Iterator<Item = (Vec<f32>, Vec<f32>)> {
    let mut rng = seed.rng();
    std::iter::from_fn(move || {
        let (x, y) = (rng.uniform_in(-1.0, 1.0), rng.uniform_in(-1.0, 1.0));
        let inside = (0.4..0.8).contains(&x.hypot(y));
        let target = if inside { vec![0.0, 1.0] } else { vec![1.0, 0.0] };
        Some((vec![x as f32, y as f32], target))
    })
}

impl ModelConfigurator for Rings {
    fn configure(&self, request: &ModelRequest<'_>) -> Result<ModelSetup, Box<dyn Error + Send + Sync>> {
        // Class and architecture select the network; training_run is the index of the run.
        let units = match (request.model.class.as_str(), request.model.architecture.as_str()) {
            ("ring", "narrow") => 6,
            ("ring", "wide") => 24,
            _ => return Err(format!("there is no model {}", request.model).into()),
        };
        let text = format!(
            "layers: [{{name: x, input: {{shape: [2]}}}}, {{name: h, dense: {{units: {units}, activation: tanh}}}}, \
             {{name: y, dense: {{units: 2}}}}]"
        );
        let generator = |name: &str, count: usize| Samples::Generator {
            sample_shape: vec![2],
            target_shape: vec![2],
            // Equal requests must give equal setups, so derive the seed from the run.
            pairs: Box::new(points(request.seed.derive(name, 0)).take(count)),
        };
        let mut setup = request.setup(ModelSpec::parse(&text, "ring")?);
        setup.name = format!("{}-{}", setup.name, request.training_run);
        setup.training = generator("training", 2000);
        setup.evaluation = Some(generator("evaluation", 500));
        setup.optimizer.learning_rate = 0.02;
        Ok(setup)
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let app = Fleet::new(Rings);
    if std::env::args_os().len() > 1 {
        return Ok(app.run());
    }
    let folder = tempfile::tempdir()?;
    let project = folder.path().join("rings");
    let run = |words: &[&str], path: &Path| {
        let words = words.iter().map(|w| if *w == "PROJECT" { path.into() } else { OsString::from(w) });
        app.run_with(std::iter::once(OsString::from("rings")).chain(words))
    };
    run(
        &[
            "generate",
            "--models",
            "ring.narrow=2,wide=2",
            "--epochs",
            "8",
            "--no-copy",
            "--output",
            "PROJECT",
        ],
        &project,
    );
    run(&["run", "PROJECT", "--quiet"], &project);
    run(&["compare", "PROJECT"], &project);

    let project = Project::open(&project)?;
    let status = Status::of(&project, &project.plan()?)?;
    assert!(status.runs.iter().all(|run| run.state == State::Done));
    Ok(ExitCode::SUCCESS)
}
