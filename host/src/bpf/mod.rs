//! The only user of libbpf and the only door to the system calls of BPF, perf events and mounts.
//!
//! Every C object has one owner here and one `Drop`. An object's phases are types: [`OpenObject`], then [`Object`].
//! What leaves this module is owned data, handles that are safe to use from any thread, and errors with a subject.
//!
//! libbpf reports details by a process-wide print function. It is set here, once; what it is given is added to the
//! error of the call that caused it and never printed (see [`errno`]).
#![allow(unsafe_code, reason = "this is the boundary to libbpf and to system calls that have no safe wrapper")]

pub mod btf;
pub mod code;
pub mod counter;
pub mod dispatcher;
pub mod errno;
pub mod inventory;
pub mod iter;
pub mod link;
mod log;
pub mod map;
pub mod memory;
pub mod multi;
pub mod object;
pub mod perf;
pub mod perf_event;
pub mod pin;
pub mod program;
pub mod ring;
pub mod sink;
pub mod statistics;
pub mod switch;
pub mod sys;
pub mod tc;
pub mod test_run;
#[cfg(test)]
pub(crate) mod testing;
pub mod trial;
pub mod usdt;

pub use errno::Error;
pub use link::Link;
pub use map::Map;
pub use object::{Object, OpenObject};
pub use program::Program;
