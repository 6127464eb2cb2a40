//! Candidates chosen independently of results: random points, or a given list.

use tinsmith_foundation::Rng;

use super::{Proposer, Step};
use crate::error::Result;
use crate::parameter::Params;
use crate::space::Space;
use crate::trial::{History, Proposal};

/// Random search: uniform points of a space. Draws again, up to 20 times, if a point was proposed before
/// (Keras Tuner's rule), then accepts it.
#[derive(Debug, Clone)]
pub struct RandomSearch {
    space: Space,
}

impl RandomSearch {
    /// Creates a random search over `space`.
    #[must_use]
    pub const fn new(space: Space) -> Self {
        Self { space }
    }
}

impl Proposer<Params> for RandomSearch {
    fn propose(&self, history: &History<'_, Params>, _number: u64, rng: &mut Rng) -> Result<Step<Params>> {
        Ok(Proposal::new(fresh(&self.space, history, rng)).into())
    }
}

pub(super) fn fresh(space: &Space, history: &History<'_, Params>, rng: &mut Rng) -> Params {
    let mut params = space.sample(rng);
    for _ in 0..20 {
        if !history.candidates().any(|seen| *seen == params) {
            break;
        }
        params = space.sample(rng);
    }
    params
}

/// Given candidates, one trial each: a design, a list from a file, a generator's family.
#[derive(Debug, Clone)]
pub struct Sequence<C> {
    candidates: Vec<C>,
}

impl<C> Sequence<C> {
    /// Creates a proposer that tries `candidates` in order and then ends.
    #[must_use]
    pub const fn new(candidates: Vec<C>) -> Self {
        Self { candidates }
    }
}

impl<C: Clone + Sync> Proposer<C> for Sequence<C> {
    fn propose(&self, _history: &History<'_, C>, number: u64, _rng: &mut Rng) -> Result<Step<C>> {
        let candidate = usize::try_from(number).ok().and_then(|i| self.candidates.get(i));
        Ok(candidate.map_or(Step::Done, |c| Proposal::new(c.clone()).into()))
    }
}

/// Given candidates first (baselines, results of an earlier search), then those of another proposer.
#[derive(Debug, Clone)]
pub struct StartWith<C, P> {
    first: Vec<C>,
    then: P,
}

impl<C, P> StartWith<C, P> {
    /// Creates a proposer that tries `first` in order and then queries `then`, which sees their results like
    /// any other.
    #[must_use]
    pub const fn new(first: Vec<C>, then: P) -> Self {
        Self { first, then }
    }
}

impl<C: Clone + Sync, P: Proposer<C>> Proposer<C> for StartWith<C, P> {
    fn propose(&self, history: &History<'_, C>, number: u64, rng: &mut Rng) -> Result<Step<C>> {
        match usize::try_from(number).ok().and_then(|i| self.first.get(i)) {
            Some(candidate) => Ok(Proposal::new(candidate.clone()).into()),
            None => self.then.propose(history, number, rng),
        }
    }
}
