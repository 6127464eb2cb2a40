//! An optimizer's step by the kernels of `core-tensor`, masks and penalties included, in one pass over memory.

use tinsmith_kernels::Threads;
use tinsmith_kernels::optimizer::{Adam, Rmsprop, Terms};
use tinsmith_kernels::optimizer::{adam, lion, rmsprop, sgd, sgd_momentum, squared_norm};
use tinsmith_layers::plan::ShortList;

use super::rare::{adadelta, adagrad, adamax, nadam};
use super::{OptimizerConfig, Rule, power_of};

/// A tensor and what belongs to it.
#[derive(Debug)]
pub(crate) struct Tensor<'a> {
    pub(crate) weights: &'a mut [f32],
    pub(crate) gradient: &'a mut [f32],
    /// [`slots`](Rule::slots) slices as long as the weights.
    pub(crate) state: ShortList<&'a mut [f32]>,
    /// Whether penalties are for it.
    pub(crate) is_kernel: bool,
    /// Where 0, weight and state become 0.
    pub(crate) prune: Option<&'a [f32]>,
    /// Where 0, the weight stays.
    pub(crate) hold: Option<&'a [f32]>,
}

impl OptimizerConfig {
    /// Step number `t` (from 1) of one tensor at learning rate `lr`: penalties, masks, `scale`, clipping, decay, rule.
    pub(crate) fn apply(&self, lr: f64, t: u64, scale: f32, tensor: Tensor<'_>, threads: Threads) {
        let Tensor { weights: w, gradient: g, state, is_kernel, prune, hold } = tensor;
        let threads = threads.count();
        let mut terms = self.terms(lr, is_kernel, prune, hold);
        terms.scale = scale;
        if self.clip_norm > 0.0 {
            let norm = squared_norm(g, w, &terms, threads).sqrt() * f64::from(scale);
            if norm > self.clip_norm {
                terms.scale *= (self.clip_norm / norm) as f32;
            }
        }
        let mut slots = state.into_iter();
        let (first, second, third) = (slots.next(), slots.next(), slots.next());
        let [first, second, third] = [first, second, third].map(Option::unwrap_or_default);
        let rate = lr as f32;
        match self.rule {
            Rule::Sgd { momentum: 0.0, .. } => sgd(w, g, rate, &terms, threads),
            Rule::Sgd { momentum, nesterov } => {
                sgd_momentum(w, g, first, (rate, momentum as f32, nesterov), &terms, threads);
            }
            Rule::Adam { beta_1, beta_2, epsilon, .. } => {
                let corrected = lr * (1.0 - power_of(beta_2, t)).sqrt() / (1.0 - power_of(beta_1, t));
                let constants = Adam {
                    rate: corrected as f32,
                    rest_1: (1.0 - beta_1) as f32,
                    rest_2: (1.0 - beta_2) as f32,
                    epsilon: epsilon as f32,
                };
                adam(w, g, (first, second, third), constants, &terms, threads);
            }
            Rule::Rmsprop { rho, momentum, epsilon } => {
                let (rho, momentum, epsilon) = (rho as f32, momentum as f32, epsilon as f32);
                let constants = Rmsprop { rate, rho, momentum, epsilon };
                rmsprop(w, g, (first, second), constants, &terms, threads);
            }
            Rule::Lion { beta_1, beta_2 } => {
                lion(w, g, first, (rate, beta_1 as f32, beta_2 as f32), &terms, threads);
            }
            Rule::Adagrad { epsilon, .. } => {
                plainly(&terms, w, g, [first], |w, g, [sums]| adagrad(lr, epsilon, w, g, sums));
            }
            Rule::Adadelta { rho, epsilon } => {
                plainly(&terms, w, g, [first, second], |w, g, [a, u]| {
                    adadelta(lr, (rho, epsilon), w, g, (a, u));
                });
            }
            Rule::Adamax { beta_1, beta_2, epsilon } => {
                let constants = (beta_1, beta_2, epsilon);
                plainly(&terms, w, g, [first, second], |w, g, [m, u]| adamax(lr, t, constants, w, g, (m, u)));
            }
            Rule::Nadam { beta_1, beta_2, epsilon } => {
                let constants = (beta_1, beta_2, epsilon);
                plainly(&terms, w, g, [first, second], |w, g, [m, v]| nadam(lr, t, constants, w, g, (m, v)));
            }
        }
    }

    /// Sum of the squares of a tensor's gradient as [`apply`](Self::apply) will see it, before any limit of norms.
    pub(crate) fn squares(&self, tensor: &Tensor<'_>, threads: Threads) -> f64 {
        let terms = self.terms(0.0, tensor.is_kernel, tensor.prune, tensor.hold);
        squared_norm(tensor.gradient, tensor.weights, &terms, threads.count())
    }

    fn terms<'a>(
        &self,
        lr: f64,
        is_kernel: bool,
        prune: Option<&'a [f32]>,
        update: Option<&'a [f32]>,
    ) -> Terms<'a> {
        let of_kernel = |slope: f64| if is_kernel { slope as f32 } else { 0.0 };
        Terms {
            l1: of_kernel(self.l1),
            l2: 2.0 * of_kernel(self.l2),
            limit: if self.clip_value > 0.0 { self.clip_value as f32 } else { f32::INFINITY },
            decay: (lr * self.weight_decay) as f32,
            prune,
            update,
            ..Terms::default()
        }
    }
}

/// A step by a rule without a kernel: what [`Terms`] ask for around it, element by element.
fn plainly<const S: usize>(
    terms: &Terms<'_>,
    w: &mut [f32],
    g: &mut [f32],
    mut state: [&mut [f32]; S],
    rule: impl FnOnce(&mut [f32], &[f32], [&mut [f32]; S]),
) {
    let closed = |mask: Option<&[f32]>, i: usize| mask.is_some_and(|mask| mask[i] == 0.0);
    for (i, (g, &w)) in g.iter_mut().zip(&*w).enumerate() {
        let sign = f32::from(i8::from(w > 0.0) - i8::from(w < 0.0));
        let value = *g + terms.l1 * sign + terms.l2 * w;
        let is_closed = closed(terms.prune, i) || closed(terms.update, i);
        let value = if is_closed { 0.0 } else { value * terms.scale };
        *g = value.clamp(-terms.limit, terms.limit);
    }
    let before = if terms.update.is_some() { w.to_vec() } else { Vec::new() };
    w.iter_mut().for_each(|w| *w -= *w * terms.decay);
    rule(w, g, state.each_mut().map(|slot| &mut **slot));
    for (i, (w, before)) in w.iter_mut().zip(before).enumerate() {
        *w = if closed(terms.update, i) { before } else { *w };
    }
    if let Some(mask) = terms.prune {
        for values in state.into_iter().chain([w]) {
            values.iter_mut().zip(mask).filter(|(_, m)| **m == 0.0).for_each(|(v, _)| *v = 0.0);
        }
    }
}
