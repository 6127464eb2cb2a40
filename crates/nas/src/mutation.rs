//! Mutations: small edits of a network, each one that an engineer would try by hand.

use tinsmith_foundation::Rng;
use tinsmith_network::op::{self, GlobalPool, Pool1d, Pool2d};
use tinsmith_network::{Activation, ModelSpec, Op, Padding, Pair};

use crate::editor::{NetworkEditor, output_shapes};

/// A kind of edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mutation {
    /// Scales the units or filters of a hidden layer by a factor of 0.5 to 2.
    Resize,
    /// Changes the kernel size of a convolution.
    Kernel,
    /// Toggles the stride of a convolution between 1 and 2.
    Stride,
    /// Inserts a copy of a layer after it.
    Insert,
    /// Removes a layer.
    Remove,
    /// Inserts pooling after a convolution.
    Pool,
    /// Makes a convolution separable, or a separable one standard.
    Separate,
    /// Replaces flattening by global pooling, or global pooling by flattening.
    Head,
    /// Replaces an activation.
    Activate,
    /// Inserts batch normalization after a convolution.
    Normalize,
    /// Adds a shortcut around a convolution that preserves its input's shape.
    Shortcut,
}

impl Mutation {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Resize,
        Self::Kernel,
        Self::Stride,
        Self::Insert,
        Self::Remove,
        Self::Pool,
        Self::Separate,
        Self::Head,
        Self::Activate,
        Self::Normalize,
        Self::Shortcut,
    ];

    /// Returns an edited copy of `spec` with the same output shapes, or `None` if the edit does not apply or makes the
    /// network invalid.
    #[must_use]
    pub fn apply(self, spec: &ModelSpec, rng: &mut Rng) -> Option<ModelSpec> {
        let mut editor = NetworkEditor::new(spec);
        self.edit(&mut editor, rng)?;
        let (changed, graph) = editor.into_spec()?;
        (output_shapes(&graph) == output_shapes(&spec.graph().ok()?) && changed != *spec).then_some(changed)
    }

    fn edit(self, editor: &mut NetworkEditor, rng: &mut Rng) -> Option<()> {
        let sites: Vec<usize> = editor.body().filter(|&i| self.applies_to(&editor.layers()[i].op)).collect();
        let at = *rng.choose(&sites)?;
        match self {
            Self::Resize => resize(editor.op_mut(at), rng),
            Self::Kernel => set_kernel(editor.op_mut(at), rng),
            Self::Stride => toggle_stride(editor.op_mut(at)),
            Self::Insert => {
                let twin = twin(&editor.layers()[at].op)?;
                let at = editor.insert_after(at, twin);
                if matches!(editor.layers()[at].op.activation(), Some(a) if a.is_linear()) {
                    editor.insert_after(at, Op::Activation(Activation::Relu));
                }
                Some(())
            }
            Self::Remove => {
                editor.remove(at);
                Some(())
            }
            Self::Pool => {
                let pool = match &editor.layers()[at].op {
                    Op::Conv1d(_) | Op::SeparableConv1d(_) | Op::DepthwiseConv1d(_) => {
                        Op::MaxPool1d(Pool1d::new(2))
                    }
                    _ => Op::MaxPool2d(Pool2d::new(2)),
                };
                let end = after_activation(editor, at);
                editor.insert_after(end, pool);
                Some(())
            }
            Self::Separate => separate(editor.op_mut(at)),
            Self::Head => exchange_head(editor, at),
            Self::Activate => {
                let choices = [Activation::Relu, Activation::Relu6, Activation::Hswish];
                let chosen = rng.choose(&choices)?.clone();
                let Op::Activation(activation) = editor.op_mut(at) else { return None };
                (*activation != chosen).then(|| *activation = chosen)
            }
            Self::Normalize => {
                let follows = editor.layers().get(at + 1).map(|l| &l.op);
                if matches!(follows, Some(Op::BatchNorm(_))) {
                    return None;
                }
                editor.insert_after(at, Op::BatchNorm(op::BatchNorm::default()));
                Some(())
            }
            Self::Shortcut => {
                let source = editor.layers()[at].inputs.first()?.clone();
                let from = editor.layers().iter().position(|l| l.name == source)?;
                let to = after_activation(editor, at);
                editor.add_shortcut(from, to);
                Some(())
            }
        }
    }

    /// Reports if the edit applies to a layer of this kind.
    fn applies_to(self, op: &Op) -> bool {
        let is_conv = matches!(op, Op::Conv1d(_) | Op::Conv2d(_));
        let is_separable = matches!(op, Op::SeparableConv1d(_) | Op::SeparableConv2d(_));
        let is_depthwise = matches!(op, Op::DepthwiseConv1d(_) | Op::DepthwiseConv2d(_));
        let is_linear = op.activation().is_some_and(Activation::is_linear);
        match self {
            Self::Resize | Self::Insert => is_conv || is_separable || matches!(op, Op::Dense(_)),
            Self::Kernel | Self::Stride => is_conv || is_separable || is_depthwise,
            Self::Pool | Self::Shortcut | Self::Separate => is_conv || is_separable,
            Self::Head => {
                matches!(op, Op::Flatten(_) | Op::GlobalAveragePool1d(_) | Op::GlobalAveragePool2d(_))
            }
            Self::Activate => matches!(op, Op::Activation(a) if a.quantizer().is_none()),
            Self::Normalize => (is_conv || is_separable || is_depthwise) && is_linear,
            Self::Remove => !matches!(
                op,
                Op::Flatten(_)
                    | Op::Add(_)
                    | Op::Subtract(_)
                    | Op::Multiply(_)
                    | Op::Concat(_)
                    | Op::Reshape(_)
            ),
        }
    }
}

