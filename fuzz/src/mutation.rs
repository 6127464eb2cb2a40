//! Changes of an input.

use tinsmith_foundation::Rng;

/// Numbers at the edges of what types hold, as text.
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
    "1e308",
    "-0.0",
    ".nan",
];

/// Returns a copy of `seed` with a few bytes, numbers or lines changed, ranges removed, repeated or taken from another
/// seed, or truncated.
#[must_use]
pub fn changed(seed: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=rng.index(4) {
        if data.is_empty() {
            break;
        }
        // Headers are at the front, so half of the changes go there.
        let end = if rng.chance(0.5) { data.len().min(512) } else { data.len() };
        let at = rng.index(end);
        match rng.index(11) {
            0 => data[at] = 0xff,
            1 => data[at] = 0,
            2 => data[at] ^= 1 << rng.index(8),
            3 => data[at] = rng.next_u32() as u8,
            // An eight-byte number that claims too much.
            4 => {
                for byte in data.iter_mut().skip(at).take(8) {
                    *byte = if rng.chance(0.7) { 0xff } else { *byte };
                }
            }
            5 => data.truncate(at),
            6 => {
                let part = data[at..(at + 1 + rng.index(16)).min(data.len())].to_vec();
                data.splice(at..at, part);
            }
            7 | 8 => number(&mut data, at, NUMBERS[rng.index(NUMBERS.len())]),
            9 => line(&mut data, at, rng.chance(0.5)),
            _ => {
                let from = rng.index(other.len().max(1)).min(other.len());
                let part = &other[from..(from + 1 + rng.index(12)).min(other.len())];
                let until = (at + part.len()).min(data.len());
                data.splice(at..until, part.iter().copied());
            }
        }
    }
    data
}

/// Replaces the first decimal number from `at` on.
fn number(data: &mut Vec<u8>, at: usize, by: &str) {
    let Some(start) = data[at..].iter().position(u8::is_ascii_digit).map(|n| at + n) else { return };
    let length = data[start..].iter().take_while(|b| b.is_ascii_digit()).count();
    data.splice(start..start + length, by.bytes());
}

/// Removes the line around `at`, or repeats it.
fn line(data: &mut Vec<u8>, at: usize, repeat: bool) {
    let start = data[..at].iter().rposition(|&b| b == b'\n').map_or(0, |n| n + 1);
    let end = data[at..].iter().position(|&b| b == b'\n').map_or(data.len(), |n| at + n + 1);
    // Binary files have lines without end.
    if end - start < 4096 {
        let part = if repeat { data[start..end].repeat(2) } else { Vec::new() };
        data.splice(start..end, part);
    }
}
