//! Small changes of a network, each a step that a designer would try.

use tinsmith_foundation::Rng;
use tinsmith_network::op::{self, GlobalPool, Pool1d, Pool2d};
use tinsmith_network::{Activation, ModelSpec, Op, Padding, Pair};

use crate::surgery::Patient;

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mutation {
    /// A hidden layer gets half to twice its units or filters.
    Resize,
    /// A convolution gets another kernel size.
    Kernel,
    /// A convolution gets another stride.
    Stride,
    /// A layer like the one before it is put in.
    Insert,
    /// A layer is taken out.
    Remove,
    /// Pooling is put behind a convolution.
    Pool,
    /// A convolution becomes a separable one, or the other way round.
    Separate,
    /// Flattening becomes global pooling, or the other way round.
    Head,
    /// An activation is exchanged.
    Activate,
    /// Batch normalization is put behind a layer.
    Normalize,
    /// A convolution that keeps its input's shape gets a shortcut around it.
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

    /// A changed copy of `spec`; None where this change does not apply or makes no possible network.
    #[must_use]
    pub fn apply(self, spec: &ModelSpec, rng: &mut Rng) -> Option<ModelSpec> {
        let output = |spec: &ModelSpec| {
            let graph = spec.graph().ok()?;
            Some(graph.outputs.iter().map(|&i| graph.shape(i).to_vec()).collect::<Vec<_>>())
        };
        let mut patient = Patient::new(spec);
        self.operate(&mut patient, rng)?;
        let (changed, _) = patient.into_spec()?;
        (output(&changed)? == output(spec)? && changed != *spec).then_some(changed)
    }

    fn operate(self, patient: &mut Patient, rng: &mut Rng) -> Option<()> {
        let sites: Vec<usize> = patient.body().filter(|&i| self.fits(&patient.layers()[i].op)).collect();
        let at = *rng.choose(&sites)?;
        match self {
            Self::Resize => resize(patient.op_mut(at), rng),
            Self::Kernel => set_kernel(patient.op_mut(at), rng),
            Self::Stride => toggle_stride(patient.op_mut(at)),
            Self::Insert => {
                let twin = twin(&patient.layers()[at].op)?;
                let at = patient.insert_after(at, twin);
                if matches!(patient.layers()[at].op.activation(), Some(a) if a.is_linear()) {
                    patient.insert_after(at, Op::Activation(Activation::Relu));
                }
                Some(())
            }
            Self::Remove => {
                patient.remove(at);
                Some(())
            }
            Self::Pool => {
                let pool = match &patient.layers()[at].op {
                    Op::Conv1d(_) | Op::SeparableConv1d(_) | Op::DepthwiseConv1d(_) => {
                        Op::MaxPool1d(Pool1d::new(2))
                    }
                    _ => Op::MaxPool2d(Pool2d::new(2)),
                };
                let end = behind_activation(patient, at);
                patient.insert_after(end, pool);
                Some(())
            }
            Self::Separate => separate(patient.op_mut(at)),
            Self::Head => exchange_head(patient, at),
            Self::Activate => {
                let choices = [Activation::Relu, Activation::Relu6, Activation::Hswish];
                let chosen = rng.choose(&choices)?.clone();
                let Op::Activation(activation) = patient.op_mut(at) else { return None };
                (*activation != chosen).then(|| *activation = chosen)
            }
            Self::Normalize => {
                let follows = patient.layers().get(at + 1).map(|l| &l.op);
                if matches!(follows, Some(Op::BatchNorm(_))) {
                    return None;
                }
                patient.insert_after(at, Op::BatchNorm(op::BatchNorm::default()));
                Some(())
            }
            Self::Shortcut => {
                let source = patient.layers()[at].inputs.first()?.clone();
                let from = patient.layers().iter().position(|l| l.name == source)?;
                let to = behind_activation(patient, at);
                patient.add_shortcut(from, to);
                Some(())
            }
        }
    }

    /// Whether a layer of this kind can be the site of the change.
    fn fits(self, op: &Op) -> bool {
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

/// The last of the normalizations and activations that directly follow layer `at`.
fn behind_activation(patient: &Patient, at: usize) -> usize {
    let layers = patient.layers();
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
    let changed = ((*size as f64 * factor).round() as usize).max(2);
    (changed != *size).then(|| *size = changed)
}

fn set_kernel(op: &mut Op, rng: &mut Rng) -> Option<()> {
    let size = *rng.choose(&[1, 3, 5, 7, 9])?;
    match op {
        Op::Conv1d(l) => l.kernel = size,
        Op::SeparableConv1d(l) => l.kernel = size,
        Op::DepthwiseConv1d(l) => l.kernel = size,
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

/// A layer that can follow one of this kind without changing the shape of what goes on.
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

fn exchange_head(patient: &mut Patient, at: usize) -> Option<()> {
    // The rank of what is flattened is not known here: the kind of the nearest spatial layer above tells it.
    let is_image = patient.layers()[..at].iter().rev().find_map(|l| match l.op {
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
    let op = patient.op_mut(at);
    *op = match op {
        Op::Flatten(_) if is_image => Op::GlobalAveragePool2d(GlobalPool::default()),
        Op::Flatten(_) => Op::GlobalAveragePool1d(GlobalPool::default()),
        _ => Op::Flatten(op::Flatten {}),
    };
    Some(())
}