/// Returns the last of the normalizations and activations that directly follow layer `at`, or `at` itself.
fn after_activation(editor: &NetworkEditor, at: usize) -> usize {
    let layers = editor.layers();
    let mut end = at;
    while let Some(next) = layers.get(end + 1) {
        let follows = next.inputs.len() == 1 && next.inputs[0] == layers[end].name;
        if !follows || !matches!(next.op, Op::Activation(_) | Op::BatchNorm(_)) {
            break;
        }
        end += 1;
    }
    end
}

fn resize(op: &mut Op, rng: &mut Rng) -> Option<()> {
    let size = match op {
        Op::Dense(l) => &mut l.units,
        Op::Conv1d(l) => &mut l.filters,
        Op::Conv2d(l) => &mut l.filters,
        Op::SeparableConv1d(l) => &mut l.filters,
        Op::SeparableConv2d(l) => &mut l.filters,
        _ => return None,
    };
    let factor = *rng.choose(&[0.5, 0.75, 1.25, 1.5, 2.0])?;
    // At least 2, since one unit or filter carries hardly any information.
    let changed = ((*size as f64 * factor).round() as usize).max(2);
    (changed != *size).then(|| *size = changed)
}

fn set_kernel(op: &mut Op, rng: &mut Rng) -> Option<()> {
    let size = *rng.choose(&[1, 3, 5, 7, 9])?;
    match op {
        Op::Conv1d(l) => l.kernel = size,
        Op::SeparableConv1d(l) => l.kernel = size,
        Op::DepthwiseConv1d(l) => l.kernel = size,
        // Kernels of images stop at 5, since their cost grows with the square.
        Op::Conv2d(l) => l.kernel = Pair::square(size.min(5)),
        Op::SeparableConv2d(l) => l.kernel = Pair::square(size.min(5)),
        Op::DepthwiseConv2d(l) => l.kernel = Pair::square(size.min(5)),
        _ => return None,
    }
    Some(())
}

