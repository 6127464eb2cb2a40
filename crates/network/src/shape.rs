//! Shape inference: each layer's output shape from its inputs', or the reason for a fault.

use tinsmith_foundation::Faults;

use crate::activation::Activation;
use crate::layer::Layer;
use crate::op::{Border1d, Border2d, Concat, Op, PerChannel};
use crate::pooling::Pooling;
use crate::product::{Product, ProductKind};
use crate::quantizer::Quantizer;
use crate::weights::quantizer_field;
use crate::window::{Padding, Pair, SlidingWindow, span};

/// Axes of a sample over time and of an image.
const TIME: &str = "time, channels";
const IMAGE: &str = "height, width, channels";

/// Maximum number of elements of one tensor; a larger size is taken for a mistake.
const MOST_ELEMENTS: usize = 1 << 40;

/// Collects the faults of one layer under its path.
struct Check<'a> {
    /// Number of the layer.
    index: usize,
    layer: &'a Layer,
    faults: &'a mut Faults,
    sound: bool,
}

impl Check<'_> {
    fn fault(&mut self, field: &str, message: impl AsRef<str>) {
        self.sound = false;
        // The path is formatted only here, since most layers have no faults.
        let path = format!("layers[{}].{}", self.index, self.layer.op.name());
        let message = format!("{} (layer `{}`)", message.as_ref(), self.layer.name);
        self.faults.within(&path, |faults| faults.add(field, message));
    }

    fn positive(&mut self, field: &str, value: usize) {
        if value == 0 {
            self.fault(field, "is 0, want at least 1");
        }
    }

    fn positive_pair(&mut self, field: &str, value: Pair) {
        if value.height == 0 || value.width == 0 {
            self.fault(field, format!("is {value}, want at least 1 both ways"));
        }
    }

    /// Refuses a kernel with more than [`MOST_ELEMENTS`] elements.
    fn kernel(&mut self, axes: &[usize]) {
        let elements = axes.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
        if elements.is_none_or(|n| n > MOST_ELEMENTS) {
            self.fault("", format!("has a kernel of shape {axes:?}, which no machine can hold"));
        }
    }

    fn rate(&mut self, field: &str, value: f64) {
        if !(0.0..1.0).contains(&value) {
            self.fault(field, format!("is {value}, want at least 0 and below 1"));
        }
    }

    fn quantizer(&mut self, field: &str, quantizer: Option<&Quantizer>) {
        if let Some(Err(reason)) = quantizer.map(Quantizer::validate) {
            self.fault(field, format!("cannot be: {reason}"));
        }
    }

    /// Refuses a learned quantizer at a place without room for its parameters.
    fn fixed_quantizer(&mut self, field: &str, quantizer: Option<&Quantizer>) {
        if let Some(learned) = quantizer.and_then(Quantizer::learned) {
            self.fault(field, format!("is {learned}, which learns; want one that does not here"));
        }
    }

    fn activation(&mut self, field: &str, activation: &Activation) {
        self.quantizer(field, activation.quantizer());
        match activation {
            Activation::Prelu(_) if !field.is_empty() => {
                self.fault(field, "is prelu, which has weights of its own; want it as a layer");
            }
            Activation::Clip(clip) if clip.min.is_nan() || clip.max.is_nan() || clip.min >= clip.max => {
                self.fault(field, format!("clips to {}..{}, want min below max", clip.min, clip.max));
            }
            _ => {}
        }
    }

    /// Output length along one axis; adds a fault if the window does not fit.
    fn window(
        &mut self,
        field: &str,
        padding: Padding,
        n: usize,
        [kernel, stride, dilation]: [usize; 3],
    ) -> Option<usize> {
        if kernel == 0 || stride == 0 || dilation == 0 {
            return None;
        }
        let len = padding.output_len(n, kernel, stride, dilation);
        if len.is_none() {
            let span = span(kernel, dilation);
            self.fault(field, format!("spans {span} elements, more than the {n} of its input; want padding same or a smaller window"));
        }
        len
    }

    fn window2d(
        &mut self,
        field: &str,
        padding: Padding,
        input: [usize; 2],
        sizes: [Pair; 3],
    ) -> Option<[usize; 2]> {
        if padding == Padding::Causal {
            self.fault("padding", "is causal, which only 1-D convolutions have; want valid or same");
            return None;
        }
        let [kernel, stride, dilation] = sizes;
        self.positive_pair("stride", stride);
        self.positive_pair("dilation", dilation);
        self.positive_pair(field, kernel);
        let h = self.window(field, padding, input[0], [kernel.height, stride.height, dilation.height])?;
        let w = self.window(field, padding, input[1], [kernel.width, stride.width, dilation.width])?;
        Some([h, w])
    }

    fn window1d(&mut self, field: &str, padding: Padding, input: usize, sizes: [usize; 3]) -> Option<usize> {
        let [kernel, stride, dilation] = sizes;
        self.positive("stride", stride);
        self.positive("dilation", dilation);
        self.positive(field, kernel);
        self.window(field, padding, input, sizes)
    }

    fn groups(&mut self, groups: usize, channels: usize, filters: usize) {
        if groups == 0 || !channels.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
            self.fault(
                "groups",
                format!("is {groups}, want a divisor of {channels} input channels and {filters} filters"),
            );
        }
    }
}

