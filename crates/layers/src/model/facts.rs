//! Facts that depend on weight values: non-zeros, and a summary with them.

use tinsmith_network::quantizer::LearnedQuantizer;
use tinsmith_network::{ModelSpec, Role, Weight, WeightFacts};
use tinsmith_quant::LearnedBits;

use super::Model;
use crate::error::Result;
use crate::layer::param_name;

impl Model {
    /// Returns the specification with the non-zeros of every kernel, and the bits of kernels with learned bit widths
    /// (`learned_bits`), written into its facts. Storage and previously known bit widths are kept.
    ///
    /// # Errors
    /// [`crate::LayersError::Tensor`] if the device fails.
    pub fn facts(&self) -> Result<ModelSpec> {
        let mut spec = self.spec.clone();
        for (i, layer) in spec.layers.iter_mut().enumerate() {
            let shapes = self.graph.input_shapes(i);
            let Some(input) = shapes.first() else { continue };
            let weights = layer.op.weights(input);
            for weight in weights.iter().filter(|w| w.role == Role::Kernel) {
                let param = self.params.get(&param_name(&layer.name, weight.name))?;
                let found = match self.learned_facts(&layer.name, &weights, weight)? {
                    Some(facts) => facts,
                    None => WeightFacts {
                        weight: weight.name.to_owned(),
                        non_zeros: Some(param.nonzeros()? as u64),
                        storage: tinsmith_network::Storage::Dense,
                        total_bits: None,
                    },
                };
                match layer.facts.iter_mut().find(|f| f.weight == weight.name) {
                    Some(fact) => {
                        fact.non_zeros = found.non_zeros;
                        fact.total_bits = found.total_bits.or(fact.total_bits);
                    }
                    None => layer.facts.push(found),
                }
            }
        }
        Ok(spec)
    }

    /// Non-zeros and bits of a weight with learned bit widths; None for others.
    fn learned_facts(&self, layer: &str, weights: &[Weight], weight: &Weight) -> Result<Option<WeightFacts>> {
        let own = weights.iter().find(|w| w.learned.is_some_and(|l| l.weight == Some(weight.name)));
        let Some((own, learned)) = own.and_then(|own| Some((own, own.learned?))) else { return Ok(None) };
        let LearnedQuantizer::LearnedBits(settings) = learned.quantizer else { return Ok(None) };
        let values = self.params.get(&param_name(layer, weight.name))?.values()?;
        let bits = self.params.get(&param_name(layer, own.name))?.values()?;
        Ok(Some(LearnedBits::new(&settings)?.facts(weight.name, &values, &weight.shape, &bits)?))
    }

    /// Formats a table of layers, output shapes, parameters and non-zeros with totals, followed by the mean bit width
    /// of kernels with learned bit widths.
    ///
    /// # Errors
    /// [`crate::LayersError::Tensor`] if the device fails.
    pub fn summary(&self) -> Result<String> {
        let mut rows = vec![["layer", "kind", "output", "parameters", "non-zeros"].map(str::to_owned)];
        let (mut total, mut total_kept) = (0, 0);
        let mut widths = String::new();
        for (i, layer) in self.spec.layers.iter().enumerate() {
            let shapes = self.graph.input_shapes(i);
            let weights = shapes.first().map(|input| layer.op.weights(input)).unwrap_or_default();
            let (mut count, mut kept) = (0, 0);
            for weight in &weights {
                if let Some(total) =
                    self.learned_facts(&layer.name, &weights, weight)?.and_then(|f| f.total_bits)
                {
                    let mean = total as f64 / weight.len().max(1) as f64;
                    widths += &format!("{}.{}: {mean:.2} bits a weight\n", layer.name, weight.name);
                }
                let param = self.params.get(&param_name(&layer.name, weight.name))?;
                count += param.len();
                kept += param.nonzeros()?;
            }
            (total, total_kept) = (total + count, total_kept + kept);
            let shape: Vec<String> = self.graph.shape(i).iter().map(ToString::to_string).collect();
            rows.push([
                layer.name.clone(),
                layer.op.name().to_owned(),
                shape.join("x"),
                count.to_string(),
                kept.to_string(),
            ]);
        }
        let trainable = self.params.trainable_count();
        rows.push([
            "total".to_owned(),
            format!("{trainable} trainable"),
            String::new(),
            total.to_string(),
            total_kept.to_string(),
        ]);
        Ok(table(&rows) + &widths)
    }
}

/// Pads columns to their widest entry; the last two are right-aligned.
fn table(rows: &[[String; 5]]) -> String {
    let mut widths = [0; 5];
    for row in rows {
        for (width, entry) in widths.iter_mut().zip(row) {
            *width = (*width).max(entry.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        for (column, entry) in row.iter().enumerate() {
            let pad = widths[column] - entry.chars().count();
            let (before, after) = if column >= 3 { (pad, 0) } else { (0, pad) };
            let gap = if column == 0 { "" } else { "  " };
            text.push_str(gap);
            text.extend(std::iter::repeat_n(' ', before));
            text.push_str(entry);
            text.extend(std::iter::repeat_n(' ', after));
        }
        while text.ends_with(' ') {
            text.pop();
        }
        text.push('\n');
    }
    text
}
