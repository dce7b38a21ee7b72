//! Shared parts of the tests that run `dbcc` from outside: what a test needs of the machine ([`mod@need`]), real database
//! servers ([`server`]), a client that counts its bytes ([`client`], [`load`]), and running programs with deadlines
//! ([`process`], [`dbcc`]).
//!
//! A test returns [`anyhow::Result`]. What it cannot do without it asks for with [`need!`]; where the machine does not
//! have it, the test is reported as skipped, or fails where `CI=true`.

pub mod bpffs;
pub mod burst;
pub mod client;
pub mod dbcc;
pub mod doctor;
pub mod fuzz;
pub mod guest;
pub mod hooks;
pub mod kinds;
pub mod listed;
pub mod listing;
pub mod load;
pub mod meaning;
pub mod need;
pub mod objects;
pub mod postgres;
pub mod process;
pub mod scenario;
pub mod senders;
pub mod server;
pub mod sites;
pub mod swapped;
pub mod watch;
pub mod written;

/// Takes a `Result<T, need::Skip>`: gives the value, or ends the test as skipped.
///
/// The test's function must return [`anyhow::Result<()>`](anyhow::Result); where `CI=true` and the thing is required, it
/// fails.
#[macro_export]
macro_rules! need {
    ($need:expr) => {
        match $need {
            Ok(value) => value,
            Err(skip) => return $crate::need::Skip::report(skip),
        }
    };
}
