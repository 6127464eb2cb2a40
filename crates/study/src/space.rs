//! Spaces: named parameters with their domains.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{Faults, Rng};

use crate::error::{Result, StudyError};
use crate::parameter::{Domain, Parameter, Params};

/// Named parameters with their domains, ordered by name. Reads as
/// `{rate: {float: {low: 1e-4, high: 0.1, log: true}}, bits: {int: {low: 2, high: 8}}}`.
///
/// ```
/// use tinsmith_foundation::Seed;
/// use tinsmith_study::{Domain, Space};
///
/// let space = Space::new([("bits", Domain::int(2, 8)), ("rate", Domain::log_float(1e-4, 0.1))])?;
/// let params = space.sample(&mut Seed::new(1).rng());
/// assert!(space.contains(&params));
/// # Ok::<(), tinsmith_study::StudyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Space {
    parameters: BTreeMap<String, Domain>,
}

impl Space {
    /// Creates a space.
    ///
    /// # Errors
    /// [`StudyError::Config`] if a domain is invalid or a name occurs twice.
    pub fn new<N: Into<String>>(parameters: impl IntoIterator<Item = (N, Domain)>) -> Result<Self> {
        let mut space = Self::default();
        let mut faults = Faults::new();
        for (name, domain) in parameters {
            let name = name.into();
            if space.parameters.contains_key(&name) {
                faults.add(&name, "occurs twice, want every name once");
            }
            space.parameters.insert(name, domain);
        }
        space.check(&mut faults);
        faults.into_result("space")?;
        Ok(space)
    }

    /// Reports faults, for spaces read from text.
    pub fn check(&self, faults: &mut Faults) {
        if self.parameters.is_empty() {
            faults.add("", "has no parameters, want at least one");
        }
        for (name, domain) in &self.parameters {
            faults.within(name, |faults| domain.check(faults));
        }
    }

    /// Returns the parameters by name.
    #[must_use]
    pub const fn parameters(&self) -> &BTreeMap<String, Domain> {
        &self.parameters
    }

    /// Returns the number of parameters.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.parameters.len()
    }

    /// Returns the number of points; `None` for a continuum or more than 2^64 - 1.
    #[must_use]
    pub fn cardinality(&self) -> Option<u64> {
        self.parameters.values().try_fold(1_u64, |n, d| n.checked_mul(d.cardinality()?))
    }

    /// Draws a point uniformly: one draw per parameter, in the order of the names.
    pub fn sample(&self, rng: &mut Rng) -> Params {
        Params(self.parameters.iter().map(|(name, d)| (name.clone(), d.sample(rng))).collect())
    }

    /// Returns the point at the positions `unit` in [0, 1], one per parameter in the order of the names;
    /// missing positions count as 1/2.
    #[must_use]
    pub fn from_unit(&self, unit: &[f64]) -> Params {
        let places = unit.iter().copied().chain(std::iter::repeat(0.5));
        Params(self.parameters.iter().zip(places).map(|((n, d), u)| (n.clone(), d.from_unit(u))).collect())
    }

    /// Returns the positions of a point in [0, 1], in the order of the names.
    ///
    /// # Errors
    /// [`StudyError::Parameter`] if a parameter is missing or outside its domain.
    pub fn to_unit(&self, params: &Params) -> Result<Vec<f64>> {
        self.parameters
            .iter()
            .map(|(name, domain)| {
                let value = params.get(name).ok_or_else(|| StudyError::Parameter {
                    name: name.clone(),
                    reason: "is missing".to_owned(),
                })?;
                domain.to_unit(value).ok_or_else(|| StudyError::Parameter {
                    name: name.clone(),
                    reason: format!("is {value}, outside its domain"),
                })
            })
            .collect()
    }

    /// Returns true if the point has exactly these parameters, with values of their domains.
    #[must_use]
    pub fn contains(&self, params: &Params) -> bool {
        params.0.len() == self.parameters.len()
            && self.parameters.iter().all(|(name, d)| params.get(name).is_some_and(|v| d.contains(v)))
    }

    /// Returns the parameters of a point with their domains, as a journal stores them; unknown names are
    /// omitted.
    #[must_use]
    pub fn describe(&self, params: &Params) -> Vec<Parameter> {
        self.parameters
            .iter()
            .filter_map(|(name, domain)| {
                let value = params.get(name).filter(|v| domain.contains(v))?.clone();
                Some(Parameter { name: name.clone(), domain: domain.clone(), value })
            })
            .collect()
    }
}
