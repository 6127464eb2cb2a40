//! Networks within a budget: draws that break a limit are rejected and counted, with a bound on tries.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use tinsmith_cost::{Cost, Limits, Target};
use tinsmith_foundation::{Faults, Seed};
use tinsmith_network::{ModelSpec, StructuralHash};

use crate::error::{ModelgenError, Result};
use crate::generator::ModelGenerator;

/// How many draws there were, and why some were rejected.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Tally {
    /// All draws.
    pub draws: u64,
    /// Draws that could not be completed within the bounds.
    pub no_fit: u64,
    /// Draws that had the structure of an earlier network.
    pub duplicates: u64,
    /// For each limit the draws that broke it; one draw can break several.
    pub over: BTreeMap<&'static str, Over>,
}

/// How a limit was broken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Over {
    /// Draws that broke it.
    pub draws: u64,
    /// The limit.
    pub limit: u64,
    /// The least that a draw which broke it had.
    pub least: f64,
}

impl Tally {
    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Self) {
        self.draws += other.draws;
        self.no_fit += other.no_fit;
        self.duplicates += other.duplicates;
        for (&what, over) in &other.over {
            let mine = self.over.entry(what).or_insert(Over { draws: 0, ..*over });
            mine.draws += over.draws;
            mine.least = mine.least.min(over.least);
        }
    }

    /// The reason for which most draws were rejected, if any was.
    #[must_use]
    pub fn binding(&self) -> Option<Binding> {
        let limits = self.over.iter().map(|(&what, &over)| (over.draws, Some((what, over))));
        let others = [(self.no_fit, None), (self.duplicates, None)];
        // Of equal counts the later wins, and limits say more than what else can be.
        let (rejected, most) =
            others.into_iter().chain(limits).filter(|(n, _)| *n > 0).max_by_key(|(n, _)| *n)?;
        let reason = match most {
            Some((what, Over { limit, least, .. })) => Reason::Limit { what, limit, least },
            None if rejected == self.duplicates => Reason::Duplicates,
            None => Reason::NoFit,
        };
        Some(Binding { rejected, draws: self.draws, reason })
    }
}

/// What kept most draws from being accepted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Binding {
    /// Draws that it rejected.
    pub rejected: u64,
    /// All draws.
    pub draws: u64,
    /// What it is.
    pub reason: Reason,
}

/// Why draws were rejected.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// They broke a limit.
    Limit {
        /// The limit's name, a field of [`Limits`].
        what: &'static str,
        /// The limit.
        limit: u64,
        /// The least that a draw over the limit had.
        least: f64,
    },
    /// They had the structure of earlier networks: the family has few members within the limits.
    Duplicates,
    /// A layer did not fit its place.
    NoFit,
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rejected, draws, reason } = self;
        match reason {
            Reason::Limit { what, limit, least } => write!(
                f,
                "{rejected} of {draws} draws break the limit of {what}, {limit} (the least of them has {least:.0}); \
                 raise it or lower the bounds of sizes"
            ),
            Reason::Duplicates => write!(
                f,
                "{rejected} of {draws} draws repeat earlier networks; widen the bounds or allow duplicates"
            ),
            Reason::NoFit => write!(
                f,
                "{rejected} of {draws} draws come to a layer that does not fit its place; \
                 lower conv_kernel_lb or give padding same a weight"
            ),
        }
    }
}

/// A network with what it costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The network.
    pub spec: ModelSpec,
    /// What it costs, as deployed.
    pub cost: Cost,
    /// What its structure is known by.
    pub hash: StructuralHash,
}

impl ModelGenerator {
    /// `n` networks of different structure, each within `limits` on `target`, their depths drawn from
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
    /// [`ModelgenError::Unsatisfiable`] with the binding constraint where `max_tries` draws in a row were rejected;
    /// [`ModelgenError::Config`] for limits that no network keeps.
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

    /// As [`ModelGenerator::candidates`], with costs and the tally of draws.
    ///
    /// # Errors
    /// As [`ModelGenerator::candidates`].
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
                // Tries that repeat an earlier network count on in the same row.
                let Some(candidate) = self.first_within(seed, &mut tries, limits, target, &mut tally)? else {
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

    /// The first draw of `seed` from try `tries` on that keeps the limits; None where there are no tries left.
    pub(crate) fn first_within(
        &self,
        seed: Seed,
        tries: &mut u64,
        limits: &Limits,
        target: &Target,
        tally: &mut Tally,
    ) -> Result<Option<Candidate>> {
        while *tries < self.config().max_tries {
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
                let over = Over { draws: 0, limit: violation.limit, least: f64::INFINITY };
                let over = tally.over.entry(violation.what).or_insert(over);
                over.draws += 1;
                over.least = over.least.min(violation.value);
            }
        }
        Ok(None)
    }
}

pub(crate) fn check_limits(limits: &Limits) -> Result<()> {
    let mut faults = Faults::new();
    limits.check_config(&mut faults);
    Ok(faults.into_result("limits")?)
}

pub(crate) fn unsatisfiable(found: usize, wanted: usize, tally: &Tally) -> ModelgenError {
    let binding = tally.binding().map_or_else(String::new, |binding| binding.to_string());
    ModelgenError::Unsatisfiable { found, wanted, binding }
}
