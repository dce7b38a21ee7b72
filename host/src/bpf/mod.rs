//! The only user of libbpf and the only door to the system calls of BPF, perf events and mounts.
//!
//! Every C object has one owner here and one `Drop`; what leaves this module is owned data and errors with a subject.
#![allow(unsafe_code, reason = "this is the boundary to libbpf and to system calls that have no safe wrapper")]

pub mod btf;
pub mod sys;
