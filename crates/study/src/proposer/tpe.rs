//! Tree-structured Parzen estimator (TPE) over parameter spaces.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{ConfigErrors, Faults, Rng};

use super::random::fresh;
use super::{Proposer, Step};
use crate::error::Result;
use crate::parameter::{Domain, Params};
use crate::space::Space;
use crate::trial::{History, Proposal, TrialState};

/// Configuration of TPE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TpeConfig {
    /// Random trials before the estimator is used. Default 10.
    pub startup: u64,
    /// Points drawn from the density of good trials; the one with the best ratio is proposed. Default 24.
    pub draws: usize,
    /// Fraction of trials that count as good, in (0, 1). Default 0.1.
    pub good_share: f64,
    /// Maximum number of good trials. Default 25.
    pub good_limit: usize,
}

impl Default for TpeConfig {
    fn default() -> Self {
        Self { startup: 10, draws: 24, good_share: 0.1, good_limit: 25 }
    }
}

impl TpeConfig {
    /// Reports invalid values.
    pub fn check(&self, faults: &mut Faults) {
        if self.draws == 0 {
            faults.add("draws", "is 0, want at least 1");
        }
        if !(self.good_share > 0.0 && self.good_share < 1.0) {
            faults.add("good_share", format!("is {}, want more than 0 and less than 1", self.good_share));
        }
        if self.good_limit == 0 {
            faults.add("good_limit", "is 0, want at least 1");
        }
    }

    /// Validates the configuration, reporting all faults at once.
    ///
    /// # Errors
    /// [`ConfigErrors`] if any value is invalid.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("tpe")
    }
}

/// Multivariate TPE. Ranks the trials and splits them into good ones and the rest, estimates a density of
/// each, draws points from the density of the good ones, and proposes the point with the greatest ratio of
/// the two.
///
/// A density is a mixture with equal weights of one product kernel per trial and one prior kernel. In the
/// unit interval of a parameter, a number's kernel is a normal distribution truncated to it, with standard
/// deviation `0.2 n^(-1/(d+4))` and at least `1/min(100, n+1)`; the prior's has mean 1/2 and deviation 1.
/// Numbers with finitely many values take the kernel's mass over their interval. The kernel of a choice mixes
/// a uniform distribution over all choices and its own choice with weights `1/(n+1)` to 1.
///
/// With several objectives or constraints the ranking is by violation, Pareto front and crowding distance.
/// Running and refused trials count as not good, so that neighbors in a window do not propose the same.
/// Failed trials are left out.
///
/// Sources: J. Bergstra et al., "Algorithms for hyper-parameter optimization", 2011; bandwidths and the
/// fraction of good trials as in Optuna 4 (`multivariate=True`), which weighs trials by age and ranks several
/// objectives by hypervolume instead.
#[derive(Debug, Clone)]
pub struct Tpe {
    space: Space,
    config: TpeConfig,
}

impl Tpe {
    /// Creates TPE over `space`.
    ///
    /// # Errors
    /// [`crate::StudyError::Config`] if a fraction or a size is invalid.
    pub fn new(space: Space, config: TpeConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { space, config })
    }
}

impl Proposer<Params> for Tpe {
    fn propose(&self, history: &History<'_, Params>, number: u64, rng: &mut Rng) -> Result<Step<Params>> {
        let ranking = history.ranking();
        if number < self.config.startup || ranking.is_empty() {
            return Ok(Proposal::new(fresh(&self.space, history, rng)).into());
        }
        let share = (self.config.good_share * ranking.len() as f64).ceil() as usize;
        let cut = share.clamp(1, self.config.good_limit).min(ranking.len());
        let place = |params: &Params| self.space.to_unit(params).ok();
        let good: Vec<Vec<f64>> = ranking[..cut].iter().filter_map(|t| place(t.candidate())).collect();
        let refused = history.finished().iter().filter(|t| t.state == TrialState::Refused);
        let other: Vec<Vec<f64>> = (ranking[cut..].iter().copied().chain(refused).map(|t| t.candidate()))
            .chain(history.running().iter().map(|p| &p.candidate))
            .filter_map(place)
            .collect();
        let shapes: Vec<Shape> = self.space.parameters().values().map(Shape::of).collect();
        let (good, other) = (Density::new(good, &shapes), Density::new(other, &shapes));
        let mut best: Option<(f64, Params)> = None;
        for _ in 0..self.config.draws {
            let params = self.space.from_unit(&good.sample(rng));
            let Some(point) = place(&params) else { continue };
            let mut ratio = good.log(&point) - other.log(&point);
            if history.candidates().any(|seen| *seen == params) {
                // Repeating a point teaches little; a repeated one is proposed only if all draws are repeats.
                ratio -= 1e9;
            }
            if best.as_ref().is_none_or(|(most, _)| ratio > *most) {
                best = Some((ratio, params));
            }
        }
        let params = best.map_or_else(|| fresh(&self.space, history, rng), |(_, params)| params);
        Ok(Proposal::new(params).into())
    }
}

