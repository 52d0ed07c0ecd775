#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ray_fuzz::frames(bytes));
