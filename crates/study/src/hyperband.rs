//! Hyperband: many candidates at a small budget, few at a large one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tinsmith_foundation::{ConfigErrors, Faults, Rng};

use crate::error::Result;
use crate::evaluate::Budget;
use crate::pareto;
use crate::proposer::{Proposer, Step};
use crate::trial::{History, Proposal, Trial};

/// A round of a bracket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Number of candidates trained.
    pub models: u64,
    /// Total epochs of each, including those of earlier rounds.
    pub epochs: u32,
}

/// A bracket: rounds of successive halving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bracket {
    /// Index; bracket b has b + 1 rounds.
    pub index: u32,
    /// Its rounds.
    pub rounds: Vec<Round>,
}

/// Returns the brackets of one iteration of Hyperband, the most aggressive first.
///
/// The number of brackets is one more than the number of times that `max_epochs` can be divided by `factor`
/// while staying >= 1. With `n = ceil(1 + log_factor max_epochs)`, round r of bracket b trains
/// `ceil(n / (b + 1) * factor^(b-r))` candidates for `ceil(max_epochs / factor^(b-r))` epochs.
///
/// Source: Li et al., arXiv 1603.06560, in the form of Keras Tuner 1.4.7, with the same 64-bit logarithms.
/// Zero epochs give no brackets; a factor below 2 counts as 2.
///
/// ```
/// let brackets = tinsmith_study::hyperband_brackets(20, 3);
/// let first = brackets[0].rounds.iter().map(|r| (r.models, r.epochs));
/// assert_eq!(first.collect::<Vec<_>>(), [(12, 3), (4, 7), (2, 20)]);
/// ```
#[must_use]
pub fn hyperband_brackets(max_epochs: u32, factor: u32) -> Vec<Bracket> {
    if max_epochs == 0 {
        return Vec::new();
    }
    let (epochs, factor) = (f64::from(max_epochs), f64::from(factor.max(2)));
    let mut count = 0;
    let mut left = epochs;
    while left >= 1.0 {
        left /= factor;
        count += 1;
    }
    // The reference uses the platform's logarithm; an error of one unit in the last place turns 4 into 5
    // here.
    let size = (1.0 + epochs.ln() / factor.ln()).ceil();
    (0..count)
        .rev()
        .map(|index: u32| {
            let rounds = (0..=index).map(|round| {
                let share = factor.powi((index - round) as i32);
                Round {
                    models: (size / f64::from(index + 1) * share).ceil() as u64,
                    epochs: (epochs / share).ceil() as u32,
                }
            });
            Bracket { index, rounds: rounds.collect() }
        })
        .collect()
}

/// Configuration of Hyperband.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HyperbandConfig {
    /// Epochs of a candidate that survives all rounds, at least 1. Default 27.
    pub max_epochs: u32,
    /// Reduction factor: one of `factor` candidates survives a round, at least 2. Default 3.
    pub factor: u32,
    /// Number of passes over all brackets, at least 1. Default 1.
    pub iterations: u32,
    /// Folds and data fraction of every evaluation; its epochs are set by Hyperband.
    pub budget: Budget,
}

impl Default for HyperbandConfig {
    fn default() -> Self {
        Self { max_epochs: 27, factor: 3, iterations: 1, budget: Budget::default() }
    }
}

impl HyperbandConfig {
    /// Reports invalid values.
    pub fn check(&self, faults: &mut Faults) {
        for (name, value, least) in [
            ("max_epochs", self.max_epochs, 1),
            ("factor", self.factor, 2),
            ("iterations", self.iterations, 1),
        ] {
            if value < least {
                faults.add(name, format!("is {value}, want at least {least}"));
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
        faults.into_result("hyperband")
    }
}

/// Hyperband over the candidates of another proposer, in the order of Keras Tuner's oracle: it fills the
/// first round of a bracket, promotes a candidate as soon as more have finished than must be dropped, and
/// starts the next bracket while nothing can be promoted. A promoted trial names its parent in
/// [`Proposal::resume`].
///
/// A trial counts as finished once the window shows it. With a window above 1 the order therefore differs
/// from that of a serial run, but does not depend on the number of workers. Trials without values (failed,
/// refused) count as finished and are never promoted. The inner proposer is queried by the number of new
/// candidates so far; the search ends when it is done.
#[derive(Debug, Clone)]
pub struct Hyperband<P> {
    inner: P,
    config: HyperbandConfig,
    brackets: Vec<Bracket>,
}

/// A bracket in progress: the trials of each of its rounds.
struct Sweep<'a, C> {
    bracket: &'a Bracket,
    rounds: Vec<Vec<Entry<'a, C>>>,
}

struct Entry<'a, C> {
    parent: Option<u64>,
    /// `None` while the result is not visible.
    finished: Option<&'a Arc<Trial<C>>>,
}