fn toggle_stride(op: &mut Op) -> Option<()> {
    let other = |stride: usize| if stride == 1 { 2 } else { 1 };
    let other_pair = |stride: Pair| if stride == Pair::ONE { Pair::square(2) } else { Pair::ONE };
    match op {
        Op::Conv1d(l) => l.stride = other(l.stride),
        Op::SeparableConv1d(l) => l.stride = other(l.stride),
        Op::DepthwiseConv1d(l) => l.stride = other(l.stride),
        Op::Conv2d(l) => l.stride = other_pair(l.stride),
        Op::SeparableConv2d(l) => l.stride = other_pair(l.stride),
        Op::DepthwiseConv2d(l) => l.stride = other_pair(l.stride),
        _ => return None,
    }
    Some(())
}

/// Returns a layer that can follow `op` without changing the shape of the features.
fn twin(op: &Op) -> Option<Op> {
    let mut twin = op.clone();
    match &mut twin {
        Op::Conv1d(l) => (l.stride, l.padding, l.groups) = (1, Padding::Same, 1),
        Op::Conv2d(l) => (l.stride, l.padding, l.groups) = (Pair::ONE, Padding::Same, 1),
        Op::SeparableConv1d(l) => (l.stride, l.padding) = (1, Padding::Same),
        Op::SeparableConv2d(l) => (l.stride, l.padding) = (Pair::ONE, Padding::Same),
        Op::Dense(_) => {}
        _ => return None,
    }
    Some(twin)
}

fn separate(op: &mut Op) -> Option<()> {
    let changed = match &*op {
        Op::Conv1d(l) => Op::SeparableConv1d(op::SeparableConv1d {
            stride: l.stride,
            padding: l.padding,
            dilation: l.dilation,
            use_bias: l.use_bias,
            activation: l.activation.clone(),
            ..op::SeparableConv1d::new(l.filters, l.kernel)
        }),
        Op::SeparableConv1d(l) => Op::Conv1d(op::Conv1d {
            stride: l.stride,
            padding: l.padding,
            dilation: l.dilation,
            use_bias: l.use_bias,
            activation: l.activation.clone(),
            ..op::Conv1d::new(l.filters, l.kernel)
        }),
        Op::Conv2d(l) => Op::SeparableConv2d(op::SeparableConv2d {
            stride: l.stride,
            padding: l.padding,
            dilation: l.dilation,
            use_bias: l.use_bias,
            activation: l.activation.clone(),
            ..op::SeparableConv2d::new(l.filters, l.kernel)
        }),
        Op::SeparableConv2d(l) => Op::Conv2d(op::Conv2d {
            stride: l.stride,
            padding: l.padding,
            dilation: l.dilation,
            use_bias: l.use_bias,
            activation: l.activation.clone(),
            ..op::Conv2d::new(l.filters, l.kernel)
        }),
        _ => return None,
    };
    *op = changed;
    Some(())
}

fn exchange_head(editor: &mut NetworkEditor, at: usize) -> Option<()> {
    // The rank of the flattened features is not known here; infer it from the nearest spatial layer above.
    let is_image = editor.layers()[..at].iter().rev().find_map(|l| match l.op {
        Op::Conv2d(_)
        | Op::SeparableConv2d(_)
        | Op::DepthwiseConv2d(_)
        | Op::MaxPool2d(_)
        | Op::AveragePool2d(_) => Some(true),
        Op::Conv1d(_)
        | Op::SeparableConv1d(_)
        | Op::DepthwiseConv1d(_)
        | Op::MaxPool1d(_)
        | Op::AveragePool1d(_) => Some(false),
        _ => None,
    })?;
    let op = editor.op_mut(at);
    *op = match op {
        Op::Flatten(_) if is_image => Op::GlobalAveragePool2d(GlobalPool::default()),
        Op::Flatten(_) => Op::GlobalAveragePool1d(GlobalPool::default()),
        _ => Op::Flatten(op::Flatten {}),
    };
    Some(())
}
