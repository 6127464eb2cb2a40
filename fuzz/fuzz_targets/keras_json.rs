//! See [`bodies::keras_json`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::keras_json(data));
