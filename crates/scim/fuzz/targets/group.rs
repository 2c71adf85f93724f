//! [`scim_fuzz::group`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scim_fuzz::group(data));
