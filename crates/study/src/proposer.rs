//! Who says what to try next.

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

/// What a proposer answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Step<C> {
    /// Try this.
    Try(Proposal<C>),
    /// Ask again once every trial before this one is finished; they are then all in the history. For methods with
    /// rounds. Answering so again is an error.
    Wait,
    /// There is nothing left to try: the study ends.
    Done,
}

impl<C> From<Proposal<C>> for Step<C> {
    fn from(proposal: Proposal<C>) -> Self {
        Self::Try(proposal)
    }
}

/// Proposes candidates. The answer is a function of the arguments alone: a proposer keeps no state between calls,
/// since a resumed study asks only for the trials that are missing, and two workers ask in any order of time.
pub trait Proposer<C>: Sync {
    /// What trial `number` is to try, given what `history` shows. `rng` is the trial's own.
    ///
    /// # Errors
    /// [`StudyError::Propose`], which ends the study; [`propose_error`] makes one of any error.
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

/// The error of a proposer that failed for a reason of its own.
pub fn propose_error(trial: u64, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StudyError {
    StudyError::Propose { trial, source: source.into() }
}
