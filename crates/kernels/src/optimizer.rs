//! Optimizer steps: one pass over weights, gradient and state.
//!
//! The rules follow `tf.keras` 2.15, including its order of operations. Lion is algorithm 2 of Chen et al., 2023
//! (arXiv 2302.06675). Square roots and quotients are correctly rounded, so all instruction sets compute the same
//! bits. State is zero before the first step.
//!
//! State below 1e-34 is set to 0. It is too small to change any weight, but would decay as a subnormal number for
//! ever, and arithmetic on subnormal numbers is many times slower. Weights behind a rectifier that never opens have
//! such state.

use super::dispatch::multiversion;
use super::split;

/// Elements per block of work.
const BLOCK: usize = 1 << 13;

/// Elements whose gradient is prepared at a time, on the stack.
const PIECE: usize = 512;

/// Maximum number of blocks of a sum over a tensor.
const MAX_SUMS: usize = 256;

/// Smallest magnitude of state that is kept. Its change in one step, about a thousandth, is still a normal number.
const NEGLIGIBLE: f32 = 1e-34;

/// Square root of [`NEGLIGIBLE`]: squares of smaller values would be set to 0.
const NEGLIGIBLE_ROOT: f32 = 1e-17;

/// Returns `g`, or 0 if its square is negligible.
#[inline(always)]
fn squarable(g: f32) -> f32 {
    if g.abs() < NEGLIGIBLE_ROOT { 0.0 } else { g }
}

/// Modifications of the gradient and the weights around the rule, in this order: `g + l1 sign(w) + l2 w`, masks,
/// `scale`, `limit`, then `w -= decay w`, then the rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms<'a> {
    /// Coefficient of the L1 penalty's gradient. Default 0.
    pub l1: f32,
    /// Coefficient of the L2 penalty's gradient: twice Keras' `L2`. Default 0.
    pub l2: f32,
    /// Factor of the gradient, for clipping by norm. Default 1.
    pub scale: f32,
    /// Maximum magnitude of an element of the gradient. Default infinity.
    pub limit: f32,
    /// Fraction by which each weight is decayed first: learning rate times weight decay. Default 0.
    pub decay: f32,
    /// Pruning mask: weights and state are set to 0 at elements that are 0. Default none.
    pub prune: Option<&'a [f32]>,
    /// Update mask: weights stay and gradients count as 0 at elements that are 0. Default none.
    pub update: Option<&'a [f32]>,
}

impl Default for Terms<'_> {
    fn default() -> Self {
        Self { l1: 0.0, l2: 0.0, scale: 1.0, limit: f32::INFINITY, decay: 0.0, prune: None, update: None }
    }
}

impl<'a> Terms<'a> {
    fn are_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The terms for the elements `from..to`.
    fn part(&self, from: usize, to: usize) -> Self {
        let part = |mask: &'a [f32]| &mask[from..to];
        Self { prune: self.prune.map(part), update: self.update.map(part), ..*self }
    }

    /// Computes `g + l1 sign(w) + l2 w`, or 0 for masked elements.
    #[inline(always)]
    fn gate(&self, prepared: &mut [f32], g: &[f32], w: &[f32]) {
        prepared.copy_from_slice(g);
        if self.l1 != 0.0 || self.l2 != 0.0 {
            for (g, &w) in prepared.iter_mut().zip(w) {
                let sign = if w < 0.0 { -1.0 } else { 0.0 };
                let sign = if w > 0.0 { 1.0 } else { sign };
                *g += self.l1 * sign + self.l2 * w;
            }
        }
        for mask in [self.prune, self.update].into_iter().flatten() {
            for (g, &mask) in prepared.iter_mut().zip(mask) {
                *g = if mask == 0.0 { 0.0 } else { *g };
            }
        }
    }

    /// Computes the gradient that the rule uses.
    #[inline(always)]
    fn prepare(&self, prepared: &mut [f32], g: &[f32], w: &[f32]) {
        self.gate(prepared, g, w);
        if self.scale != 1.0 {
            prepared.iter_mut().for_each(|g| *g *= self.scale);
        }
        if self.limit != f32::INFINITY {
            prepared.iter_mut().for_each(|g| *g = g.clamp(-self.limit, self.limit));
        }
    }
}

/// `w -= rate g`.
///
/// # Panics
/// If a slice is shorter than `w`.
pub fn sgd(w: &mut [f32], g: &[f32], rate: f32, terms: &Terms<'_>, threads: usize) {
    step(w, g, [], terms, threads, |w, g, []| (w - rate * g, []));
}

