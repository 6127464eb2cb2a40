//! Check that every network of a family can be written as a Keras model, before anything is drawn.

use tinsmith_foundation::Faults;
use tinsmith_keras::KerasError;
use tinsmith_network::{Activation, Layer, ModelSpec, Op, Padding, Quantizer, op};

use crate::config::GeneratorConfig;
use crate::kind::{ActivationKind, Family, LayerKind, NamedChoice};
use crate::resolve::tables;
use crate::weight_layer::WeightLayer;

/// Notes every layer kind and activation that `config` can draw but Keras 2.15 and QKeras 0.9.0 have no class for.
/// Probes the writer with one-layer networks, so that the check and the writer always agree.
pub(crate) fn check(config: &GeneratorConfig, faults: &mut Faults) {
    // Faults of the configuration itself are reported by its own check.
    let Some(tables) = tables(config, &mut Faults::new()) else { return };
    for &kind in LayerKind::ALL {
        if !tables.can_draw(kind) {
            continue;
        }
        let layer = weight_layer(kind.family(), kind.is_quantized(), Activation::Linear);
        if let Some(reason) = refusal(kind.family().rank(), layer) {
            let name = kind.name();
            let message = format!("lacks {name}, which can be drawn but not written: it {reason}");
            faults.add("layers_blacklist", message);
        }
    }
    if config.activation_rate <= 0.0 {
        return;
    }
    for (i, &kind) in ActivationKind::ALL.iter().enumerate() {
        let sides = [(false, kind.float()), (true, kind.quantized(8, 0))];
        for (is_quantized, activation) in sides {
            let side = usize::from(is_quantized);
            if !tables.is_possible(is_quantized) || tables.activations[side][i] <= 0.0 {
                continue;
            }
            let fused = refusal(1, weight_layer(Family::Dense, is_quantized, activation.clone()));
            // After batch normalization the activation is a layer of its own.
            let own = (config.batch_norm_chance > 0.0).then(|| refusal(1, Op::Activation(activation)));
            if let Some(reason) = fused.or(own.flatten()) {
                let name = kind.name();
                let message = format!("gives a weight to {name}, which cannot be written: it {reason}");
                faults.add("probs.activations", message);
            }
        }
    }
}

fn weight_layer(family: Family, is_quantized: bool, activation: Activation) -> Op {
    let quantizer = is_quantized.then(|| Quantizer::fixed(8, 0));
    let form = WeightLayer {
        kernel: 1,
        stride: 1,
        padding: Padding::Same,
        use_bias: true,
        activation,
        kernel_quantizer: quantizer,
        bias_quantizer: quantizer,
    };
    form.op(family, 1)
}

/// Returns the reason why Keras has no class for `op` on an input of `rank` axes, or `None` if it has one.
fn refusal(rank: usize, op: Op) -> Option<String> {
    let input = Op::Input(op::Input { shape: vec![1; rank], quantizer: None });
    let spec = ModelSpec::new("", vec![Layer::new("input", input), Layer::new("layer", op)]);
    match tinsmith_keras::to_value(&spec) {
        Ok(_) => None,
        Err(KerasError::Invalid(errors)) => {
            let reasons: Vec<&str> = errors
                .faults
                .iter()
                .map(|f| f.message.strip_suffix(" (layer `layer`)").unwrap_or(&f.message))
                .collect();
            Some(reasons.join(", and "))
        }
        Err(other) => Some(other.to_string()),
    }
}
