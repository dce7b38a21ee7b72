//! Untrusted bytes for symres: how inputs are made into files, and what is done with them. `ci/fuzz-symres` builds this for
//! libFuzzer and runs it; the rows and the inputs themselves need no fuzzer.

pub mod image;
pub mod index;
pub mod mutate;
pub mod target;

/// The environment variable with the name of the target to run.
pub const TARGET_VARIABLE: &str = "SYMRES_FUZZ_TARGET";
