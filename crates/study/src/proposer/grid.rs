//! Grid search: all points of a finite space in order.

use tinsmith_foundation::{Faults, Rng};

use super::{Proposer, Step};
use crate::error::Result;
use crate::parameter::{Domain, Params};
use crate::space::Space;
use crate::trial::{History, Proposal};

/// The Cartesian product of the domains, the last name varying fastest. Points are computed on demand.
#[derive(Debug, Clone)]
pub struct GridSearch {
    space: Space,
    levels: Vec<u64>,
}

impl GridSearch {
    /// Creates a grid over `space`. A continuous parameter gets `levels` values, evenly spaced from its
    /// lowest to its highest (in the logarithm if it asks for it); a finite one all of its own.
    ///
    /// # Errors
    /// [`crate::StudyError::Config`] if `levels` is 0 and a parameter is continuous, or if the grid has more
    /// than 2^63 points.
    pub fn new(space: Space, levels: u64) -> Result<Self> {
        let mut faults = Faults::new();
        let counts: Vec<u64> =
            space.parameters().values().map(|d| d.cardinality().unwrap_or(levels)).collect();
        if counts.contains(&0) {
            faults.add("levels", "is 0, want at least 1 for continuous parameters");
        }
        let points = counts.iter().try_fold(1_u64, |n, &c| n.checked_mul(c));
        if points.is_none_or(|n| n > 1 << 63) {
            faults.add("", "has more than 2^63 points, want fewer levels");
        }
        faults.into_result("grid")?;
        Ok(Self { space, levels: counts })
    }

    /// Returns the number of points.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.levels.iter().product()
    }

    /// Returns true if there are no points.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the point at position `index`; `None` past the end.
    #[must_use]
    pub fn point(&self, index: u64) -> Option<Params> {
        if index >= self.len() {
            return None;
        }
        let mut rest = index;
        let mut params = Params::default();
        for ((name, domain), &count) in self.space.parameters().iter().zip(&self.levels).rev() {
            params.0.insert(name.clone(), level(domain, rest % count, count)?);
            rest /= count;
        }
        Some(params)
    }
}

fn level(domain: &Domain, index: u64, count: u64) -> Option<crate::ParamValue> {
    if domain.cardinality().is_some() {
        return domain.at(index);
    }
    let share = if count == 1 { 0.5 } else { index as f64 / (count - 1) as f64 };
    Some(domain.from_unit(share))
}

impl Proposer<Params> for GridSearch {
    fn propose(&self, _history: &History<'_, Params>, number: u64, _rng: &mut Rng) -> Result<Step<Params>> {
        Ok(self.point(number).map_or(Step::Done, |params| Proposal::new(params).into()))
    }
}
