//! Sweeps: which values of the configuration a fleet's runs try.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tinsmith_foundation::{Faults, Seed, config};
use tinsmith_network::ModelSpec;
use tinsmith_study::{GridSearch, ParamValue, Params, Space, design};
use tinsmith_trainer::TrainConfig;

use crate::error::{FleetError, Result};

/// Pairwise exchanges that improve a Latin hypercube, for each of its points.
const SWAPS: usize = 20;

/// How the points of a sweep are chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Design {
    /// Every combination; a continuous parameter gets `levels` values.
    Grid {
        /// Values of each continuous parameter. Default 3.
        #[serde(default = "three")]
        levels: u64,
    },
    /// Independent uniform draws.
    Random {
        /// How many.
        points: usize,
    },
    /// Each parameter has one value in each of `points` equal shares of its range.
    LatinHypercube {
        /// How many.
        points: usize,
    },
    /// These points and no others: parameters that go together.
    List(Vec<Params>),
}

const fn three() -> u64 {
    3
}

/// A sweep: parameters, named by their place in the configuration, and how points are chosen from their space.
///
/// A name is a path in the training's configuration (`optimizer.learning_rate`, `batch_size`) or, after `model.` and the
/// name of a layer, in the specification (`model.hidden.dense.units`).
///
/// ```
/// use tinsmith_fleet::Sweep;
/// use tinsmith_foundation::{Seed, config};
///
/// let text = "design: {grid: {levels: 2}}
/// space:
///   batch_size: {categorical: {choices: [16, 32, 64]}}
///   optimizer.learning_rate: {float: {low: 1e-4, high: 1e-2, log: true}}
/// ";
/// let sweep: Sweep = config::from_str(text, "sweep.yaml", Sweep::check)?;
/// assert_eq!(sweep.points(Seed::new(0))?.len(), 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// How points are chosen.
    pub design: Design,
    /// The parameters; left out with a list.
    #[serde(default)]
    pub space: Space,
}

impl Sweep {
    /// Reads a YAML or JSON file.
    ///
    /// # Errors
    /// [`FleetError::Config`] with line and column, [`FleetError::File`] where it cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        Ok(config::load(path, Self::check)?)
    }

    /// Notes what cannot be used.
    pub fn check(&self, faults: &mut Faults) {
        match &self.design {
            Design::List(points) if points.is_empty() => {
                faults.add("design.list", "is empty, want at least one point");
            }
            Design::List(_) => {}
            Design::Random { points: 0 } => faults.add("design.random.points", "is 0, want at least 1"),
            Design::LatinHypercube { points: 0 } => {
                faults.add("design.latin_hypercube.points", "is 0, want at least 1");
            }
            Design::Grid { .. } | Design::Random { .. } | Design::LatinHypercube { .. } => {
                faults.within("space", |faults| self.space.check(faults));
            }
        }
    }

    /// The points, always the same for the same seed.
    ///
    /// # Errors
    /// [`FleetError::Study`] where a grid has too many points to count.
    pub fn points(&self, seed: Seed) -> Result<Vec<Params>> {
        let mut rng = seed.derive("sweep", 0).rng();
        Ok(match &self.design {
            Design::Grid { levels } => {
                let grid = GridSearch::new(self.space.clone(), *levels)?;
                (0..grid.len()).filter_map(|i| grid.point(i)).collect()
            }
            Design::Random { points } => (0..*points).map(|_| self.space.sample(&mut rng)).collect(),
            Design::LatinHypercube { points } => {
                design::latin_hypercube(*points, self.space.dimensions(), SWAPS * points, &mut rng)
                    .iter()
                    .map(|point| self.space.from_unit(point))
                    .collect()
            }
            Design::List(points) => points.clone(),
        })
    }
}

/// The prefix of names that lie in the specification.
const MODEL: &str = "model.";

/// The configuration of a training with the values of a sweep's point.
///
/// # Errors
/// [`FleetError::Config`] where a name is no key of the configuration or a value cannot be used.
pub fn with_values(base: &TrainConfig, values: &Params) -> Result<TrainConfig> {
    let own: Vec<_> = values.0.iter().filter(|(name, _)| !name.starts_with(MODEL)).collect();
    if own.is_empty() {
        return Ok(base.clone());
    }
    let mut tree = to_tree(base)?;
    let mut faults = Faults::new();
    for (name, value) in own {
        if !set(&mut tree, name, value) {
            faults.add(name, "is no key of the training's configuration");
        }
    }
    faults.into_result("sweep")?;
    Ok(config::from_str(&tree.to_string(), "sweep", TrainConfig::check)?)
}