impl<P> Hyperband<P> {
    /// Creates Hyperband over the candidates of `inner`.
    ///
    /// # Errors
    /// [`crate::StudyError::Config`] if a value is invalid.
    pub fn new(inner: P, config: HyperbandConfig) -> Result<Self> {
        config.validate()?;
        let brackets = hyperband_brackets(config.max_epochs, config.factor);
        Ok(Self { inner, config, brackets })
    }

    /// Returns the number of trials of all iterations if none fails.
    #[must_use]
    pub fn trials(&self) -> u64 {
        let one: u64 = self.brackets.iter().flat_map(|b| &b.rounds).map(|r| r.models).sum();
        one * u64::from(self.config.iterations)
    }

    fn sweeps<'a, C>(&'a self, history: &History<'a, C>) -> Vec<Sweep<'a, C>> {
        let mut sweeps: Vec<Sweep<'a, C>> = Vec::new();
        let finished = history.finished().iter().map(|t| (&*t.proposal, Some(t)));
        for (proposal, finished) in finished.chain(history.running().iter().map(|p| (&**p, None))) {
            let Some((sweep, round)) = place(&proposal.attributes) else { continue };
            while sweeps.len() <= sweep
                && sweeps.len() < self.brackets.len() * self.config.iterations as usize
            {
                let bracket = &self.brackets[sweeps.len() % self.brackets.len()];
                sweeps.push(Sweep { bracket, rounds: bracket.rounds.iter().map(|_| Vec::new()).collect() });
            }
            if let Some(entries) = sweeps.get_mut(sweep).and_then(|s| s.rounds.get_mut(round)) {
                entries.push(Entry { parent: proposal.resume, finished });
            }
        }
        sweeps
    }

    fn mark<C>(&self, mut proposal: Proposal<C>, sweep: usize, round: usize) -> Proposal<C> {
        let bracket = &self.brackets[sweep % self.brackets.len()];
        let epochs = bracket.rounds[round].epochs;
        let place = json!({"sweep": sweep, "bracket": bracket.index, "round": round});
        proposal.attributes.insert("hyperband".to_owned(), place);
        proposal.budget = Some(Budget { epochs, ..self.config.budget });
        proposal
    }
}

/// Returns the sweep and round that a trial belongs to.
fn place(attributes: &std::collections::BTreeMap<String, Value>) -> Option<(usize, usize)> {
    let place = attributes.get("hyperband")?;
    let number = |key: &str| place.get(key)?.as_u64().and_then(|n| usize::try_from(n).ok());
    Some((number("sweep")?, number("round")?))
}

impl<C> Sweep<'_, C> {
    /// Returns the best trial that may be promoted to `round`.
    fn promotion(&self, round: usize, history: &History<'_, C>) -> Option<&Arc<Trial<C>>> {
        let dropped = self.bracket.rounds[round - 1].models.saturating_sub(self.bracket.rounds[round].models);
        let chosen = |number| self.rounds[round].iter().any(|e| e.parent == Some(number));
        let ready: Vec<&Arc<Trial<C>>> =
            self.rounds[round - 1].iter().filter_map(|e| e.finished).filter(|t| !chosen(t.number)).collect();
        if ready.len() as u64 <= dropped {
            return None;
        }
        let usable: Vec<_> = ready.iter().filter_map(|t| Some((*t, history.losses(t)?))).collect();
        let points: Vec<Vec<f64>> = usable.iter().map(|(_, losses)| losses.clone()).collect();
        let violations: Vec<f64> = usable.iter().map(|(t, _)| t.violation()).collect();
        pareto::ranking(&points, &violations).first().map(|&i| usable[i].0)
    }
}

impl<C: Clone, P: Proposer<C>> Proposer<C> for Hyperband<P> {
    fn propose(&self, history: &History<'_, C>, _number: u64, rng: &mut Rng) -> Result<Step<C>> {
        let sweeps = self.sweeps(history);
        let new: usize = sweeps.iter().filter_map(|s| s.rounds.first()).map(Vec::len).sum();
        let begin = |sweep: usize, rng: &mut Rng| {
            Ok(match self.inner.propose(history, new as u64, rng)? {
                Step::Try(proposal) => Step::Try(self.mark(proposal, sweep, 0)),
                other => other,
            })
        };
        for (i, sweep) in sweeps.iter().enumerate() {
            if (sweep.rounds[0].len() as u64) < sweep.bracket.rounds[0].models {
                return begin(i, rng);
            }
            for round in 1..sweep.rounds.len() {
                if let Some(parent) = sweep.promotion(round, history) {
                    let mut proposal = Proposal::new(parent.candidate().clone());
                    proposal.resume = Some(parent.number);
                    return Ok(self.mark(proposal, i, round).into());
                }
            }
        }
        if sweeps.len() < self.brackets.len() * self.config.iterations as usize {
            return begin(sweeps.len(), rng);
        }
        Ok(if history.running().is_empty() { Step::Done } else { Step::Wait })
    }
}
