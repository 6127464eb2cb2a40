//! Slots of a network that can hold a quantizer, and their candidate bit widths.

use std::collections::BTreeMap;

use tinsmith_network::quantizer::{
    Alpha, QuantizedBits, QuantizedHswish, QuantizedRelu, QuantizedSigmoid, QuantizedTanh,
};
use tinsmith_network::{Activation, Layer, ModelSpec, Quantizer};
use tinsmith_study::{Domain, ParamValue, Params, Space};

use crate::config::AutoqConfig;
use crate::error::{AutoqError, Result};

/// Part of a layer that a slot quantizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SlotKind {
    /// All kernels of the layer.
    Kernel,
    /// Bias.
    Bias,
    /// Activation, fused or a layer of its own.
    Activation,
}

impl SlotKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Bias => "bias",
            Self::Activation => "activation",
        }
    }
}

/// Largest output magnitude of each layer on real data, by layer name. It determines the range of activation
/// quantizers. Layers without an entry count as reaching 1.
pub type Ranges = BTreeMap<String, f64>;

/// A choice of bit width for one part of a layer or group of layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// Name of the parameter: `layer.kernel`, or `pattern.kernel` for a shared choice.
    pub name: String,
    /// Names of the layers.
    pub layers: Vec<String>,
    /// Quantized part.
    pub kind: SlotKind,
    /// Candidate bit widths.
    pub bits: Vec<u32>,
}

impl Slot {
    /// Returns the candidate width closest to `bits`.
    fn nearest(&self, bits: u32) -> u32 {
        let nearest = self.bits.iter().copied().min_by_key(|b| b.abs_diff(bits));
        nearest.expect("invariant: a slot has a candidate width")
    }
}

/// The open slots of a network.
#[derive(Debug, Clone)]
pub struct Slots {
    slots: Vec<Slot>,
    ranges: Ranges,
    fold: bool,
}

impl Slots {
    /// Finds the slots that the limits of `config` open in `spec`.
    ///
    /// # Errors
    /// [`AutoqError::Config`] if the configuration is invalid, [`AutoqError::NothingToQuantize`] if no slot is open.
    pub fn of(spec: &ModelSpec, config: &AutoqConfig, ranges: Ranges) -> Result<Self> {
        config.validate()?;
        let patterns = config.compiled_limits();
        let mut slots: Vec<Slot> = Vec::new();
        for layer in &spec.layers {
            let matching = patterns
                .iter()
                .find(|(limit, name)| limit.layers == layer.op.name() || name.is_match(&layer.name));
            let Some((limit, _)) = matching else { continue };
            for (kind, most) in [
                (SlotKind::Kernel, limit.kernel),
                (SlotKind::Bias, limit.bias),
                (SlotKind::Activation, limit.activation),
            ] {
                if most == 0 || !can_hold(layer, kind) {
                    continue;
                }
                let owner = if limit.shared { limit.layers.as_str() } else { layer.name.as_str() };
                let name = format!("{owner}.{}", kind.word());
                let bits: Vec<u32> = config.bits.iter().copied().filter(|&b| b <= most).collect();
                match slots.iter_mut().find(|slot| slot.name == name) {
                    Some(slot) => slot.layers.push(layer.name.clone()),
                    None => slots.push(Slot { name, layers: vec![layer.name.clone()], kind, bits }),
                }
            }
        }
        if slots.is_empty() {
            let layers: Vec<&str> = spec.layers.iter().map(|l| l.name.as_str()).collect();
            return Err(AutoqError::NothingToQuantize {
                network: spec.name.clone(),
                layers: layers.join(", "),
            });
        }
        Ok(Self { slots, ranges, fold: config.fold_batch_norms })
    }

    /// Returns the slots.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Returns the search space, one categorical parameter per slot.
    ///
    /// # Errors
    /// [`AutoqError::Study`] if names collide. Layer names are unique, so only patterns can.
    pub fn space(&self) -> Result<Space> {
        let parameters = self.slots.iter().map(|slot| {
            let choices = slot.bits.iter().map(|&b| ParamValue::Int(i64::from(b)));
            (slot.name.clone(), Domain::categorical(choices))
        });
        Ok(Space::new(parameters)?)
    }

    /// Returns parameters with `bits` for every slot, or the nearest candidate width.
    #[must_use]
    pub fn uniform(&self, bits: u32) -> Params {
        self.slots
            .iter()
            .map(|slot| {
                let nearest = slot.nearest(bits);
                (slot.name.clone(), ParamValue::Int(i64::from(nearest)))
            })
            .collect()
    }

