//! Values computed from random words, one word each.

use super::dispatch::multiversion;

multiversion! {
    /// Sets `out[i]` to `f(words[i])`, up to the length of the shorter slice.
    pub fn map_words<{F: Fn(u64) -> f32}>(out: &mut [f32], words: &[u64], f: F) {
        for (out, word) in out.iter_mut().zip(words) {
            *out = f(*word);
        }
    }
}

multiversion! {
    /// Like [`map_words`]; sets bit `i % 64` of `flags[i / 64]` if `flag(words[i])`. Bits that are set already stay set.
    pub fn map_words_flagged<{F: Fn(u64) -> f32, P: Fn(u64) -> bool}>(
        out: &mut [f32], words: &[u64], flags: &mut [u64], f: F, flag: P,
    ) {
        for ((out, words), flags) in out.chunks_mut(64).zip(words.chunks(64)).zip(flags) {
            for (i, (out, word)) in out.iter_mut().zip(words).enumerate() {
                *out = f(*word);
                *flags |= u64::from(flag(*word)) << i;
            }
        }
    }
}
