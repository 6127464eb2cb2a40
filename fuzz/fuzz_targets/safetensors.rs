//! See [`bodies::safetensors`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::safetensors(data));
