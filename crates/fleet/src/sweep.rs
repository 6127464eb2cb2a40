//! Sweeps: configuration values that the runs of a fleet try.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tinsmith_foundation::{Faults, Seed, config};
use tinsmith_network::ModelSpec;
use tinsmith_study::{GridSearch, ParamValue, Params, Space, design};
use tinsmith_trainer::TrainConfig;

use crate::error::{FleetError, Result};
use crate::plan::MOST_RUNS;

/// Pairwise exchanges per point that improve a Latin hypercube.
const SWAPS: usize = 20;

/// Method that chooses the points of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Design {
    /// Every combination of values.
    Grid {
        /// Number of values of each continuous parameter, and the maximum number of values of an integer
        /// parameter. Default: 3 for continuous parameters, every value for integers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        levels: Option<u64>,
    },
    /// Independent uniform draws.
    Random {
        /// Number of points.
        points: usize,
    },
    /// Each parameter has one value in each of `points` equal intervals of its range.
    LatinHypercube {
        /// Number of points.
        points: usize,
    },
    /// An explicit list of points, for parameters that vary together.
    List(Vec<Params>),
}

/// Default number of values of a continuous parameter in a grid.
const LEVELS: u64 = 3;

/// Maximum number of points of a Latin hypercube: its improvement takes time proportional to the square of this number.
const MOST_HYPERCUBE_POINTS: usize = 10_000;

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
    /// Method that chooses the points.
    pub design: Design,
    /// The parameters; omitted with a list.
    #[serde(default)]
    pub space: Space,
}

impl Sweep {
    /// Reads a YAML or JSON file.
    ///
    /// # Errors
    /// [`FleetError::Config`] with line and column, [`FleetError::File`] if it cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        Ok(config::load(path, Self::check)?)
    }

    /// Reports invalid values, and designs of more than [`MOST_RUNS`](crate::MOST_RUNS) points.
    pub fn check(&self, faults: &mut Faults) {
        match &self.design {
            Design::List(points) if points.is_empty() => {
                faults.add("design.list", "is empty, want at least one point");
            }
            Design::List(_) => {}
            Design::Grid { .. } => {
                let mut found = Faults::new();
                self.space.check(&mut found);
                if !found.is_empty() {
                    faults.within("space", |faults| self.space.check(faults));
                    return;
                }
                match self.grid() {
                    Err(error) => faults.add("design.grid", format!("cannot be made: {error}")),
                    Ok(grid) if grid.len() > MOST_RUNS => faults.add(
                        "design.grid",
                        format!(
                            "has {} points, want at most {MOST_RUNS}: fewer `levels` or choices",
                            grid.len()
                        ),
                    ),
                    Ok(_) => {}
                }
            }
            Design::Random { points } => {
                check_points("design.random.points", *points, most_runs(), faults);
                faults.within("space", |faults| self.space.check(faults));
            }
            Design::LatinHypercube { points } => {
                check_points("design.latin_hypercube.points", *points, MOST_HYPERCUBE_POINTS, faults);
                faults.within("space", |faults| self.space.check(faults));
            }
        }
    }

    fn grid(&self) -> Result<GridSearch> {
        let Design::Grid { levels } = &self.design else {
            return Err(FleetError::usage("the design of the sweep is not a grid"));
        };
        let continuous = levels.unwrap_or(LEVELS);
        Ok(GridSearch::with_integer_levels(self.space.clone(), continuous, *levels)?)
    }

    /// Returns the number of points.
    ///
    /// # Errors
    /// [`FleetError::Study`] if a grid has too many points, [`FleetError::Config`] if the sweep is invalid.
    pub fn count(&self) -> Result<u64> {
        // Sweeps made in code have not been through `load`.
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("sweep")?;
        Ok(match &self.design {
            Design::Grid { .. } => self.grid()?.len(),
            Design::Random { points } | Design::LatinHypercube { points } => *points as u64,
            Design::List(points) => points.len() as u64,
        })
    }

    /// Returns the points; equal seeds give equal points.
    ///
    /// # Errors
    /// [`FleetError::Study`] if a grid has too many points.
    pub fn points(&self, seed: Seed) -> Result<Vec<Params>> {
        let mut rng = seed.derive("sweep", 0).rng();
        Ok(match &self.design {
            Design::Grid { .. } => every_point(&self.grid()?, self.count()?),
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

fn every_point(grid: &GridSearch, count: u64) -> Vec<Params> {
    let point = |i| grid.point(i).expect("invariant: a grid has a point at every index below its length");
    (0..count).map(point).collect()
}

fn most_runs() -> usize {
    usize::try_from(MOST_RUNS).unwrap_or(usize::MAX)
}

fn check_points(name: &str, points: usize, most: usize, faults: &mut Faults) {
    if points == 0 || points > most {
        faults.add(name, format!("is {points}, want 1 to {most}"));
    }
}

/// Prefix of names that refer to the specification.
pub(crate) const MODEL: &str = "model.";

/// Applies the values of a sweep's point to a training configuration.
///
/// # Errors
/// [`FleetError::Config`] if a name is not a key of the configuration or a value is invalid.
pub fn with_values(base: &TrainConfig, values: &Params) -> Result<TrainConfig> {
    let own: Vec<_> = values.0.iter().filter(|(name, _)| !name.starts_with(MODEL)).collect();
    if own.is_empty() {
        return Ok(base.clone());
    }
    let mut tree = to_tree(base)?;
    let mut faults = Faults::new();
    for (name, value) in own {
        if !set(&mut tree, name, value) {
            faults.add(name, "is not a key of the training configuration");
        }
    }
    faults.into_result("sweep")?;
    Ok(config::from_str(&tree.to_string(), "sweep", TrainConfig::check)?)
}

/// Applies the values whose names begin with `model.` to a specification.
///
/// # Errors
/// [`FleetError::Config`] if there is no such layer or key, [`FleetError::Spec`] if the network is invalid.
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
            faults.add(&format!("{MODEL}{name}"), "is not a key of a layer in the specification");
        }
    }
    faults.into_result("sweep")?;
    Ok(ModelSpec::parse(&tree.to_string(), "sweep")?)
}

fn to_tree<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|e| FleetError::usage(format!("a configuration has no JSON form: {e}")))
}

/// Sets the value at a path whose parents exist; returns false if they do not. New keys are allowed, because
/// files omit defaults; the configuration's reader rejects unknown ones.
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

/// Formats a point: `batch_size=32 optimizer.learning_rate=0.001`.
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
