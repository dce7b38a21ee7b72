//! `dbcc new`: writes a probe file that compiles as it is, with the arguments of the places that it probes.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::NewArgs;
use crate::config::check_pids;
use crate::kernel::Kernel;
use crate::lookup::Lookup;
use crate::pipeline::Failure;
use crate::resolve::{Asked, Finder};

mod fields;
mod place;
mod text;

use place::{Place, Places};

/// Why a probe cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Wrong {
    message: String,
    notes: Vec<String>,
    help: Option<String>,
}

impl Wrong {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), notes: Vec::new(), help: None }
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::escape::harmless(&self.message))?;
        self.notes.iter().try_for_each(|note| write!(f, "\n  note: {}", crate::escape::harmless(note)))?;
        self.help.iter().try_for_each(|help| write!(f, "\n  help: {}", crate::escape::harmless(help)))
    }
}

/// Writes the probe to its file, or to `out` where that is asked for, and says on `err` what is to be known.
///
/// # Errors
/// When a place is not there or is several, the file is there already, or it cannot be written.
pub fn run(args: &NewArgs, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Failure> {
    let file = file(args).map_err(unusable)?;
    let (text, notes) = draft(args).map_err(unusable)?;
    for note in notes {
        writeln!(err, "dbcc: {}", crate::escape::harmless(&note))?;
    }
    let Some(file) = file else {
        out.write_all(text.as_bytes())?;
        return Ok(out.flush()?);
    };
    write(&file, &text, args.force).map_err(unusable)?;
    let shown = file.display();
    let pid = args.pid.map(|pid| format!("--pid {pid} ")).unwrap_or_default();
    writeln!(out, "wrote {shown}; run it: dbcc {pid}{shown}")?;
    Ok(())
}

/// The text of the probe, and what is to be known of its places.
///
/// # Errors
/// When a place is not there, or its name is that of several.
pub fn draft(args: &NewArgs) -> Result<(String, Vec<String>), Wrong> {
    let pids = check_pids(args.pid.as_slice()).map_err(|error| Wrong::new(error.to_string()))?;
    let given = args.places();
    if given.is_empty() {
        return Err(Wrong::new("no place to probe is named")
            .help("give one or several, such as --uprobe mysqld:dispatch_command, --kprobe tcp_sendmsg, --tracepoint sched:sched_switch"));
    }
    let kernel = Kernel::new();
    let lookup = Lookup::new(&args.debug_dir, !args.no_cache);
    let asked = Asked { pids: &pids, most: 1, at_entry: false, lookup: &lookup };
    let binary = args.binary.as_deref();
    let mut places = Places::new(Finder::new(&asked, binary, &kernel), &kernel, binary);
    let mut found: Vec<Place> = Vec::new();
    for (kind, target) in given {
        let place = places.look_up(kind, target)?;
        // What is named twice is meant once.
        if !found.contains(&place) {
            found.push(place);
        }
    }
    let mut notes: Vec<String> = found.iter().flat_map(|place| place.notes.iter().cloned()).collect();
    notes.dedup();
    Ok((text::probe(&args.name, &found), notes))
}

/// Where it is to be written; none is standard output.
fn file(args: &NewArgs) -> Result<Option<PathBuf>, Wrong> {
    let good = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    let name = &args.name;
    if name.is_empty() || name.starts_with(['-', '.']) || !name.chars().all(good) {
        return Err(Wrong::new(format!(
            "`{name}` is no name for a probe: letters, digits, `_`, `-` and `.` may be in it"
        ))
        .help("give the folder with -o, as in -o /tmp/NAME.c"));
    }
    match &args.output {
        Some(path) if path == Path::new("-") => Ok(None),
        Some(path) => Ok(Some(path.clone())),
        None => Ok(Some(PathBuf::from(format!("{name}.c")))),
    }
}

fn write(file: &Path, text: &str, force: bool) -> Result<(), Wrong> {
    let mut options = OpenOptions::new();
    options.write(true);
    let _ = if force { options.create(true).truncate(true) } else { options.create_new(true) };
    let written = options.open(file).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Wrong::new(format!("`{}` is there already", file.display()))
            .help("give --force to write over it, or another name"),
        _ => Wrong::new(format!("cannot write `{}`: {error}", file.display())),
    })
}

fn unusable(wrong: Wrong) -> Failure {
    Failure::Unusable(wrong.into())
}
