//! Evolution of arbitrary candidates that can be created at random and mutated.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{ConfigErrors, Faults, Rng};

use super::{Proposer, Step, propose_error};
use crate::error::Result;
use crate::pareto;
use crate::trial::{History, Proposal, Trial, TrialState};

/// Operations of an evolution on its candidates.
pub trait Breed<C>: Sync {
    /// Creates a random candidate.
    ///
    /// # Errors
    /// Any error; it ends the study.
    fn random(&self, rng: &mut Rng) -> Result<C, Box<dyn std::error::Error + Send + Sync>>;

    /// Creates a candidate that differs slightly from `parent`.
    ///
    /// # Errors
    /// Any error; it ends the study.
    fn mutate(&self, parent: &C, rng: &mut Rng) -> Result<C, Box<dyn std::error::Error + Send + Sync>>;

    /// Creates a candidate between two. `None` if candidates cannot be crossed; the first is then mutated.
    ///
    /// # Errors
    /// Any error; it ends the study.
    fn cross(
        &self,
        _first: &C,
        _second: &C,
        _rng: &mut Rng,
    ) -> Result<Option<C>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(None)
    }

    /// Returns true if a candidate deserves a trial, for example fits a budget that is quick to check. Others
    /// are created anew, up to [`EvolutionConfig::attempts`] times.
    fn is_acceptable(&self, _candidate: &C) -> bool {
        true
    }
}

/// Rule that selects the survivors, which may become parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Survival {
    /// The best of all trials: (mu + lambda).
    #[default]
    Elitist,
    /// The youngest, regardless of quality: regularized evolution (Real et al., arXiv 1802.01548).
    Aging,
}

/// Configuration of an evolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvolutionConfig {
    /// Population size, which is also the number of random trials at the start. Default 24.
    pub population: usize,
    /// Tournament size: a parent is the best of this many members. Default 4.
    pub tournament: usize,
    /// Survival rule. Default elitist.
    pub survival: Survival,
    /// Fraction of children with two parents, in [0, 1]. Default 0.25.
    pub crossover: f64,
    /// Fraction of random candidates after the start, in [0, 1]. Default 0.05.
    pub random: f64,
    /// Number of attempts to create an acceptable candidate that was not proposed before. Default 100.
    pub attempts: u32,
    /// Start a child's evaluation from its first parent's artifact. Default false.
    pub inherit: bool,
}

impl Default for EvolutionConfig {
    fn default() -> Self {
        Self {
            population: 24,
            tournament: 4,
            survival: Survival::Elitist,
            crossover: 0.25,
            random: 0.05,
            attempts: 100,
            inherit: false,
        }
    }
}

impl EvolutionConfig {
    /// Reports invalid values.
    pub fn check(&self, faults: &mut Faults) {
        if self.population == 0 {
            faults.add("population", "is 0, want at least 1");
        }
        if self.tournament == 0 {
            faults.add("tournament", "is 0, want at least 1");
        }
        if self.attempts == 0 {
            faults.add("attempts", "is 0, want at least 1");
        }
        for (name, share) in [("crossover", self.crossover), ("random", self.random)] {
            if !(0.0..=1.0).contains(&share) {
                faults.add(name, format!("is {share}, want 0 to 1"));
            }
        }
    }

    /// Validates the configuration, reporting all faults at once.
    ///
    /// # Errors
    /// [`ConfigErrors`] if any value is invalid.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("evolution")
    }
}

/// Evolution with Pareto ranking (non-dominated sort, crowding distance; constraints first), for any
/// candidate.
///
/// Unlike in the sources it is steady-state under the window: each trial's child is born from the population
/// that its history shows, so there are no generations to wait for.
#[derive(Debug, Clone)]
pub struct Evolution<B> {
    breed: B,
    config: EvolutionConfig,
}