    /// `spec` with the quantizers that `params` chooses.
    ///
    /// # Errors
    /// [`AutoqError::Parameter`] if a slot's value is missing or not a bit width.
    pub fn apply(&self, spec: &ModelSpec, params: &Params) -> Result<ModelSpec> {
        let mut quantized = spec.clone();
        for slot in &self.slots {
            let wrong = |found: String| AutoqError::Parameter { name: slot.name.clone(), found };
            let bits = params.i64(&slot.name).ok_or_else(|| wrong("missing".to_owned()))?;
            let bits = u32::try_from(bits).map_err(|_| wrong(bits.to_string()))?;
            for layer in quantized.layers.iter_mut().filter(|l| slot.layers.contains(&l.name)) {
                let range = self.ranges.get(&layer.name).copied().unwrap_or(1.0);
                set(layer, slot.kind, bits, range);
            }
        }
        if self.fold {
            fold_norms(&mut quantized);
        }
        quantized.graph()?;
        Ok(quantized)
    }
}

fn can_hold(layer: &Layer, kind: SlotKind) -> bool {
    let product = layer.op.product();
    match kind {
        SlotKind::Kernel => product.is_some(),
        SlotKind::Bias => product.is_some_and(|product| product.use_bias),
        SlotKind::Activation => layer.op.activation().is_some_and(|a| activation(a, 8, 1.0).is_some()),
    }
}

/// Returns the integer bits that hold magnitudes up to `range`.
fn integer_bits(range: f64) -> i32 {
    if range > 0.0 && range.is_finite() { (range.log2().ceil() as i32).clamp(-4, 12) } else { 0 }
}

/// Returns the quantized form of an activation, or `None` if there is none.
fn activation(from: &Activation, bits: u32, range: f64) -> Option<Quantizer> {
    // The measured range sets the integer bits; the rest is fraction.
    let integer = integer_bits(range);
    match from {
        Activation::Relu | Activation::Relu6 | Activation::Quantized(Quantizer::QuantizedRelu(_)) => {
            Some(QuantizedRelu { bits, integer, ..QuantizedRelu::default() }.into())
        }
        Activation::Tanh | Activation::Quantized(Quantizer::QuantizedTanh(_)) => {
            Some(QuantizedTanh { bits, use_real_tanh: true, ..QuantizedTanh::default() }.into())
        }
        Activation::Sigmoid | Activation::Quantized(Quantizer::QuantizedSigmoid(_)) => {
            Some(QuantizedSigmoid { bits, use_real_sigmoid: true, ..QuantizedSigmoid::default() }.into())
        }
        Activation::Hswish | Activation::Quantized(Quantizer::QuantizedHswish(_)) => {
            // One extra bit for the sign.
            Some(QuantizedHswish { bits: bits + 1, integer, ..QuantizedHswish::default() }.into())
        }
        _ => None,
    }
}

fn set(layer: &mut Layer, kind: SlotKind, bits: u32, range: f64) {
    match kind {
        SlotKind::Kernel => {
            let quantizer =
                QuantizedBits { bits, symmetric: true, alpha: Alpha::Auto, ..QuantizedBits::default() };
            if let Some(product) = layer.op.product() {
                layer.op.set_product(&product.with_kernel_quantizer(Some(quantizer.into())));
            }
        }
        SlotKind::Bias => {
            if let Some(mut product) = layer.op.product() {
                product.bias_quantizer = Some(Quantizer::fixed(bits, integer_bits(range)));
                layer.op.set_product(&product);
            }
        }
        SlotKind::Activation => {
            if let Some(slot) = layer.op.activation_mut()
                && let Some(quantizer) = activation(slot, bits, range)
            {
                *slot = Activation::Quantized(quantizer);
            }
        }
    }
}

/// Marks each batch normalization that can be folded into the quantized layer before it.
fn fold_norms(spec: &mut ModelSpec) {
    for i in 0..spec.layers.len() {
        let mut folded = spec.clone();
        match folded.layers[i].op.batch_norm_mut() {
            Some(norm) if !norm.fold && norm.gamma_quantizer.is_none() => norm.fold = true,
            _ => continue,
        }
        // Resolving the graph checks that the fold is possible.
        if let Ok(graph) = folded.graph() {
            let before = graph.nodes[i].inputs.first().and_then(|&k| folded.layers[k].op.product());
            if before.is_some_and(|p| p.can_absorb_scale() && p.kernel.quantizer.is_some()) {
                *spec = folded;
            }
        }
    }
}
