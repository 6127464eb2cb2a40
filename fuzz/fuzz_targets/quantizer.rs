//! See [`bodies::quantizer`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::quantizer(data));
