//! The targets for libFuzzer: `SYMRES_FUZZ_TARGET=NAME symres-fuzz …`, see `ci/fuzz-symres`.
#![no_main]
#![allow(unsafe_code, reason = "what libFuzzer calls has a fixed name, and its macros export it")]

use std::sync::OnceLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use symres_fuzz::target::{Target, find};
use symres_fuzz::{TARGET_VARIABLE, mutate};

static TARGET: OnceLock<&Target> = OnceLock::new();

fn target() -> &'static Target {
    TARGET.get_or_init(|| {
        let name = std::env::var(TARGET_VARIABLE).unwrap_or_default();
        find(&name).unwrap_or_else(|| panic!("{TARGET_VARIABLE}: there is no target `{name}`"))
    })
}

fuzz_target!(|input: &[u8]| (target().run)(input));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    // Ordinary changes to the whole now and then: they bring crossing with other inputs.
    if !target().parts || seed % 16 == 15 {
        return fuzzer_mutate(data, size, max_size);
    }
    let input = data.get(..size).unwrap_or_default();
    let output = mutate::mutate(input, max_size, seed / 16, |bytes, most| {
        let mut buffer = bytes.to_vec();
        buffer.resize(most.max(bytes.len()), 0);
        let len = fuzzer_mutate(&mut buffer, bytes.len(), most);
        buffer.truncate(len);
        buffer
    });
    let len = output.len().min(data.len());
    for (to, from) in data.iter_mut().zip(output) {
        *to = from;
    }
    len
});
