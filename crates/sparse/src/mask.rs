//! Prune masks from the magnitudes of a network's kernels.

use candle_core::Tensor;
use regex::Regex;
use tinsmith_layers::Model;
use tinsmith_network::Role;

use crate::config::{PruneConfig, Scope};
use crate::error::{Result, SparseError};

/// Returns the names of the kernels that `config` allows to prune, in network order.
///
/// # Errors
/// [`SparseError::Config`] if the configuration is unusable, [`SparseError::NothingToPrune`] if every kernel is
/// excluded.
pub fn prunable(model: &Model, config: &PruneConfig) -> Result<Vec<String>> {
    config.validate()?;
    let patterns: Vec<Regex> =
        config.exclude.iter().filter_map(|p| Regex::new(&format!("^(?:{p})$")).ok()).collect();
    let kernels: Vec<String> =
        model.roles().into_iter().filter(|(_, role)| *role == Role::Kernel).map(|(name, _)| name).collect();
    let chosen: Vec<String> =
        kernels.iter().filter(|name| !patterns.iter().any(|p| p.is_match(name))).cloned().collect();
    if chosen.is_empty() {
        return Err(SparseError::NothingToPrune {
            network: model.spec().name.clone(),
            kernels: kernels.join(", "),
            excluded: config.exclude.join(", "),
        });
    }
    Ok(chosen)
}

/// Prunes the smallest weights by magnitude of the kernels `names` until the fraction `sparsity` of them is zero, and
/// masks them. Pruned weights stay pruned, because their magnitude is 0.
///
/// Exactly `floor(sparsity * weights)` weights per scope are pruned; among equal magnitudes the first in row-major
/// order.
///
/// # Errors
/// [`SparseError::Tensor`] if a name is no parameter.
pub fn prune_smallest(model: &mut Model, names: &[String], sparsity: f64, scope: Scope) -> Result<()> {
    let mut magnitudes = Vec::with_capacity(names.len());
    for name in names {
        let values = model.params().get(name)?.values()?;
        magnitudes.push(values.into_iter().map(f32::abs).collect::<Vec<f32>>());
    }
    let masks = match scope {
        Scope::Layer => magnitudes.iter().map(|m| keep_largest(&[m], sparsity).concat()).collect(),
        Scope::Global => {
            let all: Vec<&Vec<f32>> = magnitudes.iter().collect();
            keep_largest(&all, sparsity)
        }
    };
    for (name, mask) in names.iter().zip(masks) {
        let param = model.params_mut().get_mut(name)?;
        let mask = Tensor::from_vec(mask, param.dims(), param.tensor().device())?;
        param.set_prune_mask(Some(mask))?;
    }
    Ok(())
}

/// Returns a mask per list, 0 for the smallest elements over all lists.
fn keep_largest(lists: &[&Vec<f32>], sparsity: f64) -> Vec<Vec<f32>> {
    let mut order: Vec<(usize, usize)> =
        lists.iter().enumerate().flat_map(|(l, list)| (0..list.len()).map(move |i| (l, i))).collect();
    let pruned = ((order.len() as f64) * sparsity).floor() as usize;
    // The sort is stable, so the first of equal magnitudes is pruned first.
    order.sort_by(|&(la, ia), &(lb, ib)| lists[la][ia].total_cmp(&lists[lb][ib]));
    let mut masks: Vec<Vec<f32>> = lists.iter().map(|list| vec![1.0; list.len()]).collect();
    for &(l, i) in &order[..pruned.min(order.len())] {
        masks[l][i] = 0.0;
    }
    masks
}

/// Masks every zero in the kernels `names`, so that a pruned network that was read from a file stays pruned in
/// further training.
///
/// # Errors
/// [`SparseError::Tensor`] if a name is no parameter.
pub fn hold_zeros(model: &mut Model, names: &[String]) -> Result<()> {
    for name in names {
        let param = model.params_mut().get_mut(name)?;
        let mask: Vec<f32> = param.values()?.iter().map(|&v| f32::from(v != 0.0)).collect();
        let mask = Tensor::from_vec(mask, param.dims(), param.tensor().device())?;
        param.set_prune_mask(Some(mask))?;
    }
    Ok(())
}

/// Returns the fraction of zeros among the kernels `names`.
///
/// # Errors
/// [`SparseError::Tensor`] if a name is no parameter.
pub fn sparsity(model: &Model, names: &[String]) -> Result<f64> {
    let (mut zeros, mut all) = (0, 0);
    for name in names {
        let param = model.params().get(name)?;
        zeros += param.len() - param.nonzeros()?;
        all += param.len();
    }
    Ok(zeros as f64 / all.max(1) as f64)
}