/// A specification with the values of a sweep's point: those whose names begin with `model.`.
///
/// # Errors
/// [`FleetError::Config`] where there is no such layer or key; [`FleetError::Spec`] where the network cannot be.
pub fn with_model_values(base: &ModelSpec, values: &Params) -> Result<ModelSpec> {
    let own: Vec<_> = values.0.iter().filter_map(|(name, v)| Some((name.strip_prefix(MODEL)?, v))).collect();
    if own.is_empty() {
        return Ok(base.clone());
    }
    let mut tree = to_tree(base)?;
    let mut faults = Faults::new();
    for (name, value) in own {
        let (layer, path) = name.split_once('.').unwrap_or((name, ""));
        let layers = tree.get_mut("layers").and_then(Value::as_array_mut);
        let found = layers.and_then(|l| l.iter_mut().find(|l| l.get("name").is_some_and(|n| n == layer)));
        if !found.is_some_and(|layer| set(layer, path, value)) {
            faults.add(&format!("{MODEL}{name}"), "is no key of a layer of the specification");
        }
    }
    faults.into_result("sweep")?;
    Ok(ModelSpec::parse(&tree.to_string(), "sweep")?)
}

fn to_tree<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|e| FleetError::usage(format!("a configuration has no JSON form: {e}")))
}

/// Sets the value at a path whose parents are there; says whether it could. A new key may be set (defaults are left out
/// of files); whether it is one is for the reader to say.
fn set(tree: &mut Value, path: &str, value: &ParamValue) -> bool {
    let Some((parents, key)) = path.rsplit_once('.').map_or(Some(("", path)), Some) else { return false };
    let mut here = tree;
    for step in parents.split('.').filter(|s| !s.is_empty()) {
        let Some(below) = here.get_mut(step) else { return false };
        here = below;
    }
    let (Value::Object(fields), Ok(value)) = (here, serde_json::to_value(value)) else { return false };
    if key.is_empty() {
        return false;
    }
    fields.insert(key.to_owned(), value);
    true
}

/// A point in words: `batch_size=32 optimizer.learning_rate=0.001`.
#[must_use]
pub fn describe(values: &Params) -> String {
    let pairs: BTreeMap<_, _> = values.0.iter().collect();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, ParamValue)]) -> Params {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect()
    }

    #[test]
    fn values_reach_the_configuration_and_the_network() {
        let point = values(&[
            ("batch_size", ParamValue::Int(7)),
            ("optimizer.learning_rate", ParamValue::Float(0.25)),
            ("model.h.dense.units", ParamValue::Int(5)),
        ]);
        let config = with_values(&TrainConfig::default(), &point).unwrap();
        assert_eq!((config.batch_size, config.optimizer.learning_rate), (7, 0.25));
        let text = "layers: [{name: x, input: {shape: [3]}}, {name: h, dense: {units: 4}}]";
        let spec = with_model_values(&ModelSpec::parse(text, "spec").unwrap(), &point).unwrap();
        assert_eq!(spec.graph().unwrap().shape(1), [5]);
    }

    #[test]
    fn unknown_keys_are_refused() {
        for name in ["nope", "optimizer.nope", "nope.rate"] {
            let point = values(&[(name, ParamValue::Int(1))]);
            assert!(with_values(&TrainConfig::default(), &point).is_err(), "{name}");
        }
        let spec = ModelSpec::parse("layers: [{name: x, input: {shape: [3]}}]", "spec").unwrap();
        for name in ["model.y.dense.units", "model.x", "model.x.input.nope"] {
            assert!(with_model_values(&spec, &values(&[(name, ParamValue::Int(1))])).is_err(), "{name}");
        }
    }

    #[test]
    fn a_hypercube_repeats_itself_and_a_list_is_taken_as_it_is() {
        let text = "{design: {latin_hypercube: {points: 5}}, space: {batch_size: {int: {low: 1, high: 5}}}}";
        let sweep: Sweep = config::from_str(text, "sweep", Sweep::check).unwrap();
        let points = sweep.points(Seed::new(1)).unwrap();
        assert_eq!(points, sweep.points(Seed::new(1)).unwrap());
        let mut sizes: Vec<_> = points.iter().filter_map(|p| p.i64("batch_size")).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 2, 3, 4, 5]);
        let text = "{design: {list: [{batch_size: 1, epochs: 9}, {batch_size: 2, epochs: 3}]}}";
        let sweep: Sweep = config::from_str(text, "sweep", Sweep::check).unwrap();
        assert_eq!(sweep.points(Seed::new(1)).unwrap().len(), 2);
        assert!(config::from_str::<Sweep>("{design: {grid: {}}}", "sweep", Sweep::check).is_err());
    }
}