/// Momentum: `v = momentum v - rate g; w += v`, or Nesterov's `w += momentum v - rate g`.
///
/// # Panics
/// If a slice is shorter than `w`.
pub fn sgd_momentum(
    w: &mut [f32],
    g: &[f32],
    v: &mut [f32],
    (rate, momentum, nesterov): (f32, f32, bool),
    terms: &Terms<'_>,
    threads: usize,
) {
    if nesterov {
        step(w, g, [v], terms, threads, |w, g, [v]| {
            let v = momentum * v - rate * g;
            (w + (momentum * v - rate * g), [v])
        });
    } else {
        step(w, g, [v], terms, threads, |w, g, [v]| {
            let v = momentum * v - rate * g;
            (w + v, [v])
        });
    }
}

/// Constants of [`adam`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Bias-corrected learning rate of step `t`: `lr sqrt(1 - beta_2^t) / (1 - beta_1^t)`.
    pub rate: f32,
    /// `1 - beta_1`, computed in double precision.
    pub rest_1: f32,
    /// `1 - beta_2`, computed in double precision.
    pub rest_2: f32,
    /// Added to the square root of the second moment.
    pub epsilon: f32,
}

/// Adam (Kingma and Ba, 2015), and `AdamW` with [`Terms::decay`]: `m += (g - m) (1 - beta_1); v += (g^2 - v) (1 -
/// beta_2); w -= rate m / (sqrt(v) + epsilon)`. Unless empty, `largest` holds the largest second moments so far and
/// replaces `v` (`AMSGrad`).
///
/// # Panics
/// If a slice is shorter than `w`.
pub fn adam(
    w: &mut [f32],
    g: &[f32],
    (m, v, largest): (&mut [f32], &mut [f32], &mut [f32]),
    constants: Adam,
    terms: &Terms<'_>,
    threads: usize,
) {
    let Adam { rate, rest_1, rest_2, epsilon } = constants;
    if largest.is_empty() {
        step(w, g, [m, v], terms, threads, |w, g, [m, v]| {
            let m = m + (g - m) * rest_1;
            let g = squarable(g);
            let v = v + (g * g - v) * rest_2;
            (w - rate * m / (v.sqrt() + epsilon), [m, v])
        });
    } else {
        step(w, g, [m, v, largest], terms, threads, |w, g, [m, v, top]| {
            let m = m + (g - m) * rest_1;
            let g = squarable(g);
            let v = v + (g * g - v) * rest_2;
            let top = top.max(v);
            (w - rate * m / (top.sqrt() + epsilon), [m, v, top])
        });
    }
}

/// Constants of [`rmsprop`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rmsprop {
    /// Learning rate.
    pub rate: f32,
    /// Decay of the mean square.
    pub rho: f32,
    /// Fraction of the previous step that is kept.
    pub momentum: f32,
    /// Added to the mean square.
    pub epsilon: f32,
}

/// RMSprop: `v = rho v + (1 - rho) g^2`, step `rate g / sqrt(v + epsilon)`. Unless `m` is empty, `m = momentum m +
/// step` and `w -= m`; otherwise `w -= step`.
///
/// # Panics
/// If a slice is shorter than `w`.
pub fn rmsprop(
    w: &mut [f32],
    g: &[f32],
    (v, m): (&mut [f32], &mut [f32]),
    constants: Rmsprop,
    terms: &Terms<'_>,
    threads: usize,
) {
    let Rmsprop { rate, rho, momentum, epsilon } = constants;
    if m.is_empty() {
        step(w, g, [v], terms, threads, |w, g, [v]| {
            let s = squarable(g);
            let v = rho * v + (1.0 - rho) * s * s;
            (w - rate * g / (v + epsilon).sqrt(), [v])
        });
    } else {
        step(w, g, [v, m], terms, threads, |w, g, [v, m]| {
            let s = squarable(g);
            let v = rho * v + (1.0 - rho) * s * s;
            let m = momentum * m + rate * g / (v + epsilon).sqrt();
            (w - m, [v, m])
        });
    }
}

/// Lion: `w -= rate sign(beta_1 m + (1 - beta_1) g); m = beta_2 m + (1 - beta_2) g`.
///
/// # Panics
/// If a slice is shorter than `w`.
pub fn lion(
    w: &mut [f32],
    g: &[f32],
    m: &mut [f32],
    (rate, beta_1, beta_2): (f32, f32, f32),
    terms: &Terms<'_>,
    threads: usize,
) {
    step(w, g, [m], terms, threads, |w, g, [m]| {
        let direction = beta_1 * m + (1.0 - beta_1) * g;
        // The sign of NaN is NaN; that of 0 is 0.
        let magnitude = if direction.is_nan() { direction } else { rate };
        let change = if direction == 0.0 { 0.0 } else { magnitude.copysign(direction) };
        (w - change, [beta_2 * m + (1.0 - beta_2) * g])
    });
}

