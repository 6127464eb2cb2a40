//! Networks within a budget: draws over a limit are rejected and counted, with a bound on consecutive rejections.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::ControlFlow;

use serde::Serialize;
use tinsmith_cost::{Cost, Limits, Target};
use tinsmith_foundation::{Faults, Seed};
use tinsmith_network::{ModelSpec, StructuralHash};

use crate::error::{ModelgenError, Result};
use crate::generator::ModelGenerator;

/// Number of draws, and of rejections by reason.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Tally {
    /// All draws.
    pub draws: u64,
    /// Draws that could not be completed within the bounds.
    pub no_fit: u64,
    /// Draws with the structure of an earlier network.
    pub duplicates: u64,
    /// Draws over each limit; one draw can exceed several.
    pub over: BTreeMap<&'static str, LimitOverrun>,
}

/// Draws over one limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LimitOverrun {
    /// Number of draws over the limit.
    pub draws: u64,
    /// The limit.
    pub limit: u64,
    /// Smallest value among the draws over the limit.
    pub least: f64,
}

impl Tally {
    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.draws += other.draws;
        self.no_fit += other.no_fit;
        self.duplicates += other.duplicates;
        for (&what, over) in &other.over {
            let mine = self.over.entry(what).or_insert(LimitOverrun { draws: 0, ..*over });
            mine.draws += over.draws;
            mine.least = mine.least.min(over.least);
        }
    }

    /// Returns the most frequent reason for rejection, if any draw was rejected.
    #[must_use]
    pub fn binding(&self) -> Option<Binding> {
        self.bindings().into_iter().next()
    }

    /// Returns every reason for which draws were rejected, most frequent first. Of equal counts, limits come before
    /// duplicates and duplicates before draws that could not be completed.
    #[must_use]
    pub fn bindings(&self) -> Vec<Binding> {
        let limits = self.over.iter().map(|(&what, &LimitOverrun { draws, limit, least })| {
            (draws, RejectReason::Limit { what, limit, least })
        });
        let others = [(self.duplicates, RejectReason::Duplicates), (self.no_fit, RejectReason::NoFit)];
        let mut found: Vec<Binding> = limits
            .chain(others)
            .filter(|(rejected, _)| *rejected > 0)
            .map(|(rejected, reason)| Binding { rejected, draws: self.draws, reason })
            .collect();
        found.sort_by_key(|binding| std::cmp::Reverse(binding.rejected));
        found
    }
}

/// A reason for rejection with its frequency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Binding {
    /// Draws rejected for this reason.
    pub rejected: u64,
    /// All draws.
    pub draws: u64,
    /// The reason.
    pub reason: RejectReason,
}

/// Reason for rejecting a draw.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum RejectReason {
    /// The network exceeds a limit.
    Limit {
        /// Name of the limit, a field of [`Limits`].
        what: &'static str,
        /// The limit.
        limit: u64,
        /// Smallest value among the draws over the limit.
        least: f64,
    },
    /// The network has the structure of an earlier one: the family has few members within the limits.
    Duplicates,
    /// A layer does not fit at its position.
    NoFit,
}

impl RejectReason {
    /// Change of the configuration that makes this rejection rarer.
    const fn remedy(self) -> &'static str {
        match self {
            Self::Limit { .. } => "raise the limits or lower the bounds of sizes",
            Self::Duplicates => "widen the bounds or allow duplicates",
            Self::NoFit => "lower conv_kernel_lb or give padding same a weight",
        }
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rejected, draws, reason } = self;
        match reason {
            RejectReason::Limit { what, limit, least } => write!(
                f,
                "{rejected} of {draws} draws exceed the limit of {what}, {limit} (the smallest has {least:.0})"
            ),
            RejectReason::Duplicates => write!(f, "{rejected} of {draws} draws repeat earlier networks"),
            RejectReason::NoFit => {
                write!(f, "{rejected} of {draws} draws reach a layer that does not fit its input")
            }
        }
    }
}

/// A network with its cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The network.
    pub spec: ModelSpec,
    /// Cost as deployed.
    pub cost: Cost,
    /// Structural hash.
    pub hash: StructuralHash,
}