/// Output shape of `layer` (number `index`) for inputs of `shapes`; None if a fault was added.
pub(crate) fn infer(
    index: usize,
    layer: &Layer,
    shapes: &[&[usize]],
    faults: &mut Faults,
) -> Option<Vec<usize>> {
    let mut check = Check { index, layer, faults, sound: true };
    let shape = infer_op(&layer.op, shapes, &mut check);
    if shape.is_none() && check.sound {
        check.fault("", "has sizes that no machine can hold");
    }
    if let Some(found) = shape.as_ref().filter(|_| check.sound) {
        let elements =
            found.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= MOST_ELEMENTS);
        if elements.is_none() {
            check.fault("", format!("has an output of shape {found:?}, which no machine can hold"));
        } else if elements == Some(0) {
            check.fault("", format!("has an empty output, shape {found:?}, from inputs of shape {shapes:?}"));
        }
    }
    shape.filter(|_| check.sound)
}

fn infer_op(op: &Op, shapes: &[&[usize]], check: &mut Check<'_>) -> Option<Vec<usize>> {
    match op {
        Op::Input(input) => {
            if !shapes.is_empty() {
                check.fault("", "takes other layers; an input takes none");
            }
            if input.shape.is_empty() || input.shape.contains(&0) {
                check.fault("shape", format!("is {:?}, want at least one axis, none of them 0", input.shape));
            }
            check.quantizer("quantizer", input.quantizer.as_ref());
            check.fixed_quantizer("quantizer", input.quantizer.as_ref());
            Some(input.shape.clone())
        }
        Op::Add(_) | Op::Multiply(_) | Op::Subtract(_) | Op::Concat(_) => merge(op, shapes, check),
        _ => {
            let [shape] = shapes else {
                check.fault("", format!("takes {} inputs, want 1", shapes.len()));
                return None;
            };
            let output = infer_single(op, shape, check);
            for (field, reason) in op.learned_faults(shape) {
                check.fault(field, reason);
            }
            output
        }
    }
}

fn merge(op: &Op, shapes: &[&[usize]], check: &mut Check<'_>) -> Option<Vec<usize>> {
    if shapes.len() < 2 || (matches!(op, Op::Subtract(_)) && shapes.len() != 2) {
        let wanted = if matches!(op, Op::Subtract(_)) { "2" } else { "at least 2" };
        check.fault("", format!("takes {} inputs, want {wanted}", shapes.len()));
        return None;
    }
    if let Op::Concat(concat) = op {
        return concatenate(concat, shapes, check);
    }
    let rank = shapes[0].len();
    let mut out = vec![1; rank];
    for shape in shapes {
        if shape.len() != rank {
            check.fault("", format!("has inputs of shapes {shapes:?}, want all with {rank} axes"));
            return None;
        }
        for (o, &d) in out.iter_mut().zip(*shape) {
            if *o != d && *o != 1 && d != 1 {
                check.fault(
                    "",
                    format!("has inputs of shapes {shapes:?}, want equal ones (or 1) along each axis"),
                );
                return None;
            }
            *o = (*o).max(d);
        }
    }
    Some(out)
}

