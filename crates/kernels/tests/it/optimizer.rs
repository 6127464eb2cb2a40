//! Optimizer kernels against the rules, applied to one element at a time.

use tinsmith_kernels::optimizer::{
    Adam, Rmsprop, Terms, adam, lion, rmsprop, sgd, sgd_momentum, squared_norm,
};

use crate::reference::{normal, on_every_path};

/// Weight, gradient and up to three state values.
type Element = (f32, f32, [f32; 3]);

/// Compares steps of a kernel over slices with the rule for single elements, on all paths and numbers of threads.
#[track_caller]
fn check(
    what: &str,
    terms: &Terms<'_>,
    kernel: impl Fn(&mut [f32], &[f32], [&mut [f32]; 3], &Terms<'_>, usize),
    rule: impl Fn(Element) -> (f32, [f32; 3]),
) {
    for n in [1, 15, 16, 100, 5000, 70_001] {
        let part = |mask: Option<&'static [f32]>| mask.map(|mask| &mask[..n]);
        let masks = (terms.prune.map(|_| mask(1, 3)), terms.update.map(|_| mask(2, 4)));
        let terms = Terms { prune: part(masks.0), update: part(masks.1), ..*terms };
        let (start, gradients) = (normal(1, n), [normal(2, n), normal(3, n), normal(4, n)]);
        let mut want: Vec<(f32, [f32; 3])> = start.iter().map(|&w| (w, [0.0; 3])).collect();
        for g in &gradients {
            for (i, (w, state)) in want.iter_mut().enumerate() {
                let open = |mask: Option<&[f32]>| mask.is_none_or(|mask| mask[i] != 0.0);
                let sign = if *w == 0.0 { 0.0 } else { w.signum() };
                let mut g = if terms.l1 == 0.0 && terms.l2 == 0.0 {
                    g[i]
                } else {
                    g[i] + (terms.l1 * sign + terms.l2 * *w)
                };
                if !open(terms.prune) || !open(terms.update) {
                    g = 0.0;
                }
                let g = (g * terms.scale).clamp(-terms.limit, terms.limit);
                let (new, slots) = rule((*w - *w * terms.decay, g, *state));
                (*w, *state) = (if open(terms.update) { new } else { *w }, slots);
                if !open(terms.prune) {
                    (*w, *state) = (0.0, [0.0; 3]);
                }
            }
        }
        on_every_path(|set| {
            for threads in [1, 2, 3] {
                let mut w = start.clone();
                let mut slots = [vec![0.0; n], vec![0.0; n], vec![0.0; n]];
                for g in &gradients {
                    kernel(&mut w, g, slots.each_mut().map(Vec::as_mut_slice), &terms, threads);
                }
                for (i, want) in want.iter().enumerate() {
                    let got = (w[i], [slots[0][i], slots[1][i], slots[2][i]]);
                    assert_eq!(got, *want, "{what}, element {i} of {n}, {set:?}, {threads} threads");
                }
            }
        });
    }
}

/// A mask that is 0 at every `step`-th element, as long as the longest block.
fn mask(first: usize, step: usize) -> &'static [f32] {
    let mask: Vec<f32> = (0..70_001).map(|i| if i % step == first { 0.0 } else { 1.0 }).collect();
    mask.leak()
}

fn all_terms() -> [Terms<'static>; 4] {
    let plain = Terms::default();
    let (prune, update) = (Some(mask(1, 3)), Some(mask(2, 4)));
    [
        plain,
        Terms { scale: 0.5, limit: 0.3, decay: 0.01, ..plain },
        Terms { l1: 0.01, l2: 0.02, prune, ..plain },
        Terms { l2: 0.02, scale: 0.7, decay: 0.03, prune, update, ..plain },
    ]
}

