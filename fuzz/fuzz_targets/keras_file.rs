//! See [`bodies::keras_file`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::keras_file(data));
