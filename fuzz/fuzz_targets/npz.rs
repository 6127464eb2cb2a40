//! See [`bodies::npz`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::npz(data));
