//! Progress of a training, and the checks that a stored one is possible.

use serde::{Deserialize, Serialize};
use tinsmith_layers::Model;

use crate::config::{Averaging, TrainConfig};
use crate::history::{Epoch, check_epochs};
use crate::metric::Direction;
use crate::schedule::Plateau;

/// Position and counters of a training. Together with weights and optimizer state it determines the rest of the course.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Current epoch, from 1, and the number of its steps that are done.
    pub(crate) epoch: u32,
    pub(crate) step: u64,
    /// True once `before_epoch` was called for the current epoch.
    pub(crate) has_begun: bool,
    /// Of the current epoch: sum of the losses over rows, rows, last learning rate.
    pub(crate) sum: f64,
    pub(crate) rows: u64,
    pub(crate) learning_rate: f64,
    /// Updates over all epochs.
    pub(crate) updates: u64,
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) kept: u32,
    pub(crate) best: Option<f64>,
    pub(crate) waited: u32,
    pub(crate) plateau: Plateau,
    /// Number of weights in the average.
    pub(crate) averaged: u64,
    pub(crate) frozen: Vec<String>,
    pub(crate) callback: serde_json::Value,
}

/// Fixed numbers of a training, which a stored progress must agree with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Steps of an epoch.
    pub(crate) steps: u64,
    /// Rows of an epoch.
    pub(crate) rows: u64,
    /// Direction of the monitored value.
    pub(crate) direction: Direction,
}

impl Progress {
    /// Progress before the first step.
    pub(crate) fn start(direction: Direction) -> Self {
        Self {
            epoch: 1,
            step: 0,
            has_begun: false,
            sum: 0.0,
            rows: 0,
            learning_rate: 0.0,
            updates: 0,
            epochs: Vec::new(),
            kept: 0,
            best: None,
            waited: 0,
            plateau: Plateau::new(direction),
            averaged: 0,
            frozen: Vec::new(),
            callback: serde_json::Value::Null,
        }
    }

    pub(crate) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    pub(crate) const fn kept(&self) -> u32 {
        self.kept
    }

    pub(crate) const fn averaged(&self) -> u64 {
        self.averaged
    }

