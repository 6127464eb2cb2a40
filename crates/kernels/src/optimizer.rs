//! Optimizer steps: weights, gradient and state in one pass.
//!
//! The rules are those of `tf.keras` 2.15, with its order of operations; Lion is algorithm 2 of Chen et al., 2023
//! (arXiv 2302.06675). Roots and quotients are exact to the last bit, so every instruction set computes the same.
//! State is zero before the first step.
//!
//! State below 1e-34 becomes 0: too little to move any weight, it would decay towards 0 for ever as a subnormal number,
//! and arithmetic on those is many times slower (weights behind a rectifier that is closed for good have such state).

use super::dispatch::multiversion;
use super::split;

/// Elements that one block of work takes.
const BLOCK: usize = 1 << 13;

/// Elements whose gradient is prepared at a time, on the stack.
const PIECE: usize = 512;

/// The most blocks that a sum over a whole tensor is split into.
const SUMS: usize = 256;

/// Magnitudes of state from which it counts. A step's share of it, a thousandth, is still a normal number.
const NEGLIGIBLE: f32 = 1e-34;

/// Its root: squares of less than this would not count.
const NEGLIGIBLE_ROOT: f32 = 1e-17;

/// `g`, or 0 where its square would vanish in the state.
#[inline(always)]
fn squarable(g: f32) -> f32 {
    if g.abs() < NEGLIGIBLE_ROOT { 0.0 } else { g }
}

/// What happens to the gradient and the weights besides the rule, in this order: `g + l1 sign(w) + l2 w`, masks,
/// `scale`, `limit`, then `w -= decay w`, then the rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms<'a> {
    /// Slope of the penalty on magnitudes. Default 0.
    pub l1: f32,
    /// Slope of the penalty on squares: twice Keras' `L2`. Default 0.
    pub l2: f32,
    /// Factor of the gradient: what a limit of its norm left. Default 1.
    pub scale: f32,
    /// Largest magnitude of a gradient element. Default infinity.
    pub limit: f32,
    /// Share of each weight that is taken from it first: learning rate times weight decay. Default 0.
    pub decay: f32,
    /// Where 0, weight and state become 0. Default none.
    pub prune: Option<&'a [f32]>,
    /// Where 0, the weight stays and the gradient counts as 0. Default none.
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

    /// The terms of the elements `from..to`.
    fn part(&self, from: usize, to: usize) -> Self {
        let part = |mask: &'a [f32]| &mask[from..to];
        Self { prune: self.prune.map(part), update: self.update.map(part), ..*self }
    }

    /// `g + l1 sign(w) + l2 w`, 0 where masks say so.
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

    /// The gradient that the rule sees.
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
    /// Learning rate with the correction of step `t`: `lr sqrt(1 - beta_2^t) / (1 - beta_1^t)`.
    pub rate: f32,
    /// `1 - beta_1`, computed in double precision.
    pub rest_1: f32,
    /// `1 - beta_2`, computed in double precision.
    pub rest_2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
}

/// Adam (Kingma and Ba, 2015), and with [`Terms::decay`] `AdamW`: `m += (g - m) (1 - beta_1); v += (g^2 - v) (1 - beta_2);
/// w -= rate m / (sqrt(v) + epsilon)`. Where `largest` is not empty it holds the largest second moments so far and takes
/// their place (`AMSGrad`).
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
    /// Share of the last step that is kept.
    pub momentum: f32,
    /// Added to the mean square.
    pub epsilon: f32,
}

/// `v = rho v + (1 - rho) g^2`, step `rate g / sqrt(v + epsilon)`; where `m` is not empty `m = momentum m + step` and
/// `w -= m`, else `w -= step`.
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
        // The sign of NaN is NaN, that of 0 nothing.
        let magnitude = if direction.is_nan() { direction } else { rate };
        let change = if direction == 0.0 { 0.0 } else { magnitude.copysign(direction) };
        (w - change, [beta_2 * m + (1.0 - beta_2) * g])
    });
}

/// Sum of the squares of the gradient with penalties and masks but before `scale` and `limit`, in double precision.
///
/// # Panics
/// If `w` or a mask is shorter than `g`.
#[must_use]
pub fn squared_norm(g: &[f32], w: &[f32], terms: &Terms<'_>, threads: usize) -> f64 {
    let block = BLOCK.max(g.len().div_ceil(SUMS));
    let threads = split::useful(threads, g.len() * split::ELEMENT);
    let mut sums = [0.0; SUMS];
    let used = &mut sums[..g.len().div_ceil(block)];
    split::for_chunks(threads, used, 1, |i, sum| {
        let (from, to) = (i * block, ((i + 1) * block).min(g.len()));
        sum[0] = squares(&g[from..to], &w[from..to], &terms.part(from, to));
    });
    used.iter().sum()
}

/// `rule(weight, gradient, state) = (weight, state)` for every element.
fn step<const S: usize>(
    w: &mut [f32],
    g: &[f32],
    state: [&mut [f32]; S],
    terms: &Terms<'_>,
    threads: usize,
    rule: impl Fn(f32, f32, [f32; S]) -> (f32, [f32; S]) + Sync,
) {
    let n = w.len();
    // A step takes several times as long as an element's way through memory.
    let threads = split::useful(threads, n * 4 * split::ELEMENT);
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

/// One loop over weights, gradient and state, all as long as `w`.
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
