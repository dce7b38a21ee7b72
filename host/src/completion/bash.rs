//! bash ends words at `:` and `=` too, which stand inside of attach points: its function puts them together again before it
//! asks, and hands out what is behind the last such sign.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use clap_complete::env::{self, EnvCompleter};

/// The function of bash.
const FUNCTION: &str = include_str!("bash.sh");

/// bash, as clap knows it but for its words.
pub(super) struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn is(&self, name: &str) -> bool {
        name == "bash"
    }

    fn write_registration(&self, _: &str, _: &str, _: &str, _: &str, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(FUNCTION.as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        env::Bash.write_complete(command, words, folder, to)
    }
}
