//! Teacher networks for distillation.

use std::path::Path;

use tinsmith_layers::{Model, load_model};

use crate::config::TrainConfig;
use crate::engine::{self, Engine};
use crate::error::{Result, TrainError};
use crate::loss::Soft;
use crate::optimizer::{OptimizerConfig, Rule};

pub(crate) struct Teacher {
    model: Model,
    engine: Box<dyn Engine>,
    temperature: f32,
    share: f32,
}

impl Teacher {
    /// Loads the configured teacher; None if there is none or its fraction of the loss is 0.
    pub(crate) fn load(config: &TrainConfig, student: &Model) -> Result<Option<Self>> {
        let wanted = &config.distillation;
        if wanted.teacher.is_empty() || wanted.share <= 0.0 {
            return Ok(None);
        }
        let mut model = load_model(Path::new(&wanted.teacher))?;
        model.set_threads(student.threads());
        let shapes = |model: &Model| {
            let graph = model.graph();
            let of = |layers: &[usize]| layers.iter().map(|&i| graph.shape(i).to_vec()).collect::<Vec<_>>();
            (of(&graph.inputs), of(&graph.outputs))
        };
        let (theirs, own) = (shapes(&model), shapes(student));
        if theirs != own {
            return Err(TrainError::Teacher {
                path: wanted.teacher.clone().into(),
                teacher: format!("{:?} to {:?}", theirs.0, theirs.1),
                student: format!("{:?} to {:?}", own.0, own.1),
            });
        }
        let rule = Rule::Sgd { momentum: 0.0, nesterov: false };
        let optimizer = OptimizerConfig { rule, ..OptimizerConfig::default() };
        let config = TrainConfig { optimizer, ..TrainConfig::default() };
        let engine = engine::start(&model, &config, config.batch_size)?;
        let (temperature, share) = (wanted.temperature as f32, wanted.share as f32);
        Ok(Some(Self { model, engine, temperature, share }))
    }

    /// Returns the teacher outputs for a batch.
    pub(crate) fn teach(&mut self, samples: &[f32], rows: usize) -> Result<Soft<'_>> {
        self.engine.predict(&self.model, samples, rows)?;
        Ok(Soft { logits: self.engine.outputs(), temperature: self.temperature, share: self.share })
    }
}