#[test]
fn rules_agree_with_single_elements() {
    for terms in &all_terms() {
        check("sgd", terms, |w, g, _, terms, n| sgd(w, g, 0.1, terms, n), |(w, g, s)| (w - 0.1 * g, s));
        for nesterov in [false, true] {
            let kernel = |w: &mut [f32], g: &[f32], [v, _, _]: [&mut [f32]; 3], terms: &Terms<'_>, n| {
                sgd_momentum(w, g, v, (0.1, 0.9, nesterov), terms, n);
            };
            check("momentum", terms, kernel, |(w, g, [v, a, b])| {
                let v = 0.9 * v - 0.1 * g;
                (w + if nesterov { 0.9 * v - 0.1 * g } else { v }, [v, a, b])
            });
        }
        let constants = Adam { rate: 0.01, rest_1: 0.1, rest_2: 0.001, epsilon: 1e-7 };
        let moments = |g: f32, m: f32, v: f32| (m + (g - m) * 0.1, v + (g * g - v) * 0.001);
        let kernel = |w: &mut [f32], g: &[f32], [m, v, _]: [&mut [f32]; 3], terms: &Terms<'_>, n| {
            adam(w, g, (m, v, &mut []), constants, terms, n);
        };
        check("adam", terms, kernel, |(w, g, [m, v, a])| {
            let (m, v) = moments(g, m, v);
            (w - 0.01 * m / (v.sqrt() + 1e-7), [m, v, a])
        });
        let kernel = |w: &mut [f32], g: &[f32], [m, v, top]: [&mut [f32]; 3], terms: &Terms<'_>, n| {
            adam(w, g, (m, v, top), constants, terms, n);
        };
        check("amsgrad", terms, kernel, |(w, g, [m, v, top])| {
            let (m, v) = moments(g, m, v);
            let top = top.max(v);
            (w - 0.01 * m / (top.sqrt() + 1e-7), [m, v, top])
        });
        let constants = Rmsprop { rate: 0.01, rho: 0.9, momentum: 0.8, epsilon: 1e-7 };
        let kernel = |w: &mut [f32], g: &[f32], [v, _, _]: [&mut [f32]; 3], terms: &Terms<'_>, n| {
            rmsprop(w, g, (v, &mut []), constants, terms, n);
        };
        let square = |g: f32, v: f32| 0.9 * v + (1.0 - 0.9) * g * g;
        check("rmsprop", terms, kernel, |(w, g, [v, a, b])| {
            let v = square(g, v);
            (w - 0.01 * g / (v + 1e-7).sqrt(), [v, a, b])
        });
        let kernel = |w: &mut [f32], g: &[f32], [v, m, _]: [&mut [f32]; 3], terms: &Terms<'_>, n| {
            rmsprop(w, g, (v, m), constants, terms, n);
        };
        check("rmsprop with momentum", terms, kernel, |(w, g, [v, m, a])| {
            let v = square(g, v);
            let m = 0.8 * m + 0.01 * g / (v + 1e-7).sqrt();
            (w - m, [v, m, a])
        });
        let kernel = |w: &mut [f32], g: &[f32], [m, _, _]: [&mut [f32]; 3], terms: &Terms<'_>, n| {
            lion(w, g, m, (0.01, 0.9, 0.99), terms, n);
        };
        check("lion", terms, kernel, |(w, g, [m, a, b])| {
            let direction = 0.9 * m + (1.0 - 0.9) * g;
            let change = if direction == 0.0 { 0.0 } else { 0.01 * direction.signum() };
            (w - change, [0.99 * m + (1.0 - 0.99) * g, a, b])
        });
    }
}

#[test]
fn norms_are_of_penalized_and_masked_gradients() {
    for n in [1, 17, 8192, 70_001] {
        let (w, g) = (normal(1, n), normal(2, n));
        let terms =
            Terms { l2: 0.5, scale: 3.0, limit: 0.1, prune: Some(&mask(1, 3)[..n]), ..Terms::default() };
        let kept = |i: usize| f64::from(if i % 3 == 1 { 0.0 } else { g[i] + 0.5 * w[i] });
        let want: f64 = (0..n).map(|i| kept(i) * kept(i)).sum();
        on_every_path(|_| {
            let one = squared_norm(&g, &w, &terms, 1);
            assert!((one - want).abs() <= 1e-6 * want, "{one} for {want}");
            for threads in [2, 3] {
                assert_eq!(squared_norm(&g, &w, &terms, threads).to_bits(), one.to_bits());
            }
        });
    }
}

/// Updates weights with gradients and one state slice.
type Kernel<'a> = &'a dyn Fn(&mut [f32], &[f32], &mut [f32]);

#[test]
fn nan_is_not_hidden() {
    let terms = Terms { limit: 1.0, ..Terms::default() };
    let run = |kernel: Kernel<'_>| {
        let (mut w, mut m) = (vec![1.0; 3], vec![0.0; 3]);
        kernel(&mut w, &[0.5, f32::NAN, 0.5], &mut m);
        assert!(w[1].is_nan() && w[0].is_finite() && w[2].is_finite());
    };
    run(&|w, g, _| sgd(w, g, 0.1, &terms, 1));
    run(&|w, g, m| lion(w, g, m, (0.1, 0.9, 0.99), &terms, 1));
    run(&|w, g, m| {
        let constants = Adam { rate: 0.01, rest_1: 0.1, rest_2: 0.001, epsilon: 1e-7 };
        adam(w, g, (m, &mut [0.0; 3], &mut []), constants, &terms, 1);
    });
}

#[test]
fn state_that_moves_nothing_ends_at_zero() {
    let constants = Adam { rate: 1e-3, rest_1: 0.1, rest_2: 0.001, epsilon: 1e-7 };
    on_every_path(|set| {
        let n = 40;
        let (mut w, mut m, mut v) = (normal(1, n), vec![0.0; n], vec![0.0; n]);
        let mut speed = vec![0.0; n];
        let mut exact: Vec<(f64, f64, f64)> = w.iter().map(|&w| (f64::from(w), 0.0, 0.0)).collect();
        for step in 0..80_000 {
            let g = if step < 10 { normal(2 + step, n) } else { vec![0.0; n] };
            adam(&mut w, &g, (&mut m, &mut v, &mut []), constants, &Terms::default(), 1);
            sgd_momentum(&mut w.clone(), &g, &mut speed, (1e-3, 0.9, false), &Terms::default(), 1);
            for ((w, m, v), g) in exact.iter_mut().zip(g) {
                let g = f64::from(g);
                *m += (g - *m) * 0.1;
                *v += (g * g - *v) * 0.001;
                *w -= 1e-3 * *m / (v.sqrt() + 1e-7);
            }
            let smallest = m.iter().chain(&v).chain(&speed).find(|x| x.is_subnormal());
            assert_eq!(smallest, None, "{set:?}, step {step}");
        }
        assert!(m.iter().chain(&v).chain(&speed).all(|&x| x == 0.0), "{set:?}");
        for (w, (exact, ..)) in w.iter().zip(exact) {
            assert!((f64::from(*w) - exact).abs() < 1e-5, "{set:?}: {w}, want {exact}");
        }
    });
}
