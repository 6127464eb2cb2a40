//! Folds batch normalizations into the preceding layers, for deployment.

use std::collections::BTreeMap;

use candle_core::Tensor;
use tinsmith_network::{Activation, Layer, ModelSpec, ProductKind, Quantizer, Role, op};

use crate::error::Result;
use crate::layer::{effective_quantizer, param_name, quantize_once};
use crate::model::Model;

/// A network after folding, with its weights.
#[derive(Debug, Clone)]
pub struct FoldedNetwork {
    /// The specification without the folded normalizations; the layers that absorbed them have a bias.
    pub spec: ModelSpec,
    /// Weights by parameter name, for [`Model::set_weights`].
    pub weights: BTreeMap<String, Tensor>,
    /// Names of the folded normalizations.
    pub folded: Vec<String>,
    /// Names of the normalizations that were kept, each with the reason.
    pub kept: Vec<(String, String)>,
}

/// Folds every batch normalization that directly follows a dense, convolution, depthwise, separable or transposed
/// layer. That layer must feed nothing else, have a linear activation, and quantize neither kernel nor bias. The new
/// weights are `k' = k gamma / sqrt(variance + epsilon)` and `b' = (b - mean) gamma / sqrt(variance + epsilon) +
/// beta`. Inference outputs stay equal up to rounding. Normalizations that are trained folded (`fold: true`) are
/// folded with their quantizers in place; outputs are equal because training also quantizes after folding. All others
/// are kept, because folding would change the input of the layer's quantizer.
///
/// A folded layer keeps the name of the linear layer. If the normalization was a network output, the linear layer
/// takes its place as that output.
///
/// # Errors
/// [`crate::LayersError::Tensor`] if the device fails.
pub fn fold_batch_norms(model: &Model) -> Result<FoldedNetwork> {
    let (spec, graph) = (model.spec(), model.graph());
    let mut weights = model.params().snapshot()?;
    let mut layers: Vec<Option<Layer>> = spec.layers.iter().cloned().map(Some).collect();
    let mut replaced: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut folded, mut kept) = (Vec::new(), Vec::new());
    for (i, layer) in spec.layers.iter().enumerate() {
        let Some(norm) = layer.op.batch_norm() else { continue };
        let before = graph.nodes[i].inputs[0];
        let reason = if graph.nodes[before].consumers.len() > 1 || graph.outputs.contains(&before) {
            Err(format!("`{}` feeds other layers too", spec.layers[before].name))
        } else {
            foldable(&spec.layers[before], norm)
        };
        let kernel = match reason {
            Ok(kernel) => kernel,
            Err(reason) => {
                kept.push((layer.name.clone(), reason));
                continue;
            }
        };
        fold_weights(&mut weights, &spec.layers[before], layer, norm, kernel)?;
        if let Some(linear) = &mut layers[before]
            && let Some(mut product) = linear.op.product()
        {
            product.use_bias = true;
            linear.op.set_product(&product);
        }
        layers[i] = None;
        replaced.insert(i, before);
        folded.push(layer.name.clone());
    }
    let name_of = |mut i: usize| {
        while let Some(&before) = replaced.get(&i) {
            i = before;
        }
        spec.layers[i].name.clone()
    };
    let mut out = ModelSpec { layers: Vec::with_capacity(layers.len()), ..spec.clone() };
    for (i, layer) in layers.into_iter().enumerate() {
        let Some(mut layer) = layer else { continue };
        let inputs: Vec<String> = graph.nodes[i].inputs.iter().map(|&k| name_of(k)).collect();
        let follows =
            matches!(inputs.as_slice(), [only] if out.layers.last().is_some_and(|l: &Layer| l.name == *only));
        layer.inputs = if layer.inputs.is_empty() && follows { Vec::new() } else { inputs };
        out.layers.push(layer);
    }
    if !spec.outputs.is_empty() {
        out.outputs = graph.outputs.iter().map(|&i| name_of(i)).collect();
    }
    Ok(FoldedNetwork { spec: out, weights, folded, kept })
}

