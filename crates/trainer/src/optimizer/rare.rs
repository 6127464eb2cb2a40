//! Rarely used rules as plain loops, without kernels.

use super::{power_of, product_of};

/// Adagrad (Duchi, Hazan and Singer, JMLR 12, 2011) in the form of Keras.
pub(super) fn adagrad(lr: f64, epsilon: f64, w: &mut [f32], g: &[f32], sums: &mut [f32]) {
    let (lr, eps) = (lr as f32, epsilon as f32);
    for ((w, &g), a) in w.iter_mut().zip(g).zip(sums) {
        *a += g * g;
        *w -= lr * g / (*a + eps).sqrt();
    }
}

/// Adadelta (Zeiler, arXiv 1212.5701). `a` holds averages of squared gradients, `u` of squared steps.
pub(super) fn adadelta(
    lr: f64,
    (rho, epsilon): (f64, f64),
    w: &mut [f32],
    g: &[f32],
    (a, u): (&mut [f32], &mut [f32]),
) {
    let (lr, rho, eps) = (lr as f32, rho as f32, epsilon as f32);
    for (((w, &g), a), u) in w.iter_mut().zip(g).zip(a).zip(u) {
        *a = rho * *a + (1.0 - rho) * g * g;
        let step = (*u + eps).sqrt() * g / (*a + eps).sqrt();
        *u = rho * *u + (1.0 - rho) * step * step;
        *w -= lr * step;
    }
}

/// Adamax (Kingma and Ba, arXiv 1412.6980, section 7.1). `m` holds means, `u` the largest magnitudes.
pub(super) fn adamax(
    lr: f64,
    t: u64,
    (beta_1, beta_2, epsilon): (f64, f64, f64),
    w: &mut [f32],
    g: &[f32],
    (m, u): (&mut [f32], &mut [f32]),
) {
    let rate = (lr / (1.0 - power_of(beta_1, t))) as f32;
    let (c1, b2, eps) = ((1.0 - beta_1) as f32, beta_2 as f32, epsilon as f32);
    for (((w, &g), m), u) in w.iter_mut().zip(g).zip(m).zip(u) {
        *m += (g - *m) * c1;
        let (decayed, new) = (b2 * *u, g.abs());
        *u = if new > decayed || new.is_nan() { new } else { decayed };
        *w -= rate * *m / (*u + eps);
    }
}

/// Nadam (Dozat, 2016) with the momentum schedule of Keras. `m` holds means, `v` means of squares.
pub(super) fn nadam(
    lr: f64,
    t: u64,
    (beta_1, beta_2, epsilon): (f64, f64, f64),
    w: &mut [f32],
    g: &[f32],
    (m, v): (&mut [f32], &mut [f32]),
) {
    let momentum = |t: u64| beta_1 * (1.0 - 0.5 * power_of(0.96, t));
    let (now, next) = (momentum(t), momentum(t + 1));
    let product = product_of(momentum, t);
    let of_m = (next / (1.0 - product * next)) as f32;
    let of_g = ((1.0 - now) / (1.0 - product)) as f32;
    let of_v = (1.0 / (1.0 - power_of(beta_2, t))) as f32;
    let (lr, c1, c2, eps) = (lr as f32, (1.0 - beta_1) as f32, (1.0 - beta_2) as f32, epsilon as f32);
    for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
        *m += (g - *m) * c1;
        *v += (g * g - *v) * c2;
        *w -= lr * (of_m * *m + of_g * g) / ((*v * of_v).sqrt() + eps);
    }
}