    /// Checks every number against the others and against the training.
    ///
    /// A checkpoint is written only between updates and only while steps are left, which fixes all counters once `epoch`
    /// and `step` are known. Returns the faulty field and the fault.
    pub(crate) fn check(
        &self,
        config: &TrainConfig,
        extent: &Extent,
        model: &Model,
    ) -> Result<(), (&'static str, String)> {
        let Extent { steps, rows, direction } = *extent;
        let is =
            |field: &'static str, got: String, want: String| Err((field, format!("is {got}, want {want}")));
        let last = u64::from(config.epochs) + 1;
        if self.epoch == 0 || u64::from(self.epoch) > last {
            return is("epoch", self.epoch.to_string(), format!("1 to {last}"));
        }
        let done = self.epoch - 1;
        let most = if u64::from(self.epoch) == last { 0 } else { steps };
        if self.step > most {
            return is("step", self.step.to_string(), format!("at most {most}, the steps of an epoch"));
        }
        let accumulate = config.accumulate as u64;
        if !self.step.is_multiple_of(accumulate) && self.step != steps {
            return is(
                "step",
                self.step.to_string(),
                format!("a multiple of {accumulate}, the batches of an update"),
            );
        }
        if self.step > 0 && !self.has_begun {
            return is("has_begun", "false".to_owned(), "true within an epoch".to_owned());
        }
        if self.epochs.len() != done as usize {
            return Err((
                "epochs",
                format!("has {} entries, want {done}, the epochs that are done", self.epochs.len()),
            ));
        }
        check_epochs(&self.epochs, self.kept)?;
        if (self.kept > 0) && self.best.is_none() {
            return is("best", "null".to_owned(), format!("the value of epoch {}", self.kept));
        }
        let updates = u64::from(done) * steps.div_ceil(accumulate) + self.step.div_ceil(accumulate);
        if self.updates != updates {
            return is("updates", self.updates.to_string(), updates.to_string());
        }
        let seen = self.step.saturating_mul(config.batch_size as u64).min(rows);
        if self.rows != seen {
            return is("rows", self.rows.to_string(), format!("{seen} after step {}", self.step));
        }
        if !self.sum.is_finite() || (self.step == 0 && self.sum != 0.0) {
            return is("sum", self.sum.to_string(), "the sum of the epoch's losses".to_owned());
        }
        if !(self.learning_rate >= 0.0 && self.learning_rate.is_finite()) {
            return is("learning_rate", self.learning_rate.to_string(), "0 or more".to_owned());
        }
        if self.waited > done {
            return is(
                "waited",
                self.waited.to_string(),
                format!("at most {done}, the epochs that are done"),
            );
        }
        let averaged = match config.averaging {
            Averaging::Off => 0,
            Averaging::Exponential { .. } => updates,
            Averaging::Epochs { from } => {
                let first = from * f64::from(config.epochs);
                (1..=done).filter(|&epoch| f64::from(epoch) > first).count() as u64
            }
        };
        if self.averaged != averaged {
            return is("averaged", self.averaged.to_string(), averaged.to_string());
        }
        self.plateau.check(&config.schedule, direction).map_err(|fault| ("plateau", fault))?;
        match self.frozen.iter().find(|name| model.params().find(name).is_none()) {
            Some(name) => Err(("frozen", format!("names `{name}`, which is no parameter of the network"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tinsmith_foundation::Seed;
    use tinsmith_layers::BuildOptions;
    use tinsmith_network::ModelSpec;

    use super::*;

    const NETWORK: &str = "layers:\n- {name: x, input: {shape: [4]}}\n- {name: y, dense: {units: 3}}\n";

    type Change = fn(&mut Progress);

    fn epoch(epoch: u32) -> Epoch {
        let metrics = std::collections::BTreeMap::new();
        Epoch { epoch, learning_rate: 0.001, loss: 0.5, val_loss: None, val_accuracy: None, metrics }
    }

    #[test]
    fn impossible_numbers_are_refused_by_name() {
        let config = TrainConfig {
            epochs: 5,
            batch_size: 8,
            accumulate: 2,
            averaging: Averaging::Exponential { decay: 0.9 },
            ..TrainConfig::default()
        };
        let spec = ModelSpec::parse(NETWORK, "network").expect("a network");
        let model = Model::build(&spec, Seed::new(1), &BuildOptions::default()).expect("a model");
        // Five steps an epoch: updates after steps 2, 4 and 5.
        let extent = Extent { steps: 5, rows: 36, direction: Direction::Minimize };
        let good = Progress {
            epoch: 3,
            step: 4,
            has_begun: true,
            sum: 12.0,
            rows: 32,
            updates: 8,
            averaged: 8,
            epochs: vec![epoch(1), epoch(2)],
            kept: 2,
            best: Some(0.5),
            frozen: vec!["y.bias".to_owned()],
            ..Progress::start(Direction::Minimize)
        };
        assert_eq!(good.check(&config, &extent, &model), Ok(()));
        assert_eq!(Progress::start(Direction::Minimize).check(&config, &extent, &model), Ok(()));
        let cases: [(&str, Change); 19] = [
            ("epoch", |p| p.epoch = 0),
            ("epoch", |p| p.epoch = u32::MAX),
            ("step", |p| p.step = 6),
            ("step", |p| p.step = 1 << 63),
            ("step", |p| p.step = 3),
            ("has_begun", |p| p.has_begun = false),
            ("epochs", |p| p.epochs.clear()),
            ("epochs", |p| p.epochs[1].epoch = 1),
            ("kept", |p| p.kept = u32::MAX),
            ("best", |p| p.best = None),
            ("updates", |p| p.updates = u64::MAX),
            ("rows", |p| p.rows = u64::MAX),
            ("sum", |p| p.sum = f64::NAN),
            ("learning_rate", |p| p.learning_rate = -1.0),
            ("waited", |p| p.waited = u32::MAX),
            ("averaged", |p| p.averaged = u64::MAX),
            ("plateau", |p| p.plateau.factor = 1e300),
            ("plateau", |p| p.plateau = Plateau::new(Direction::Maximize)),
            ("frozen", |p| p.frozen.push("z.kernel".to_owned())),
        ];
        for (field, change) in cases {
            let mut progress = good.clone();
            change(&mut progress);
            let found = progress.check(&config, &extent, &model).expect_err(field);
            assert_eq!(found.0, field, "{}", found.1);
        }
    }
}