fn concatenate(concat: &Concat, shapes: &[&[usize]], check: &mut Check<'_>) -> Option<Vec<usize>> {
    let rank = shapes[0].len();
    let Some(axis) = concat.sample_axis(rank) else {
        check.fault("axis", format!("is {}, want 1..={rank} or -{rank}..=-1", concat.axis));
        return None;
    };
    let mut out = shapes[0].to_vec();
    for shape in &shapes[1..] {
        let fits = shape.len() == rank && (0..rank).all(|a| a == axis || shape[a] == out[a]);
        if !fits {
            check.fault(
                "",
                format!("has inputs of shapes {shapes:?}, want equal ones but for axis {}", concat.axis),
            );
            return None;
        }
        out[axis] += shape[axis];
    }
    Some(out)
}

impl Concat {
    /// Axis within a sample (0 is the first after the batch) of inputs with `rank` axes; None if it does not exist.
    #[must_use]
    pub fn sample_axis(&self, rank: usize) -> Option<usize> {
        let axis = if self.axis < 0 { self.axis + i64::try_from(rank).ok()? } else { self.axis - 1 };
        usize::try_from(axis).ok().filter(|&a| a < rank)
    }
}

fn infer_single(op: &Op, shape: &[usize], check: &mut Check<'_>) -> Option<Vec<usize>> {
    if let Some(activation) = op.activation().filter(|_| !matches!(op, Op::Activation(_))) {
        check.activation("activation", activation);
    }
    if let Some(product) = op.product() {
        return infer_product(&product, shape, check);
    }
    if let Some(pooling) = op.pooling() {
        return infer_pooling(&pooling, shape, check);
    }
    match op {
        Op::Activation(activation) => {
            check.activation("", activation);
            if let Activation::Prelu(prelu) = activation
                && let Some(axis) = prelu.shared_axes.iter().find(|&&a| a == 0 || a > shape.len())
            {
                check.fault("prelu.shared_axes", format!("has axis {axis}, want 1..={}", shape.len()));
            }
            Some(shape.to_vec())
        }
        Op::BatchNorm(norm) => {
            if !(0.0..=1.0).contains(&norm.momentum) {
                check.fault("momentum", format!("is {}, want 0 to 1", norm.momentum));
            }
            epsilon(norm.epsilon, check);
            for (field, q) in [
                ("gamma_quantizer", &norm.gamma_quantizer),
                ("beta_quantizer", &norm.beta_quantizer),
                ("mean_quantizer", &norm.mean_quantizer),
                ("variance_quantizer", &norm.variance_quantizer),
            ] {
                check.quantizer(field, q.as_ref());
            }
            Some(shape.to_vec())
        }
        Op::LayerNorm(norm) => {
            epsilon(norm.epsilon, check);
            Some(shape.to_vec())
        }
        Op::Rescaling(rescaling) => {
            let &channels = shape.last()?;
            constants("scale", &rescaling.scale, channels, check);
            constants("offset", &rescaling.offset, channels, check);
            Some(shape.to_vec())
        }
        Op::Dropout(dropout) | Op::DropConnect(dropout) => {
            check.rate("rate", dropout.rate);
            Some(shape.to_vec())
        }
        Op::Flatten(_) => Some(vec![shape.iter().product()]),
        _ => infer_spatial(op, shape, check),
    }
}

