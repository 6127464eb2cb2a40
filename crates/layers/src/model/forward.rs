//! Forward passes of a network.

use candle_core::{DType, Tensor};
use tinsmith_core_tensor::TensorError;

use super::Model;
use crate::error::{LayersError, Result};
use crate::layer::Context;
use crate::mode::Mode;

/// Output of every layer for one batch, in the specification's order.
#[derive(Debug, Clone)]
pub struct Activations {
    outputs: Vec<(String, Option<Tensor>)>,
}

impl Activations {
    /// Returns the output of a layer. None for unknown layers and for a layer that a batch normalization is folded
    /// into: the two run as one, and the normalization holds the output.
    #[must_use]
    pub fn find(&self, layer: &str) -> Option<&Tensor> {
        self.outputs.iter().find(|(name, _)| name == layer).and_then(|(_, output)| output.as_ref())
    }

    /// Names and outputs, layer by layer.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.outputs.iter().filter_map(|(name, output)| Some((name.as_str(), output.as_ref()?)))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Outputs,
    Everything,
}

impl Model {
    /// Computes the output for a batch, for a network with one input and one output.
    ///
    /// # Shapes
    /// `x` (batch, then the input's shape); the result is (batch, then the output's shape).
    ///
    /// # Errors
    /// [`LayersError::InputShape`] and [`LayersError::InputCount`] if the input does not match,
    /// [`LayersError::OutputCount`] if there are several outputs, [`LayersError::Layer`] if a layer fails.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.single(self.run(&[x], mode, false, Keep::Outputs)?)
    }

    /// Like [`Model::forward`] without a softmax at the end: the logits that losses expect.
    ///
    /// # Errors
    /// Those of [`Model::forward`].
    pub fn forward_logits(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.single(self.run(&[x], mode, true, Keep::Outputs)?)
    }

    /// Computes all outputs for all inputs, in the specification's order. `keeps_logits` leaves out a final softmax
    /// of each output.
    ///
    /// # Errors
    /// Those of [`Model::forward`], for any number of outputs.
    pub fn forward_many(&self, inputs: &[&Tensor], mode: Mode, keeps_logits: bool) -> Result<Vec<Tensor>> {
        let values = self.run(inputs, mode, keeps_logits, Keep::Outputs)?;
        Ok(self.graph.outputs.iter().filter_map(|&i| values[i].clone()).collect())
    }

    /// Returns every layer's output in inference.
    ///
    /// # Errors
    /// Those of [`Model::forward`], for any number of outputs.
    pub fn activations(&self, x: &Tensor) -> Result<Activations> {
        self.activations_of(&[x], Mode::Infer)
    }

    /// Returns every layer's output for several inputs, in the given mode.
    ///
    /// # Errors
    /// Those of [`Model::activations`].
    pub fn activations_of(&self, inputs: &[&Tensor], mode: Mode) -> Result<Activations> {
        let values = self.run(inputs, mode, false, Keep::Everything)?;
        let names = self.spec.layers.iter().map(|layer| layer.name.clone());
        Ok(Activations { outputs: names.zip(values).collect() })
    }

    fn single(&self, values: Vec<Option<Tensor>>) -> Result<Tensor> {
        let outputs = &self.graph.outputs;
        match (outputs.as_slice(), values) {
            (&[only], mut values) => values[only].take().ok_or_else(|| self.output_count()),
            _ => Err(self.output_count()),
        }
    }

    fn output_count(&self) -> LayersError {
        LayersError::OutputCount { count: self.graph.outputs.len(), names: self.names(&self.graph.outputs) }
    }

    fn names(&self, layers: &[usize]) -> String {
        let names: Vec<&str> = layers.iter().map(|&i| self.spec.layers[i].name.as_str()).collect();
        names.join(", ")
    }

    fn run(
        &self,
        inputs: &[&Tensor],
        mode: Mode,
        keeps_logits: bool,
        keep: Keep,
    ) -> Result<Vec<Option<Tensor>>> {
        self.check_inputs(inputs)?;
        let mut values: Vec<Option<Tensor>> = vec![None; self.layers.len()];
        // Readers left per value; at 0 the tensor is dropped, so inference holds live tensors only.
        let mut readers = self.wiring.readers.clone();
        for &i in &self.graph.order {
            if !self.wiring.runs[i] {
                continue;
            }
            let layer = &self.spec.layers[i].name;
            let sources = self.wiring.sources[i].as_slice();
            let output = {
                let arguments: Vec<&Tensor> = match self.graph.inputs.iter().position(|&k| k == i) {
                    Some(place) => vec![inputs[place]],
                    None => sources.iter().filter_map(|&k| values[k].as_ref()).collect(),
                };
                let keeps_logits = keeps_logits && self.graph.outputs.contains(&i);
                let cx = Context { params: &self.params, mode, threads: self.threads, layer, keeps_logits };
                self.layers[i].forward(&cx, &arguments).map_err(|e| e.of_layer(layer))?
            };
            values[i] = Some(output);
            if keep == Keep::Outputs {
                for &k in sources {
                    readers[k] = readers[k].saturating_sub(1);
                    if readers[k] == 0 && !self.graph.outputs.contains(&k) {
                        values[k] = None;
                    }
                }
            }
        }
        Ok(values)
    }

    fn check_inputs(&self, inputs: &[&Tensor]) -> Result<()> {
        let expected = &self.graph.inputs;
        if inputs.len() != expected.len() {
            return Err(LayersError::InputCount {
                want: expected.len(),
                names: self.names(expected),
                got: inputs.len(),
            });
        }
        for (&i, x) in expected.iter().zip(inputs) {
            let shape = self.graph.shape(i);
            let is_right = matches!(x.dims(), [batch, rest @ ..] if *batch > 0 && rest == shape);
            if !is_right {
                return Err(LayersError::InputShape {
                    name: self.spec.layers[i].name.clone(),
                    want: shape.to_vec(),
                    got: x.dims().to_vec(),
                });
            }
            if x.dtype() != DType::F32 {
                return Err(TensorError::DType { op: "input", got: x.dtype(), want: "f32" }.into());
            }
        }
        Ok(())
    }
}
