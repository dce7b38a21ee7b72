//! The dbcc library: the pipeline from a probe in C to what comes out of it.
//!
//! Each stage takes what the earlier stages made by shared reference and returns one owned value; a stage imports the
//! types of earlier stages and never those of later ones. ARCHITECTURE.md holds the map.

pub mod attach;
pub mod bpf;
pub mod build;
pub mod built;
pub mod builtin;
pub mod cache;
pub mod carry;
pub mod check;
pub mod child;
pub mod clang;
pub mod cli;
pub mod compile;
pub mod config;
pub mod decode;
pub mod diag;
pub mod directive;
pub mod doctor;
pub mod elf;
mod escape;
pub mod event;
pub mod facts;
pub mod foreign;
pub mod frontend;
pub mod gate;
pub mod include;
pub mod input;
pub mod kept;
pub mod kernel;
pub mod kind;
pub mod lex;
pub mod linemap;
pub mod lint;
pub mod load;
pub mod loading;
pub mod lookup;
pub mod output;
pub mod pipeline;
pub mod prototype;
pub mod ps;
pub mod render;
pub mod resolve;
pub mod rewrite;
pub mod run_once;
pub mod saves;
pub mod session;
pub mod source;
pub mod symbols;
pub mod template;
pub mod toolchain;
pub mod trace;
pub mod types;
pub mod unpin;
pub mod verifier;
pub mod watch;
