//! `manual FOLDER` writes the manual pages of dbcc and of its subcommands, made of what the command line says of itself.

use std::error::Error;
use std::path::PathBuf;

use clap::CommandFactory as _;
use dbcc::cli::Cli;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: manual FOLDER")?;
    std::fs::create_dir_all(&folder)?;
    clap_mangen::generate_to(Cli::command(), folder)?;
    Ok(())
}
