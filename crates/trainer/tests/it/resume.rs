//! An interrupted run ends as if it had not been interrupted, byte for byte.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tinsmith_data::Augment;
use tinsmith_foundation::{CancelToken, Grant, Seed};
use tinsmith_layers::Model;
use tinsmith_network::ModelSpec;
use tinsmith_study::Decision;
use tinsmith_trainer::{
    Averaging, Callback, Context, EarlyStopping, Metric, Plan, Result, Rule, Run, RunResult, Schedule,
    StepReport, TrainConfig, TrainError,
};

use crate::fitting::{config, digits};

/// Everything with state or random draws: dropout, dropped connections, normalization, momentum, weight averaging, a
/// plateau, augmentation, gradient accumulation.
const NETWORK: &str = "
layers:
  - {name: x, input: {shape: [8, 8, 1]}}
  - {name: f, flatten: {}}
  - {name: h, dense: {units: 12, activation: relu}}
  - {name: n, batch_norm: {}}
  - {name: d, dropout: {rate: 0.2}}
  - {name: y, dense: {units: 10}}
";

fn plan() -> Plan {
    let config = TrainConfig {
        epoch_samples: 300,
        accumulate: 2,
        averaging: Averaging::Exponential { decay: 0.9 },
        schedule: Schedule::Plateau { factor: 0.5, patience: 1, min_delta: 0.05, floor: 0.01 },
        warm_up: 0.1,
        early_stopping: EarlyStopping { monitor: Metric::F1Macro, ..EarlyStopping::default() },
        metrics: vec![Metric::TopK { k: 3 }, Metric::PrecisionWeighted],
        augment: Augment { shift: 1, noise: 0.1, ..Augment::default() },
        drop_connect: 0.1,
        ..config(4)
    };
    let mut plan = Plan {
        spec: ModelSpec::parse(NETWORK, "network").unwrap(),
        config,
        seed: Seed::new(11),
        start: None,
        attributes: BTreeMap::new(),
    };
    plan.config.optimizer.rule = Rule::Rmsprop { rho: 0.9, momentum: 0.5, epsilon: 1e-7 };
    plan
}

/// Prunes one more weight before each epoch and counts steps: a callback with state.
struct Companion<'a> {
    cancel: &'a CancelToken,
    /// Cancels after so many steps of this attempt.
    after: u64,
    steps_here: u64,
    steps: u64,
    pause: Duration,
}

impl Callback for Companion<'_> {
    fn before_epoch(&mut self, model: &mut Model, epoch: u32) -> Result<()> {
        let kernel = model.params_mut().get_mut("h.kernel")?;
        let mask: Vec<f32> = (0..kernel.len())
            .map(|i| f32::from(u8::from(i >= self.steps as usize + epoch as usize)))
            .collect();
        let mask = candle_core::Tensor::from_vec(mask, kernel.dims(), &candle_core::Device::Cpu)?;
        Ok(kernel.set_prune_mask(Some(mask))?)
    }

    fn after_step(&mut self, _step: &StepReport) -> Result<Decision> {
        std::thread::sleep(self.pause);
        self.steps += 1;
        self.steps_here += 1;
        if self.steps_here == self.after {
            self.cancel.cancel();
        }
        Ok(Decision::Continue)
    }

    fn state(&self) -> Value {
        self.steps.into()
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        self.steps = state.as_u64().unwrap();
        Ok(())
    }
}

fn attempt(run: &Run, after: u64, pause: Duration) -> Result<RunResult> {
    let (train, validation) = digits();
    let cancel = CancelToken::new();
    let mut companion = Companion { cancel: &cancel, after, steps_here: 0, steps: 0, pause };
    let context = Context { seed: Seed::new(0), grant: Grant::ONE, cancel: &cancel };
    run.train(&plan(), &train, Some(&validation), &context, &mut companion)
}

fn bytes(folder: &Path) -> Vec<Vec<u8>> {
    let files = ["spec.yaml", "run.yaml", "metrics.jsonl", "weights.safetensors", "result.json"];
    files.iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect()
}