/// Representation of a parameter in the unit interval.
enum Shape {
    Continuous,
    /// Equal intervals with an order.
    Ordered(f64),
    /// Equal intervals without an order.
    Choices(f64),
}

impl Shape {
    fn of(domain: &Domain) -> Self {
        match domain {
            Domain::Categorical(d) => Self::Choices(d.choices.len() as f64),
            Domain::Int(d) if d.log => Self::Continuous,
            _ => domain.cardinality().map_or(Self::Continuous, |n| Self::Ordered(n as f64)),
        }
    }
}

struct Density<'a> {
    centers: Vec<Vec<f64>>,
    /// Mass of each center's normal distribution in [0, 1], by parameter.
    masses: Vec<Vec<f64>>,
    shapes: &'a [Shape],
    deviation: f64,
}

impl<'a> Density<'a> {
    fn new(centers: Vec<Vec<f64>>, shapes: &'a [Shape]) -> Self {
        let n = centers.len().max(1) as f64;
        let rule = 0.2 * libm::pow(n, -1.0 / (shapes.len() as f64 + 4.0));
        let deviation = rule.max(1.0 / (n + 1.0).min(100.0));
        let inside = |x: &f64| mass(*x, deviation);
        let masses = centers.iter().map(|c| c.iter().map(inside).collect()).collect();
        Self { centers, masses, shapes, deviation }
    }

    /// Draws a point of a random kernel; the index after the last center stands for the prior.
    fn sample(&self, rng: &mut Rng) -> Vec<f64> {
        let center = self.centers.get(rng.index(self.centers.len() + 1));
        let rest = 1.0 / (self.centers.len() as f64 + 1.0);
        self.shapes
            .iter()
            .enumerate()
            .map(|(d, shape)| match (shape, center) {
                (Shape::Choices(count), Some(c)) => {
                    let elsewhere = rest / (1.0 + rest);
                    let at = c[d];
                    // `elsewhere` is spread over all choices, including the center's own.
                    if rng.chance(elsewhere) { (rng.below(*count as u64) as f64 + 0.5) / count } else { at }
                }
                (Shape::Choices(count), None) => (rng.below(*count as u64) as f64 + 0.5) / count,
                (_, Some(c)) => truncated(c[d], self.deviation, rng),
                (_, None) => truncated(0.5, 1.0, rng),
            })
            .collect()
    }

    fn log(&self, point: &[f64]) -> f64 {
        let prior = vec![mass(0.5, 1.0); self.shapes.len()];
        let centers = self.centers.iter().map(|c| Some(c.as_slice())).zip(&self.masses);
        let logs: Vec<f64> = centers
            .chain([(None, &prior)])
            .map(|(center, masses)| self.kernel(center, masses, point))
            .collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logs.iter().map(|l| libm::exp(l - most)).sum();
        most + libm::log(sum / logs.len() as f64)
    }

    fn kernel(&self, center: Option<&[f64]>, masses: &[f64], point: &[f64]) -> f64 {
        let rest = 1.0 / (self.centers.len() as f64 + 1.0);
        let mut log = 0.0;
        for (d, shape) in self.shapes.iter().enumerate() {
            let (mean, deviation) = center.map_or((0.5, 1.0), |c| (c[d], self.deviation));
            let mass = masses[d];
            let density = match shape {
                Shape::Choices(count) => match center {
                    Some(c) => {
                        let here = if (c[d] - point[d]).abs() < 0.25 / count { 1.0 } else { 0.0 };
                        (here + rest / count) / (1.0 + rest)
                    }
                    None => 1.0 / count,
                },
                Shape::Ordered(count) => {
                    let half = 0.5 / count;
                    let (low, high) = (point[d] - half, point[d] + half);
                    (cdf((high - mean) / deviation) - cdf((low - mean) / deviation)) / mass * count
                }
                Shape::Continuous => {
                    let z = (point[d] - mean) / deviation;
                    libm::exp(-0.5 * z * z) / (deviation * (2.0 * std::f64::consts::PI).sqrt() * mass)
                }
            };
            log += libm::log(density.max(1e-300));
        }
        log
    }
}

/// Returns the mass of a normal distribution in [0, 1].
fn mass(mean: f64, deviation: f64) -> f64 {
    cdf((1.0 - mean) / deviation) - cdf(-mean / deviation)
}

fn cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// Draws from a normal distribution truncated to [0, 1], by rejection. The mean lies inside, so at least half
/// of the draws are accepted, or a third for deviations near 1.
fn truncated(mean: f64, deviation: f64, rng: &mut Rng) -> f64 {
    loop {
        let x = mean + deviation * rng.normal();
        if (0.0..=1.0).contains(&x) {
            return x;
        }
    }
}
