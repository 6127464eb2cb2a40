//! Grid search: all points of a finite space in order.

use tinsmith_foundation::{Faults, Rng};

use super::{Proposer, Step};
use crate::error::Result;
use crate::parameter::{Domain, ParamValue, Params};
use crate::space::Space;
use crate::trial::{History, Proposal};

/// The Cartesian product of the domains, the last name varying fastest. Points are computed on demand.
#[derive(Debug, Clone)]
pub struct GridSearch {
    space: Space,
    levels: Vec<Levels>,
}

/// Values of one parameter in a grid.
#[derive(Debug, Clone)]
enum Levels {
    /// All values of a finite domain, or this many of a continuous one.
    Spaced(u64),
    /// Selected values of an integer domain.
    Listed(Vec<ParamValue>),
}

impl Levels {
    const fn count(&self) -> u64 {
        match self {
            Self::Spaced(count) => *count,
            Self::Listed(values) => values.len() as u64,
        }
    }
}

/// Maximum number of values of an integer parameter that has more values than its grid.
const MOST_LISTED: u64 = 65_536;

impl GridSearch {
    /// Creates a grid over `space`. A continuous parameter gets `levels` values, evenly spaced from its
    /// lowest to its highest (in the logarithm if it asks for it); a finite one all of its own.
    ///
    /// # Errors
    /// [`crate::StudyError::Config`] if `levels` is 0 and a parameter is continuous, or if the grid has more
    /// than 2^63 points.
    pub fn new(space: Space, levels: u64) -> Result<Self> {
        Self::with_integer_levels(space, levels, None)
    }

    /// Creates a grid as [`new`](Self::new) does, with at most `integers` values of each integer parameter, evenly
    /// spaced from its lowest to its highest (in the logarithm if it asks for it).
    ///
    /// # Errors
    /// As [`new`](Self::new); also if `integers` is 0, or above 65,536 for a parameter with more values than that.
    pub fn with_integer_levels(space: Space, levels: u64, integers: Option<u64>) -> Result<Self> {
        let mut faults = Faults::new();
        let mut parameters = Vec::new();
        for (name, domain) in space.parameters() {
            parameters.push(match (domain, domain.cardinality()) {
                (Domain::Int(_), Some(1)) => Levels::Spaced(1),
                (Domain::Int(_), count) if integers.is_some_and(|n| count.is_none_or(|count| n < count)) => {
                    let wanted = integers.unwrap_or(0);
                    if wanted == 0 || wanted > MOST_LISTED {
                        let text =
                            format!("is {wanted}, want 1 to {MOST_LISTED} for integer parameter `{name}`");
                        faults.add("levels", text);
                        continue;
                    }
                    Levels::Listed(spread(domain, wanted))
                }
                (Domain::Int(_), None) => {
                    faults.add(&format!("space.{name}"), "has 2^64 values, want fewer or `levels`");
                    continue;
                }
                (_, count) => Levels::Spaced(count.unwrap_or(levels)),
            });
        }
        if faults.is_empty() && parameters.iter().any(|p| p.count() == 0) {
            faults.add("levels", "is 0, want at least 1 for continuous parameters");
        }
        let points = parameters.iter().try_fold(1_u64, |n, p| n.checked_mul(p.count()));
        if points.is_none_or(|n| n > 1 << 63) {
            faults.add("", "has more than 2^63 points, want fewer levels");
        }
        faults.into_result("grid")?;
        Ok(Self { space, levels: parameters })
    }

    /// Returns the number of points.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.levels.iter().map(Levels::count).product()
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
        for ((name, domain), levels) in self.space.parameters().iter().zip(&self.levels).rev() {
            let count = levels.count();
            let value = match levels {
                Levels::Spaced(_) => level(domain, rest % count, count)?,
                Levels::Listed(values) => values.get(usize::try_from(rest % count).ok()?)?.clone(),
            };
            params.0.insert(name.clone(), value);
            rest /= count;
        }
        Some(params)
    }
}

/// Returns at most `count` distinct values of an integer domain, evenly spaced from its lowest to its highest.
fn spread(domain: &Domain, count: u64) -> Vec<ParamValue> {
    let place = |i: u64| if count == 1 { 0.5 } else { i as f64 / (count - 1) as f64 };
    let mut values: Vec<ParamValue> = match domain {
        Domain::Int(d) if !d.log => {
            let last = d.high.abs_diff(d.low) / d.step.unsigned_abs().max(1);
            (0..count).filter_map(|i| domain.at((place(i) * last as f64).round() as u64)).collect()
        }
        Domain::Int(d) => {
            // Unlike `from_unit`, which gives each integer an interval, levels start and end at the values themselves.
            let (low, high) = (libm::log(d.low as f64), libm::log(d.high as f64));
            let value = |i: u64| libm::exp(low + (high - low) * place(i)).round() as i64;
            (0..count).map(|i| ParamValue::Int(value(i).clamp(d.low, d.high))).collect()
        }
        Domain::Float(_) | Domain::Categorical(_) => Vec::new(),
    };
    // Neighboring positions round to the same integer at the low end of a logarithmic domain.
    values.dedup();
    values
}

fn level(domain: &Domain, index: u64, count: u64) -> Option<ParamValue> {
    if domain.cardinality().is_some() {
        return domain.at(index);
    }
    let place = if count == 1 { 0.5 } else { index as f64 / (count - 1) as f64 };
    Some(domain.from_unit(place))
}

impl Proposer<Params> for GridSearch {
    fn propose(&self, _history: &History<'_, Params>, number: u64, _rng: &mut Rng) -> Result<Step<Params>> {
        Ok(self.point(number).map_or(Step::Done, |params| Proposal::new(params).into()))
    }
}