impl<B> Evolution<B> {
    /// Creates an evolution with the operations of `breed`.
    ///
    /// # Errors
    /// [`crate::StudyError::Config`] if a fraction or a size is invalid.
    pub fn new(breed: B, config: EvolutionConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { breed, config })
    }

    /// Returns the population, best first: members with values, then the refused ones with the smallest
    /// violations.
    fn population<'a, C>(&self, history: &History<'a, C>) -> Vec<&'a Arc<Trial<C>>> {
        let size = self.config.population;
        let mut members: Vec<&Arc<Trial<C>>> = match self.config.survival {
            Survival::Elitist => history.ranking().into_iter().take(size).collect(),
            Survival::Aging => {
                let mut young: Vec<&Arc<Trial<C>>> =
                    history.finished().iter().rev().filter(|t| t.values.is_some()).take(size).collect();
                young.reverse();
                ranked(history, &young)
            }
        };
        let mut refused: Vec<&Arc<Trial<C>>> = history
            .finished()
            .iter()
            .filter(|t| t.state == TrialState::Refused && t.violation() > 0.0)
            .collect();
        refused.sort_by(|a, b| a.violation().total_cmp(&b.violation()).then(a.number.cmp(&b.number)));
        members.extend(refused.into_iter().take(size.saturating_sub(members.len())));
        members
    }

    /// Returns the index of a tournament's winner: the smallest of some random indices, because the best come
    /// first.
    fn select(&self, members: usize, rng: &mut Rng) -> usize {
        (0..self.config.tournament).map(|_| rng.index(members)).min().unwrap_or(0)
    }
}

fn ranked<'a, C>(history: &History<'a, C>, trials: &[&'a Arc<Trial<C>>]) -> Vec<&'a Arc<Trial<C>>> {
    let points: Vec<Vec<f64>> = trials.iter().map(|t| history.losses(t).unwrap_or_default()).collect();
    let violations: Vec<f64> = trials.iter().map(|t| t.violation()).collect();
    pareto::ranking(&points, &violations).into_iter().map(|i| trials[i]).collect()
}

impl<C: PartialEq, B: Breed<C>> Proposer<C> for Evolution<B> {
    fn propose(&self, history: &History<'_, C>, number: u64, rng: &mut Rng) -> Result<Step<C>> {
        let fault = |source| propose_error(number, source);
        let members = self.population(history);
        let starting = number < self.config.population as u64 || members.is_empty();
        let mut last: Option<(C, Vec<u64>, bool)> = None;
        for _ in 0..self.config.attempts {
            let mut parents = Vec::new();
            let candidate = if starting || rng.chance(self.config.random) {
                self.breed.random(rng).map_err(fault)?
            } else {
                let first = members[self.select(members.len(), rng)];
                parents.push(first.number);
                let mut crossed = None;
                if members.len() > 1 && rng.chance(self.config.crossover) {
                    let second = members[self.select(members.len(), rng)];
                    if second.number != first.number {
                        crossed = self
                            .breed
                            .cross(first.candidate(), second.candidate(), rng)
                            .map_err(fault)?
                            .inspect(|_| parents.push(second.number));
                    }
                }
                match crossed {
                    Some(child) => child,
                    None => self.breed.mutate(first.candidate(), rng).map_err(fault)?,
                }
            };
            let new = history.candidates().all(|seen| *seen != candidate);
            let acceptable = self.breed.is_acceptable(&candidate);
            // If all attempts fail, an acceptable candidate that was tried before is preferred to a new one
            // that is not acceptable.
            if last.as_ref().is_none_or(|(_, _, was)| acceptable || !was) {
                last = Some((candidate, parents, acceptable));
            }
            if new && acceptable {
                break;
            }
        }
        let Some((candidate, parents, _)) = last else { return Ok(Step::Done) };
        let mut proposal = Proposal::new(candidate);
        if self.config.inherit {
            proposal.inherit =
                parents.first().copied().filter(|&p| history.trial(p).is_some_and(|t| t.artifact.is_some()));
        }
        if !parents.is_empty() {
            proposal.attributes.insert("parents".to_owned(), parents.into());
        }
        Ok(proposal.into())
    }
}
