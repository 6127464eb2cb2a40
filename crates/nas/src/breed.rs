//! Networks as an evolution's candidates.

use std::error::Error;

use tinsmith_cost::{Cost, Limits, Target};
use tinsmith_foundation::Rng;
use tinsmith_network::{ModelSpec, Op};
use tinsmith_study::Breed;

use crate::mutation::Mutation;
use crate::surgery::Patient;

/// How often a change is tried before a network is handed on as it is.
const TRIES: usize = 64;

/// Makes networks from given ones: by choice, by change, by joining two.
#[derive(Debug, Clone)]
pub struct Architectures {
    start: Vec<ModelSpec>,
    mutations: u32,
    limits: Limits,
    target: Target,
}

impl Architectures {
    /// Networks that descend from `start` by `mutations` changes a generation and keep the limits.
    #[must_use]
    pub fn new(start: Vec<ModelSpec>, mutations: u32, limits: Limits, target: Target) -> Self {
        Self { start, mutations: mutations.max(1), limits, target }
    }

    fn fits(&self, spec: &ModelSpec) -> bool {
        Cost::of(spec, &self.target).is_ok_and(|cost| self.limits.check(&cost).is_empty())
    }
}

impl Breed<ModelSpec> for Architectures {
    fn random(&self, rng: &mut Rng) -> Result<ModelSpec, Box<dyn Error + Send + Sync>> {
        rng.choose(&self.start).cloned().ok_or_else(|| "there are no networks to start from".into())
    }

    fn mutate(&self, parent: &ModelSpec, rng: &mut Rng) -> Result<ModelSpec, Box<dyn Error + Send + Sync>> {
        let mut child = parent.clone();
        let mut changes = 0;
        for _ in 0..TRIES {
            let kind = *rng.choose(&Mutation::ALL).unwrap_or(&Mutation::Resize);
            if let Some(changed) = kind.apply(&child, rng) {
                // The last change decides: those before it may pass through networks that do not fit.
                changes += 1;
                if changes >= self.mutations && self.fits(&changed) {
                    return Ok(changed);
                }
                if changes < self.mutations {
                    child = changed;
                }
            }
        }
        Ok(child)
    }

    fn cross(
        &self,
        first: &ModelSpec,
        second: &ModelSpec,
        rng: &mut Rng,
    ) -> Result<Option<ModelSpec>, Box<dyn Error + Send + Sync>> {
        let (a, b) = (Patient::new(first), Patient::new(second));
        if !a.is_chain() || !b.is_chain() {
            return Ok(None);
        }
        for _ in 0..TRIES {
            // Both parts begin at a layer with weights, so that its normalization and activation stay with it.
            let cut = |patient: &Patient, rng: &mut Rng| {
                let weighted = |i: &usize| {
                    matches!(
                        patient.layers()[*i].op,
                        Op::Dense(_)
                            | Op::Conv1d(_)
                            | Op::Conv2d(_)
                            | Op::SeparableConv1d(_)
                            | Op::SeparableConv2d(_)
                    )
                };
                let places: Vec<usize> = patient.body().filter(weighted).collect();
                rng.choose(&places).copied()
            };
            let (Some(end), Some(start)) = (cut(&a, rng), cut(&b, rng)) else { return Ok(None) };
            if let Some((child, _)) = a.joined(end.max(1), &b, start).into_spec()
                && self.fits(&child)
            {
                return Ok(Some(child));
            }
        }
        Ok(None)
    }

    fn is_acceptable(&self, candidate: &ModelSpec) -> bool {
        self.fits(candidate)
    }
}
