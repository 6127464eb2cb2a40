//! Proposers: strategies that choose the next candidate.

mod evolution;
mod grid;
mod random;
mod tpe;

use tinsmith_foundation::Rng;

pub use self::evolution::{Breed, Evolution, EvolutionConfig, Survival};
pub use self::grid::GridSearch;
pub use self::random::{RandomSearch, Sequence, StartWith};
pub use self::tpe::{Tpe, TpeConfig};

use crate::error::{Result, StudyError};
use crate::trial::{History, Proposal};

/// Answer of a proposer.
#[derive(Debug, Clone, PartialEq)]
pub enum Step<C> {
    /// Try this candidate.
    Try(Proposal<C>),
    /// Ask again once every earlier trial is finished; all of them are then in the history. For methods with
    /// rounds. Answering this twice for one trial is an error.
    Wait,
    /// Nothing is left to try: the study ends.
    Done,
}

impl<C> From<Proposal<C>> for Step<C> {
    fn from(proposal: Proposal<C>) -> Self {
        Self::Try(proposal)
    }
}

/// Proposes candidates. The answer is a function of the arguments alone: a proposer keeps no state between
/// calls, because a resumed study only asks for the missing trials, and workers ask in any order.
pub trait Proposer<C>: Sync {
    /// Proposes trial `number`, given the visible `history`. `rng` belongs to the trial.
    ///
    /// # Errors
    /// [`StudyError::Propose`], which ends the study; [`propose_error`] wraps any error.
    fn propose(&self, history: &History<'_, C>, number: u64, rng: &mut Rng) -> Result<Step<C>>;
}

impl<C, P: Proposer<C> + ?Sized> Proposer<C> for &P {
    fn propose(&self, history: &History<'_, C>, number: u64, rng: &mut Rng) -> Result<Step<C>> {
        (**self).propose(history, number, rng)
    }
}

impl<C, P: Proposer<C> + ?Sized> Proposer<C> for Box<P> {
    fn propose(&self, history: &History<'_, C>, number: u64, rng: &mut Rng) -> Result<Step<C>> {
        (**self).propose(history, number, rng)
    }
}

/// Wraps the error of a proposer.
pub fn propose_error(trial: u64, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StudyError {
    StudyError::Propose { trial, source: source.into() }
}
