//! Locates the first NaN or infinity of a network.

use std::fmt;

use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::Model;
use crate::error::Result;
use crate::layer::param_name;
use crate::mode::Mode;

/// A non-finite value and its location.
#[derive(Debug, Clone, PartialEq)]
pub struct NonFinite {
    /// Name of the layer.
    pub layer: String,
    /// Location within the layer.
    pub place: Place,
    /// First such value there: NaN or an infinity.
    pub value: f32,
}

/// Non-finite part of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The values fed to an input layer.
    Input,
    /// The weight of this name.
    Weight(&'static str),
    /// The output, with finite inputs and weights.
    Output,
    /// The gradient of the weight of this name, with all outputs finite.
    Gradient(&'static str),
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layer, place, value } = self;
        match place {
            Place::Input => write!(f, "what is fed to layer `{layer}` has {value}"),
            Place::Weight(name) => write!(f, "weight `{name}` of layer `{layer}` has {value}"),
            Place::Output => write!(f, "layer `{layer}` puts out {value} for finite inputs and weights"),
            Place::Gradient(name) => {
                write!(f, "the gradient of weight `{name}` of layer `{layer}` has {value}")
            }
        }
    }
}

impl Model {
    /// Locates the first NaN or infinity. Layers are searched in execution order: fed values, weights, then the
    /// output for `inputs` in inference. If all are finite, gradients are searched in reverse order, since the
    /// backward pass produces them from the last layer to the first. None if everything is finite.
    ///
    /// # Errors
    /// Those of [`Model::activations`].
    pub fn first_non_finite(
        &self,
        inputs: &[&Tensor],
        gradients: Option<&GradStore>,
    ) -> Result<Option<NonFinite>> {
        let outputs = self.activations_of(inputs, Mode::Infer)?;
        for &i in &self.graph.order {
            let layer = &self.spec.layers[i].name;
            let found = |place, value| Ok(Some(NonFinite { layer: layer.clone(), place, value }));
            let fed = self.graph.inputs.iter().position(|&k| k == i).map(|place| inputs[place]);
            if let Some(value) = fed.map(first_in).transpose()?.flatten() {
                return found(Place::Input, value);
            }
            for name in self.weight_names(i) {
                if let Some(value) = first_in(self.params.get(&param_name(layer, name))?.tensor())? {
                    return found(Place::Weight(name), value);
                }
            }
            if let Some(value) = outputs.find(layer).map(first_in).transpose()?.flatten() {
                return found(Place::Output, value);
            }
        }
        let Some(gradients) = gradients else { return Ok(None) };
        for &i in self.graph.order.iter().rev() {
            let layer = &self.spec.layers[i].name;
            for name in self.weight_names(i) {
                let param = self.params.get(&param_name(layer, name))?;
                let Some(gradient) = gradients.get(param.tensor()) else { continue };
                if let Some(value) = first_in(gradient)? {
                    return Ok(Some(NonFinite { layer: layer.clone(), place: Place::Gradient(name), value }));
                }
            }
        }
        Ok(None)
    }

    fn weight_names(&self, layer: usize) -> Vec<&'static str> {
        let shapes = self.graph.input_shapes(layer);
        let weights =
            shapes.first().map(|input| self.spec.layers[layer].op.weights(input)).unwrap_or_default();
        weights.into_iter().map(|w| w.name).collect()
    }
}

fn first_in(tensor: &Tensor) -> Result<Option<f32>> {
    let values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
    Ok(values.into_iter().find(|v| !v.is_finite()))
}