/// Sum of the squared elements of the gradient with penalties and masks, but before `scale` and `limit`, in double
/// precision.
///
/// # Panics
/// If `w` or a mask is shorter than `g`.
#[must_use]
pub fn squared_norm(g: &[f32], w: &[f32], terms: &Terms<'_>, threads: usize) -> f64 {
    let block = BLOCK.max(g.len().div_ceil(MAX_SUMS));
    let threads = split::useful(threads, g.len() * split::ELEMENT_COST);
    let mut sums = [0.0; MAX_SUMS];
    let used = &mut sums[..g.len().div_ceil(block)];
    split::for_chunks(threads, used, 1, |i, sum| {
        let (from, to) = (i * block, ((i + 1) * block).min(g.len()));
        sum[0] = squares(&g[from..to], &w[from..to], &terms.part(from, to));
    });
    used.iter().sum()
}

/// Computes `(weight, state) = rule(weight, gradient, state)` for every element.
fn step<const S: usize>(
    w: &mut [f32],
    g: &[f32],
    state: [&mut [f32]; S],
    terms: &Terms<'_>,
    threads: usize,
    rule: impl Fn(f32, f32, [f32; S]) -> (f32, [f32; S]) + Sync,
) {
    let n = w.len();
    // A step takes several times as long as loading and storing an element.
    let threads = split::useful(threads, n * 4 * split::ELEMENT_COST);
    let plain = terms.are_plain();
    split::for_chunks_of_each(threads, w, state, BLOCK, |i, w, state| {
        let (from, to) = (i * BLOCK, i * BLOCK + w.len());
        if plain {
            step_plain(w, &g[from..to], state, &rule);
        } else {
            step_with(w, &g[from..to], state, &terms.part(from, to), &rule);
        }
    });
}

/// Loops over weights, gradient and state, all as long as `w`.
#[inline(always)]
fn apply<const S: usize>(
    w: &mut [f32],
    g: &[f32],
    state: &mut [&mut [f32]; S],
    rule: &impl Fn(f32, f32, [f32; S]) -> (f32, [f32; S]),
) {
    let n = w.len();
    let g = &g[..n];
    let state = state.each_mut().map(|slot| &mut slot[..n]);
    for i in 0..n {
        let (weight, slots) = rule(w[i], g[i], std::array::from_fn(|s| state[s][i]));
        w[i] = weight;
        for s in 0..S {
            state[s][i] = if slots[s].abs() < NEGLIGIBLE { 0.0 } else { slots[s] };
        }
    }
}

multiversion! {
    fn step_plain<{const S: usize, F: Fn(f32, f32, [f32; S]) -> (f32, [f32; S])}>(
        w: &mut [f32], g: &[f32], state: [&mut [f32]; S], rule: &F,
    ) {
        let mut state = state;
        apply(w, g, &mut state, rule);
    }
}

multiversion! {
    fn step_with<{const S: usize, F: Fn(f32, f32, [f32; S]) -> (f32, [f32; S])}>(
        w: &mut [f32], g: &[f32], state: [&mut [f32]; S], terms: &Terms<'_>, rule: &F,
    ) {
        let mut state = state;
        let (mut prepared, mut before) = ([0.0; PIECE], [0.0; PIECE]);
        for (p, w) in w.chunks_mut(PIECE).enumerate() {
            let (from, to) = (p * PIECE, p * PIECE + w.len());
            let terms = terms.part(from, to);
            let (prepared, before) = (&mut prepared[..w.len()], &mut before[..w.len()]);
            terms.prepare(prepared, &g[from..to], w);
            before.copy_from_slice(w);
            if terms.decay != 0.0 {
                w.iter_mut().for_each(|w| *w -= *w * terms.decay);
            }
            let mut state = state.each_mut().map(|slot| &mut slot[from..to]);
            apply(w, prepared, &mut state, rule);
            if let Some(mask) = terms.update {
                for ((w, &before), &mask) in w.iter_mut().zip(&*before).zip(mask) {
                    *w = if mask == 0.0 { before } else { *w };
                }
            }
            if let Some(mask) = terms.prune {
                for values in state.into_iter().chain([w]) {
                    for (v, &mask) in values.iter_mut().zip(mask) {
                        *v = if mask == 0.0 { 0.0 } else { *v };
                    }
                }
            }
        }
    }
}

multiversion! {
    fn squares(g: &[f32], w: &[f32], terms: &Terms<'_>) -> f64 {
        const LANES: usize = 16;
        let mut sums = [0.0_f64; LANES];
        let mut prepared = [0.0; PIECE];
        for (p, g) in g.chunks(PIECE).enumerate() {
            let (from, to) = (p * PIECE, p * PIECE + g.len());
            let prepared = &mut prepared[..g.len()];
            terms.part(from, to).gate(prepared, g, &w[from..to]);
            for group in prepared.chunks(LANES) {
                for (sum, &g) in sums.iter_mut().zip(group) {
                    *sum += f64::from(g) * f64::from(g);
                }
            }
        }
        sums.iter().sum()
    }
}
