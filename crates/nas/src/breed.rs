//! Networks as candidates of an evolution.

use std::error::Error;

use tinsmith_cost::{Cost, Limits, Target};
use tinsmith_foundation::Rng;
use tinsmith_network::{ModelSpec, ProductKind};
use tinsmith_study::Breed;

use crate::editor::{NetworkEditor, output_shapes};
use crate::mutation::Mutation;

/// Attempts at an edit before the network is passed on unchanged.
const TRIES: usize = 64;

/// Derives networks from start networks by selection, mutation and crossover.
#[derive(Debug, Clone)]
pub struct Architectures {
    start: Vec<ModelSpec>,
    mutations: u32,
    limits: Limits,
    target: Target,
}

impl Architectures {
    /// Creates a breed that descends from `start` by `mutations` edits per generation, at least 1, within the limits.
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
        rng.choose(&self.start).cloned().ok_or_else(|| "there are no start networks".into())
    }

    fn mutate(&self, parent: &ModelSpec, rng: &mut Rng) -> Result<ModelSpec, Box<dyn Error + Send + Sync>> {
        let mut child = parent.clone();
        let mut changes = 0;
        for _ in 0..TRIES {
            let kind = *rng.choose(&Mutation::ALL).expect("invariant: there are mutations");
            if let Some(changed) = kind.apply(&child, rng) {
                // Only the last edit must fit: intermediate networks may exceed the limits.
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
        let (a, b) = (NetworkEditor::new(first), NetworkEditor::new(second));
        if !a.is_chain() || !b.is_chain() {
            return Ok(None);
        }
        let wanted = output_shapes(&first.graph()?);
        for _ in 0..TRIES {
            // Cut before weight layers, so that normalization and activation stay with their layer.
            let cut = |editor: &NetworkEditor, rng: &mut Rng| {
                let weighted = |i: &usize| {
                    let product = editor.layers()[*i].op.product();
                    let kind = product.map(|product| product.kind);
                    matches!(
                        kind,
                        Some(ProductKind::Dense | ProductKind::Convolution | ProductKind::Separable)
                    )
                };
                let places: Vec<usize> = editor.body().filter(weighted).collect();
                rng.choose(&places).copied()
            };
            let (Some(end), Some(start)) = (cut(&a, rng), cut(&b, rng)) else { return Ok(None) };
            // Parents may differ in the rank of their features, which can change the shape of the joint output.
            if let Some((child, graph)) = a.joined(end.max(1), &b, start).into_spec()
                && output_shapes(&graph) == wanted
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