/// Returns the weight to scale in the linear layer before a normalization, or the reason for keeping the
/// normalization.
fn foldable(before: &Layer, norm: &op::BatchNorm) -> Result<&'static str, String> {
    let Some(product) = before.op.product() else {
        return Err(format!("`{}` is a {}, which has no kernel", before.name, before.op.name()));
    };
    if !before.op.activation().is_none_or(Activation::is_linear) {
        return Err(format!("`{}` has an activation of its own", before.name));
    }
    let kernel = product.last_kernel();
    if !norm.fold && (kernel.quantizer.is_some() || product.bias_quantizer.is_some()) {
        return Err(format!("`{}` is quantized without the normalization", before.name));
    }
    Ok(kernel.name)
}

/// Removes the normalization's weights and folds them into those of the preceding layer.
fn fold_weights(
    weights: &mut BTreeMap<String, Tensor>,
    before: &Layer,
    layer: &Layer,
    norm: &op::BatchNorm,
    kernel: &str,
) -> Result<()> {
    let mut take = |weight: &str, quantizer: Option<&Quantizer>, role: Role| -> Result<Option<Vec<f64>>> {
        let Some(value) = weights.remove(&param_name(&layer.name, weight)) else { return Ok(None) };
        let value = match quantizer {
            Some(q) => quantize_once(&effective_quantizer(q, role), &value)?,
            None => value,
        };
        Ok(Some(value.to_vec1::<f32>()?.into_iter().map(f64::from).collect()))
    };
    // The moving statistics of a normalization trained folded are not quantized: they act only through kernel and
    // bias.
    let unless_folded = |q: &'_ Option<Quantizer>| q.filter(|_| !norm.fold);
    let gamma = take("gamma", norm.gamma_quantizer.as_ref(), Role::Gamma)?;
    let beta = take("beta", norm.beta_quantizer.as_ref(), Role::Beta)?;
    let mean = take("moving_mean", unless_folded(&norm.mean_quantizer).as_ref(), Role::MovingMean)?;
    let variance =
        take("moving_variance", unless_folded(&norm.variance_quantizer).as_ref(), Role::MovingVariance)?;
    let (Some(mean), Some(variance)) = (mean, variance) else { return Ok(()) };

    let at =
        |values: &Option<Vec<f64>>, c: usize, otherwise: f64| values.as_ref().map_or(otherwise, |v| v[c]);
    let scale: Vec<f64> =
        (0..mean.len()).map(|c| at(&gamma, c, 1.0) / (variance[c] + norm.epsilon).sqrt()).collect();
    let bias_name = param_name(&before.name, "bias");
    let bias = match weights.get(&bias_name) {
        Some(bias) => bias.to_vec1::<f32>()?,
        None => vec![0.0; mean.len()],
    };
    let shifted: Vec<f32> = (0..mean.len())
        .map(|c| ((f64::from(bias[c]) - mean[c]) * scale[c] + at(&beta, c, 0.0)) as f32)
        .collect();
    let count = shifted.len();
    let kernel_name = param_name(&before.name, kernel);
    if let Some(old) = weights.get(&kernel_name) {
        let dims = old.dims().to_vec();
        // A transposed kernel has shape (.., filters, in). All others end in their outputs; a depthwise kernel uses
        // two axes for them.
        let is_transposed = before.op.product().is_some_and(|p| p.kind == ProductKind::Transposed);
        let inner = if is_transposed { dims[dims.len() - 1] } else { 1 };
        let values = old.flatten_all()?.to_vec1::<f32>()?;
        let scaled: Vec<f32> = values
            .iter()
            .enumerate()
            .map(|(k, &v)| (f64::from(v) * scale[k / inner % count]) as f32)
            .collect();
        let device = old.device().clone();
        weights.insert(kernel_name, Tensor::from_vec(scaled, dims, &device)?);
        weights.insert(bias_name, Tensor::from_vec(shifted, count, &device)?);
    }
    Ok(())
}