fn infer_spatial(op: &Op, shape: &[usize], check: &mut Check<'_>) -> Option<Vec<usize>> {
    match op {
        Op::Reshape(reshape) => reshaped(&reshape.shape, shape, check),
        Op::Permute(permute) => {
            let mut seen = permute.dims.clone();
            seen.sort_unstable();
            if !seen.iter().copied().eq(1..=shape.len()) {
                check.fault("dims", format!("is {:?}, want each of 1..={} once", permute.dims, shape.len()));
                return None;
            }
            Some(permute.dims.iter().map(|&d| shape[d - 1]).collect())
        }
        Op::DepthToSpace(d) => {
            let [h, w, c] = axes::<3>(shape, IMAGE, check)?;
            let square = d.block.checked_mul(d.block).filter(|&b| b >= 4);
            let Some(square) = square.filter(|&b| c.is_multiple_of(b)) else {
                check.fault(
                    "block",
                    format!("is {}, want at least 2 with its square dividing {c} channels", d.block),
                );
                return None;
            };
            Some(vec![h.checked_mul(d.block)?, w.checked_mul(d.block)?, c / square])
        }
        Op::UpSampling1d(up) => {
            let [t, c] = axes::<2>(shape, TIME, check)?;
            check.positive("size", up.size);
            Some(vec![t.checked_mul(up.size)?, c])
        }
        Op::UpSampling2d(up) => {
            let [h, w, c] = axes::<3>(shape, IMAGE, check)?;
            check.positive_pair("size", up.size);
            Some(vec![h.checked_mul(up.size.height)?, w.checked_mul(up.size.width)?, c])
        }
        Op::Cropping1d(Border1d { before, after }) => {
            let [t, c] = axes::<2>(shape, TIME, check)?;
            Some(vec![crop(t, *before, *after, check)?, c])
        }
        Op::ZeroPadding1d(Border1d { before, after }) => {
            let [t, c] = axes::<2>(shape, TIME, check)?;
            Some(vec![t.checked_add(*before)?.checked_add(*after)?, c])
        }
        Op::Cropping2d(Border2d { top, bottom, left, right }) => {
            let [h, w, c] = axes::<3>(shape, IMAGE, check)?;
            Some(vec![crop(h, *top, *bottom, check)?, crop(w, *left, *right, check)?, c])
        }
        Op::ZeroPadding2d(Border2d { top, bottom, left, right }) => {
            let [h, w, c] = axes::<3>(shape, IMAGE, check)?;
            Some(vec![
                h.checked_add(*top)?.checked_add(*bottom)?,
                w.checked_add(*left)?.checked_add(*right)?,
                c,
            ])
        }
        _ => None,
    }
}

fn axes<const N: usize>(shape: &[usize], wanted: &str, check: &mut Check<'_>) -> Option<[usize; N]> {
    let found = shape.try_into().ok();
    if found.is_none() {
        check.fault("", format!("has an input of shape {shape:?}, want [{wanted}]"));
    }
    found
}

fn epsilon(value: f64, check: &mut Check<'_>) {
    if !(value > 0.0 && value.is_finite()) {
        check.fault("epsilon", format!("is {value}, want a number above 0"));
    }
}

fn infer_pooling(pooling: &Pooling<'_>, shape: &[usize], check: &mut Check<'_>) -> Option<Vec<usize>> {
    let quantizer = pooling.average_quantizer;
    if quantizer.is_some() && !pooling.takes_mean {
        check.fault("average_quantizer", "is set, but only average pooling has a mean to quantize");
    }
    check.quantizer("average_quantizer", quantizer);
    check.fixed_quantizer("average_quantizer", quantizer);
    let mut out = match (pooling.window, pooling.spatial_axes) {
        (Some(window), 1) => {
            let [t, _] = axes::<2>(shape, TIME, check)?;
            if window.padding == Padding::Causal {
                check.fault("padding", "is causal, which only 1-D convolutions have; want valid or same");
            }
            let sizes = [window.size.width, window.stride.width, window.dilation.width];
            vec![check.window1d("size", window.padding, t, sizes)?]
        }
        (Some(window), _) => {
            let [h, w, _] = axes::<3>(shape, IMAGE, check)?;
            let sizes = [window.size, window.stride, window.dilation];
            check.window2d("size", window.padding, [h, w], sizes)?.to_vec()
        }
        (None, spatial_axes) => {
            if spatial_axes == 1 {
                axes::<2>(shape, TIME, check)?;
            } else {
                axes::<3>(shape, IMAGE, check)?;
            }
            if pooling.keep_dims { vec![1; spatial_axes] } else { Vec::new() }
        }
    };
    out.push(*shape.last()?);
    Some(out)
}

