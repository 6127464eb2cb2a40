//! Mutations: small edits of a network, each one that an engineer would try by hand.

use tinsmith_foundation::Rng;
use tinsmith_network::op::{self, GlobalPool, Pool1d, Pool2d};
use tinsmith_network::{Activation, ModelSpec, Op, Padding, Pair, Product, ProductKind};

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
                let pool = match editor.layers()[at].op.product() {
                    Some(product) if product.spatial_axes == 1 => Op::MaxPool1d(Pool1d::new(2)),
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
                let activation = editor.op_mut(at).activation_mut()?;
                (*activation != chosen).then(|| *activation = chosen)
            }
            Self::Normalize => {
                let follows = editor.layers().get(at + 1).map(|l| &l.op);
                if follows.is_some_and(|op| op.batch_norm().is_some()) {
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
        let kind = op.product().map(|product| product.kind);
        let is_dense = kind == Some(ProductKind::Dense);
        let mixes_windows = matches!(kind, Some(ProductKind::Convolution | ProductKind::Separable));
        let has_window = mixes_windows || kind == Some(ProductKind::Depthwise);
        let is_linear = op.activation().is_some_and(Activation::is_linear);
        match self {
            Self::Resize | Self::Insert => mixes_windows || is_dense,
            Self::Kernel | Self::Stride => has_window,
            Self::Pool | Self::Shortcut | Self::Separate => mixes_windows,
            Self::Head => {
                matches!(op, Op::Flatten(_) | Op::GlobalAveragePool1d(_) | Op::GlobalAveragePool2d(_))
            }
            Self::Activate => op.is_activation() && op.output_quantizer().is_none(),
            Self::Normalize => has_window && is_linear,
            Self::Remove => op.merging().is_none() && !matches!(op, Op::Flatten(_) | Op::Reshape(_)),
        }
    }
}

/// Returns the last of the normalizations and activations that directly follow layer `at`, or `at` itself.
fn after_activation(editor: &NetworkEditor, at: usize) -> usize {
    let layers = editor.layers();
    let mut end = at;
    while let Some(next) = layers.get(end + 1) {
        let follows = next.inputs.len() == 1 && next.inputs[0] == layers[end].name;
        if !follows || !(next.op.is_activation() || next.op.batch_norm().is_some()) {
            break;
        }
        end += 1;
    }
    end
}

fn resize(op: &mut Op, rng: &mut Rng) -> Option<()> {
    let mut product = op.product()?;
    let size = product.filters?;
    let factor = *rng.choose(&[0.5, 0.75, 1.25, 1.5, 2.0])?;
    // At least 2, since one unit or filter carries hardly any information.
    let changed = ((size as f64 * factor).round() as usize).max(2);
    product.filters = Some(changed);
    (changed != size).then(|| op.set_product(&product))
}

fn set_kernel(op: &mut Op, rng: &mut Rng) -> Option<()> {
    let size = *rng.choose(&[1, 3, 5, 7, 9])?;
    let mut product = op.product()?;
    // Kernels of images stop at 5, since their cost grows with the square.
    product.window.size =
        if product.spatial_axes == 1 { Pair::new(1, size) } else { Pair::square(size.min(5)) };
    op.set_product(&product);
    Some(())
}

fn toggle_stride(op: &mut Op) -> Option<()> {
    let mut product = op.product()?;
    let two = if product.spatial_axes == 1 { Pair::new(1, 2) } else { Pair::square(2) };
    product.window.stride = if product.window.stride == Pair::ONE { two } else { Pair::ONE };
    op.set_product(&product);
    Some(())
}

/// Returns a layer that can follow `op` without changing the shape of the features.
fn twin(op: &Op) -> Option<Op> {
    let mut product = op.product()?;
    product.groups = 1;
    (product.window.stride, product.window.padding) = (Pair::ONE, Padding::Same);
    let mut twin = op.clone();
    twin.set_product(&product);
    Some(twin)
}

/// Exchanges a convolution for a float separable one with the same window and outputs, or the reverse.
fn separate(op: &mut Op) -> Option<()> {
    let old = op.product()?;
    let kind = match old.kind {
        ProductKind::Convolution => ProductKind::Separable,
        ProductKind::Separable => ProductKind::Convolution,
        _ => return None,
    };
    let new = Product {
        window: old.window,
        use_bias: old.use_bias,
        ..Product::new(kind, old.spatial_axes, old.filters?, old.window.size)
    };
    *op = new.into_op(op.activation()?.clone())?;
    Some(())
}

fn exchange_head(editor: &mut NetworkEditor, at: usize) -> Option<()> {
    // The rank of the flattened features is not known here; infer it from the nearest spatial layer above.
    let spatial_axes = |op: &Op| match op.product() {
        Some(product) if product.kind == ProductKind::Transposed => None,
        Some(product) => Some(product.spatial_axes).filter(|&axes| axes > 0),
        None => op.pooling().filter(|pool| pool.window.is_some()).map(|pool| pool.spatial_axes),
    };
    let is_image = editor.layers()[..at].iter().rev().find_map(|l| spatial_axes(&l.op))? == 2;
    let op = editor.op_mut(at);
    *op = match op {
        Op::Flatten(_) if is_image => Op::GlobalAveragePool2d(GlobalPool::default()),
        Op::Flatten(_) => Op::GlobalAveragePool1d(GlobalPool::default()),
        _ => Op::Flatten(op::Flatten {}),
    };
    Some(())
}