#[test]
fn a_cancelled_run_goes_on_in_mid_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let whole = Run::new(dir.path().join("whole"));
    let result = attempt(&whole, 0, Duration::ZERO).unwrap();
    assert_eq!(result.history.epochs.len(), 4);
    assert!(result.history.epochs[3].metrics.contains_key("top_3_accuracy"));
    for every in [1, 3, 7] {
        let run = Run::new(dir.path().join(format!("every-{every}"))).with_checkpoints(0, 0.0);
        let mut attempts = 0;
        loop {
            attempts += 1;
            match attempt(&run, every, Duration::ZERO) {
                Ok(found) => {
                    assert_eq!(found, result);
                    break;
                }
                Err(TrainError::Cancelled { .. }) => assert!(run.checkpoint().is_file()),
                Err(error) => panic!("{error}"),
            }
        }
        // Ten batches of 32 (the last of 12) in each of four epochs; a stop waits for the end of its update.
        assert_eq!(attempts, 40_u64.div_ceil(every.next_multiple_of(2)));
        assert_eq!(bytes(run.folder()), bytes(whole.folder()), "every {every}");
        assert!(!run.checkpoint().exists());
    }
}

const FOLDER: &str = "TINSMITH_TEST_RUN";

/// The process that [`a_killed_run_goes_on`] starts and kills; does nothing when run as a test.
#[test]
fn a_process_that_trains() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    attempt(&Run::new(folder).with_checkpoints(3, 0.0), 0, Duration::from_millis(4)).unwrap();
}

#[test]
fn a_killed_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let whole = Run::new(dir.path().join("whole"));
    attempt(&whole, 0, Duration::ZERO).unwrap();
    let run = Run::new(dir.path().join("killed"));
    let mut kills = 0;
    for number in 0_u64.. {
        assert!(number < 100, "the run never ends");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "resume::a_process_that_trains"])
            .env(FOLDER, run.folder())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // A different and later instant each time, so that every attempt gets farther.
        let life = Duration::from_millis(60 + 17 * number + Seed::new(number).rng().below(40));
        let start = Instant::now();
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if start.elapsed() >= life {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        match ended {
            Some(status) => {
                assert!(status.success(), "{status}");
                break;
            }
            None => kills += 1,
        }
    }
    assert!(kills > 0, "nothing was killed");
    assert_eq!(bytes(run.folder()), bytes(whole.folder()), "after {kills} kills");
}

/// Rewrites the metadata of a safetensors file.
fn edit(path: &Path, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let bytes = std::fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(header["__metadata__"].as_object_mut().unwrap());
    let mut text = header.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend(text);
    out.extend(&bytes[8 + length..]);
    std::fs::write(path, out).unwrap();
}

#[test]
fn a_damaged_checkpoint_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run::new(dir.path().join("run"));
    assert!(attempt(&run, 13, Duration::ZERO).is_err());
    let path = run.checkpoint();
    let whole = std::fs::read(&path).unwrap();
    let refusal = || {
        let error = attempt(&run, 0, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("checkpoint.safetensors is not a checkpoint"), "{error}");
        error
    };
    edit(&path, |metadata| {
        let text = metadata["checkpoint"].as_str().unwrap().replacen("\"epoch\":2", "\"epoch\":0", 1);
        metadata["checkpoint"] = text.into();
    });
    assert!(refusal().contains("`sha256`"));
    let mut flipped = whole.clone();
    let last = flipped.len() - 3;
    flipped[last] ^= 1;
    std::fs::write(&path, flipped).unwrap();
    assert!(refusal().contains("`sha256`"));
    std::fs::write(&path, &whole).unwrap();
    edit(&path, |metadata| {
        metadata.remove("sha256");
    });
    assert!(refusal().contains("an older version"));
    std::fs::write(&path, &whole).unwrap();
    attempt(&run, 0, Duration::ZERO).unwrap();
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run::new(dir.path().join("one"));
    assert!(attempt(&run, 5, Duration::ZERO).is_err());
    let other = Run::new(dir.path().join("other"));
    let (train, validation) = digits();
    let plan = Plan { seed: Seed::new(12), ..plan() };
    std::fs::create_dir_all(other.folder()).unwrap();
    std::fs::copy(run.checkpoint(), other.checkpoint()).unwrap();
    let cancel = CancelToken::new();
    let context = Context { seed: Seed::new(0), grant: Grant::ONE, cancel: &cancel };
    let error = other
        .train(&plan, &train, Some(&validation), &context, &mut tinsmith_trainer::Undisturbed)
        .unwrap_err();
    assert!(error.to_string().starts_with("the checkpoint belongs to another training"), "{error}");
}
