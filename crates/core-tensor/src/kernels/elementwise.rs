//! Functions of one element, and their gradients.

use super::dispatch::multiversion;
use super::split;

/// Elements that one block of work takes.
const BLOCK: usize = 1 << 15;

/// `out[i] = f(x[i])`.
pub fn map<F: Fn(f32) -> f32 + Sync>(out: &mut [f32], x: &[f32], f: F, threads: usize) {
    let threads = split::useful(threads, x.len() * split::ELEMENT);
    split::for_chunks(threads, out, BLOCK, |i, out| map_block(out, &x[i * BLOCK..][..out.len()], &f));
}

/// `dx[i] = f(dy[i], x[i])`.
pub fn zip<F: Fn(f32, f32) -> f32 + Sync>(dx: &mut [f32], dy: &[f32], x: &[f32], f: F, threads: usize) {
    let threads = split::useful(threads, x.len() * split::ELEMENT);
    split::for_chunks(threads, dx, BLOCK, |i, dx| {
        let range = i * BLOCK..i * BLOCK + dx.len();
        zip_block(dx, &dy[range.clone()], &x[range], &f);
    });
}

/// `out[r, c] = f(x[r, c], values[c])`; with one value it is every element's.
pub fn map_channels<F: Fn(f32, f32) -> f32 + Sync>(
    out: &mut [f32],
    x: &[f32],
    values: &[f32],
    f: F,
    threads: usize,
) {
    if let &[v] = values {
        return map(out, x, |x| f(x, v), threads);
    }
    let threads = split::useful(threads, x.len() * split::ELEMENT);
    let block = rows_of(values.len());
    split::for_chunks(threads, out, block, |i, out| {
        map_channels_block(out, &x[i * block..][..out.len()], values, &f);
    });
}

/// `dx[r, c] = f(dy[r, c], x[r, c], values[c])`; with one value it is every element's.
pub fn zip_channels<F: Fn(f32, f32, f32) -> f32 + Sync>(
    dx: &mut [f32],
    dy: &[f32],
    x: &[f32],
    values: &[f32],
    f: F,
    threads: usize,
) {
    if let &[v] = values {
        return zip(dx, dy, x, |dy, x| f(dy, x, v), threads);
    }
    let threads = split::useful(threads, x.len() * split::ELEMENT);
    let block = rows_of(values.len());
    split::for_chunks(threads, dx, block, |i, dx| {
        let range = i * block..i * block + dx.len();
        zip_channels_block(dx, &dy[range.clone()], &x[range], values, &f);
    });
}

/// `sums[c] = sum over r of f(dy[r, c], x[r, c], values[c])`; with one value the sum is over all elements.
pub fn sum_channels<F: Fn(f32, f32, f32) -> f32 + Sync>(
    sums: &mut [f32],
    dy: &[f32],
    x: &[f32],
    values: &[f32],
    f: F,
    threads: usize,
) {
    let threads = split::useful(threads, x.len() * split::ELEMENT);
    let block = if values.len() == 1 { 4096 } else { 256 * values.len().max(1) };
    split::reduce(threads, x.len().div_ceil(block), sums, |i, sums| {
        let range = i * block..((i + 1) * block).min(x.len());
        let (dy, x) = (&dy[range.clone()], &x[range]);
        match values {
            &[v] => {
                // Sixteen running sums make vector code of it.
                let mut lanes = [0.0_f32; 16];
                lane_sums(&mut lanes, dy, x, v, &f);
                sums[0] += lanes.iter().sum::<f32>();
            }
            _ => sum_channels_block(sums, dy, x, values, &f),
        }
    });
}

/// Elements of whole rows near [`BLOCK`].
fn rows_of(channels: usize) -> usize {
    (BLOCK / channels.max(1)).max(1) * channels.max(1)
}

multiversion! {
    fn map_block<{F: Fn(f32) -> f32}>(out: &mut [f32], x: &[f32], f: &F) {
        for (y, &x) in out.iter_mut().zip(x) {
            *y = f(x);
        }
    }
}

multiversion! {
    fn zip_block<{F: Fn(f32, f32) -> f32}>(dx: &mut [f32], dy: &[f32], x: &[f32], f: &F) {
        for ((dx, &dy), &x) in dx.iter_mut().zip(dy).zip(x) {
            *dx = f(dy, x);
        }
    }
}

multiversion! {
    fn map_channels_block<{F: Fn(f32, f32) -> f32}>(out: &mut [f32], x: &[f32], values: &[f32], f: &F) {
        let c = values.len();
        for (out, x) in out.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
            for ((y, &x), &v) in out.iter_mut().zip(x).zip(values) {
                *y = f(x, v);
            }
        }
    }
}

multiversion! {
    fn zip_channels_block<{F: Fn(f32, f32, f32) -> f32}>(
        dx: &mut [f32], dy: &[f32], x: &[f32], values: &[f32], f: &F,
    ) {
        let c = values.len();
        for ((dx, dy), x) in dx.chunks_exact_mut(c).zip(dy.chunks_exact(c)).zip(x.chunks_exact(c)) {
            for (((dx, &dy), &x), &v) in dx.iter_mut().zip(dy).zip(x).zip(values) {
                *dx = f(dy, x, v);
            }
        }
    }
}

multiversion! {
    fn sum_channels_block<{F: Fn(f32, f32, f32) -> f32}>(
        sums: &mut [f32], dy: &[f32], x: &[f32], values: &[f32], f: &F,
    ) {
        let c = values.len();
        for (dy, x) in dy.chunks_exact(c).zip(x.chunks_exact(c)) {
            for (((sum, &dy), &x), &v) in sums.iter_mut().zip(dy).zip(x).zip(values) {
                *sum += f(dy, x, v);
            }
        }
    }
}

multiversion! {
    fn lane_sums<{F: Fn(f32, f32, f32) -> f32}>(lanes: &mut [f32; 16], dy: &[f32], x: &[f32], v: f32, f: &F) {
        let (dys, xs) = (dy.chunks_exact(16), x.chunks_exact(16));
        let (dy_rest, x_rest) = (dys.remainder(), xs.remainder());
        for (dy, x) in dys.zip(xs) {
            for ((lane, &dy), &x) in lanes.iter_mut().zip(dy).zip(x) {
                *lane += f(dy, x, v);
            }
        }
        for ((lane, &dy), &x) in lanes.iter_mut().zip(dy_rest).zip(x_rest) {
            *lane += f(dy, x, v);
        }
    }
}