impl ModelGenerator {
    /// Draws `n` networks of different structure, each within `limits` on `target`, with depths from
    /// `min_layer_count..=max_layer_count`. Network i is the first acceptable draw of the seed derived by `("model", i)`.
    ///
    /// ```
    /// use tinsmith_foundation::Seed;
    /// use tinsmith_modelgen::{GeneratorConfig, ModelGenerator};
    /// use tinsmith_cost::{Cost, Limits, Target};
    ///
    /// let target = Target::builtin("mcu-int8").ok_or("no such target")?;
    /// let limits = Limits { flash: Some(8 << 10), ram: Some(2 << 10), ..Limits::default() };
    /// let generator = ModelGenerator::new(GeneratorConfig::for_task(&[8, 8, 1], 10))?;
    /// let specs = generator.candidates(5, Seed::new(1), &limits, &target)?;
    /// for spec in &specs {
    ///     assert!(limits.check(&Cost::of(spec, &target)?).is_empty());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ModelgenError::Unsatisfiable`] with the binding constraints after `max_tries` consecutive rejections;
    /// [`ModelgenError::Config`] for limits that no network can keep.
    pub fn candidates(
        &self,
        n: usize,
        seed: Seed,
        limits: &Limits,
        target: &Target,
    ) -> Result<Vec<ModelSpec>> {
        let found = self.costed_candidates(n, seed, limits, target)?;
        Ok(found.0.into_iter().map(|candidate| candidate.spec).collect())
    }

    /// Draws networks like [`ModelGenerator::candidates`] and returns them with their costs and the tally of draws.
    ///
    /// # Errors
    /// Those of [`ModelGenerator::candidates`].
    pub fn costed_candidates(
        &self,
        n: usize,
        seed: Seed,
        limits: &Limits,
        target: &Target,
    ) -> Result<(Vec<Candidate>, Tally)> {
        check_limits(limits)?;
        let mut tally = Tally::default();
        let mut seen = BTreeSet::new();
        let mut found = Vec::with_capacity(n);
        for i in 0..n {
            let seed = seed.derive("model", i as u64);
            let mut tries = 0;
            loop {
                // Duplicates count towards the same row of tries.
                let proceed = || ControlFlow::Continue(());
                let Some(candidate) =
                    self.first_within(seed, &mut tries, limits, target, &mut tally, proceed)?
                else {
                    return Err(unsatisfiable(i, n, &tally));
                };
                if seen.insert(candidate.hash) {
                    found.push(candidate);
                    break;
                }
                tally.duplicates += 1;
            }
        }
        Ok((found, tally))
    }

    /// Returns the first draw of `seed`, counted from try `tries`, that keeps the limits. Returns `None` when no tries
    /// are left, or when `poll`, called before each draw, breaks.
    pub(crate) fn first_within(
        &self,
        seed: Seed,
        tries: &mut u64,
        limits: &Limits,
        target: &Target,
        tally: &mut Tally,
        poll: impl Fn() -> ControlFlow<()>,
    ) -> Result<Option<Candidate>> {
        while *tries < self.config().max_tries && poll().is_continue() {
            // The first try uses the seed itself, so that an accepted network equals an unlimited draw.
            let seed = if *tries == 0 { seed } else { seed.derive("try", *tries) };
            *tries += 1;
            tally.draws += 1;
            let spec = match self.draw_any(seed) {
                Ok(spec) => spec,
                Err(ModelgenError::NoFit { .. }) => {
                    tally.no_fit += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let graph = spec.graph()?;
            let cost = Cost::with_graph(&spec, &graph, target);
            let broken = limits.check(&cost);
            if broken.is_empty() {
                let hash = StructuralHash::of(&spec, &graph);
                return Ok(Some(Candidate { spec, cost, hash }));
            }
            for violation in broken {
                let over = LimitOverrun { draws: 0, limit: violation.limit, least: f64::INFINITY };
                let over = tally.over.entry(violation.what).or_insert(over);
                over.draws += 1;
                over.least = over.least.min(violation.value);
            }
        }
        Ok(None)
    }
}

fn check_limits(limits: &Limits) -> Result<()> {
    let mut faults = Faults::new();
    limits.check_config(&mut faults);
    Ok(faults.into_result("limits")?)
}

/// Names every reason for rejection, so that a user who raises one limit does not run into the next.
pub(crate) fn unsatisfiable(found: usize, wanted: usize, tally: &Tally) -> ModelgenError {
    let bindings = tally.bindings();
    let mut reasons: Vec<String> = bindings.iter().map(ToString::to_string).collect();
    reasons.extend(bindings.first().map(|most| most.reason.remedy().to_owned()));
    ModelgenError::Unsatisfiable { found, wanted, binding: reasons.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reasons_are_named_and_the_most_frequent_first() {
        let over = |draws, limit| LimitOverrun { draws, limit, least: 99.0 };
        let tally = Tally {
            draws: 10,
            no_fit: 2,
            duplicates: 0,
            over: BTreeMap::from([("flash", over(7, 5)), ("ram", over(9, 4))]),
        };
        assert_eq!(tally.binding().map(|binding| binding.rejected), Some(9));
        let error = unsatisfiable(0, 3, &tally).to_string();
        let ram = "found 0 of 3 networks, then none: 9 of 10 draws exceed the limit of ram, 4 (the smallest has 99)";
        let flash = "; 7 of 10 draws exceed the limit of flash, 5";
        assert!(error.starts_with(ram) && error.contains(flash), "{error}");
        assert!(error.ends_with("; raise the limits or lower the bounds of sizes"), "{error}");
    }
}