fn crop(n: usize, before: usize, after: usize, check: &mut Check<'_>) -> Option<usize> {
    let left = n.checked_sub(before).and_then(|n| n.checked_sub(after)).filter(|&n| n > 0);
    if left.is_none() {
        check.fault("", format!("cuts {before} and {after} from {n}, which leaves nothing"));
    }
    left
}

fn reshaped(wanted: &[i64], shape: &[usize], check: &mut Check<'_>) -> Option<Vec<usize>> {
    let elements: usize = shape.iter().product();
    let known = wanted
        .iter()
        .filter(|&&d| d != -1)
        .try_fold(1_usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?));
    let free = wanted.iter().filter(|&&d| d == -1).count();
    let rest = known.filter(|&k| k > 0 && elements.is_multiple_of(k)).map(|k| elements / k);
    match rest {
        Some(rest) if !wanted.is_empty() && (free == 1 || (free == 0 && rest == 1)) => {
            Some(wanted.iter().map(|&d| usize::try_from(d).unwrap_or(rest)).collect())
        }
        _ => {
            check.fault(
                "shape",
                format!("is {wanted:?}, want the {elements} elements of {shape:?} (one entry may be -1)"),
            );
            None
        }
    }
}

fn infer_product(product: &Product, shape: &[usize], check: &mut Check<'_>) -> Option<Vec<usize>> {
    match product.spatial_axes {
        1 => drop(axes::<2>(shape, TIME, check)?),
        2 => drop(axes::<3>(shape, IMAGE, check)?),
        _ => {}
    }
    let &channels = shape.last()?;
    let kind = product.kind;
    if let Some(filters) = product.filters {
        check.positive(if kind == ProductKind::Dense { "units" } else { "filters" }, filters);
    }
    if matches!(kind, ProductKind::Depthwise | ProductKind::Separable) {
        check.positive("depth_multiplier", product.depth_multiplier);
    }
    if kind == ProductKind::Convolution {
        check.groups(product.groups, channels, product.output_channels(channels));
    }
    for kernel in product.kernels() {
        check.quantizer(quantizer_field(kernel.name), kernel.quantizer.as_ref());
    }
    check.quantizer("bias_quantizer", product.bias_quantizer.as_ref());
    check.kernel(&product.kernel_shape(channels));
    if let Some(shape) = product.pointwise_shape(channels) {
        check.kernel(&shape);
    }
    let SlidingWindow { size, stride, dilation, padding } = product.window;
    let mut out = match (kind, product.spatial_axes) {
        (ProductKind::Transposed, _) => {
            check.positive_pair("kernel", size);
            check.positive_pair("stride", stride);
            check.positive_pair("dilation", dilation);
            if padding == Padding::Causal {
                check.fault("padding", "is causal, which only 1-D convolutions have; want valid or same");
            }
            vec![
                padding.transposed_len(shape[0], size.height, stride.height, dilation.height),
                padding.transposed_len(shape[1], size.width, stride.width, dilation.width),
            ]
        }
        (_, 0) => shape[..shape.len() - 1].to_vec(),
        (_, 1) => {
            let sizes = [size.width, stride.width, dilation.width];
            vec![check.window1d("kernel", padding, shape[0], sizes)?]
        }
        _ => check.window2d("kernel", padding, [shape[0], shape[1]], [size, stride, dilation])?.to_vec(),
    };
    out.push(product.output_channels(channels));
    Some(out)
}

/// Checks constants of a rescaling: finite, and one for all channels or one for each.
fn constants(field: &str, constants: &PerChannel, channels: usize, check: &mut Check<'_>) {
    if let PerChannel::Each(values) = constants
        && values.len() != channels
    {
        check.fault(
            field,
            format!("has {} numbers, want one, or one for each of {channels} channels", values.len()),
        );
    }
    if let Some(value) = constants.values().iter().find(|v| !v.is_finite()) {
        check.fault(field, format!("has {value}, want finite numbers"));
    }
}
