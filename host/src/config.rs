//! Validated settings, made once from the arguments.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::CommandFactory as _;

use crate::builtin;
use crate::cli::{BuildArgs, Cli, CompileArgs, RunArgs};
use crate::diag;
use crate::directive::{Attach, BufferSize, is_identifier, parse_attach, parse_duration, parse_size};
use crate::facts::{Features, TRACE_PIPE};
use crate::input::{Input, InputError};
use crate::kind;

/// How a probe is compiled, whatever is done with it then.
#[derive(Debug, Clone, Default)]
pub struct CompileSettings {
    /// Attach points given on the command line.
    pub attaches: Vec<Attach>,
    /// `-D`: names and values.
    pub defines: Vec<(String, String)>,
    /// `--attach-as`.
    pub attach_as: Option<AttachAs>,
    /// `--without`: what is treated as missing.
    pub without: Vec<String>,
    /// Say what was chosen and why.
    pub verbose: bool,
    /// Whether compiled objects are kept and reused.
    pub use_cache: bool,
    /// The kind of functions of which nothing else is said: a row of KINDS.
    pub others: Option<&'static str>,
}

/// How functions of the kernel are attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachAs {
    /// fentry and fexit, or fail.
    Fentry,
    /// kprobe and kretprobe, or fail.
    Kprobe,
}

/// How a probe is run.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// How it is compiled.
    pub compile: CompileSettings,
    /// What is run.
    pub input: Input,
    /// Processes to trace; none means all.
    pub pids: Vec<u32>,
    /// How many places a pattern may stand for.
    pub max_targets: usize,
    /// Where debug files are looked for first.
    pub debug_dirs: Vec<PathBuf>,
    /// Whether uprobes go to the first instruction, even where one behind it is as good.
    pub at_entry: bool,
    /// `--interval`, over what the probe says.
    pub interval: Option<Duration>,
    /// `--duration`.
    pub duration: Option<Duration>,
    /// `--count`.
    pub count: Option<u64>,
    /// The probe's file, where its saves are to be followed.
    pub follows: Option<PathBuf>,
    /// `--buffer`: the size of each output's buffer.
    pub buffer: Option<BufferSize>,
    /// Whether any loss is an error.
    pub strict: bool,
    /// Name of a row of RENDERERS.
    pub format: &'static str,
}

/// An argument that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The argument's words are wrong.
    #[error("{argument}: {why}")]
    Argument {
        /// Which argument.
        argument: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is nothing to run.
    #[error(transparent)]
    Input(#[from] InputError),
    /// What stands first is neither a command nor a probe.
    #[error("there is no command and no built-in probe `{name}`; did you mean `{near}`?")]
    NoCommand {
        /// What stands there.
        name: String,
        /// What is like it.
        near: String,
    },
    /// A run is of one probe.
    #[error("one run is of one probe, and `{surplus}` stands behind `{probe}`; start dbcc for each")]
    Surplus {
        /// The probe.
        probe: String,
        /// What stands behind it.
        surplus: String,
    },
    /// The id of a process where the probe is named.
    #[error("`{0}` stands where the probe is named; for several processes write --pid before each id")]
    BarePid(String),
    /// A process that does not exist.
    #[error("no process has the id {0}")]
    NoProcess(u32),
    /// The id of a thread that is not its process's first.
    #[error("{tid} is a thread of process {pid}; trace it with --pid {pid}")]
    Thread {
        /// The id as given.
        tid: u32,
        /// Its process.
        pid: u32,
    },
}

impl RunSettings {
    /// Checks the arguments of a run and reads the probe.
    ///
    /// # Errors
    /// The first argument that cannot be used, and why.
    pub fn new(args: &RunArgs) -> Result<Self, ConfigError> {
        let name = args.probe.as_deref().unwrap_or_default();
        check_words(name, &args.surplus)?;
        let pids = check_pids(&args.pid)?;
        if args.count == Some(0) {
            return Err(argument("--count", "0 records would end before the first".into()));
        }
        let input = Input::read(name)?;
        let cannot_follow = match &input {
            Input::Text(source) if source.dir.is_some() => None,
            Input::Text(_) => {
                Some(format!("`{name}` is built in, and has no file; `dbcc probes {name} > {name}.c` writes one"))
            }
            Input::Object(_) => Some(format!("`{name}` is compiled already; follow the text that it was made of")),
        };
        if let Some(why) = cannot_follow.filter(|_| args.watch) {
            return Err(argument("--watch", why));
        }
        Ok(Self {
            compile: CompileSettings::new(&args.compile)?,
            input,
            follows: args.watch.then(|| PathBuf::from(name)),
            pids,
            max_targets: args.max_targets,
            debug_dirs: args.debug_dir.clone(),
            at_entry: args.at_entry,
            interval: duration("--interval", args.interval.as_deref())?,
            duration: duration("--duration", args.duration.as_deref())?,
            count: args.count,
            buffer: args
                .buffer
                .as_deref()
                .map(|size| parse_size(size).map_err(|why| argument("--buffer", why)))
                .transpose()?,
            strict: args.strict,
            format: if args.json { "json" } else { "text" },
        })
    }
}

impl CompileSettings {
    /// Checks the arguments that are about compiling.
    ///
    /// # Errors
    /// The first argument that cannot be used, and why.
    pub fn new(args: &CompileArgs) -> Result<Self, ConfigError> {
        Ok(Self {
            attaches: attaches(&args.attach)?,
            defines: defines(&args.define)?,
            attach_as: attach_as(args.attach_as.as_deref()),
            without: args.without.clone(),
            verbose: args.verbose,
            use_cache: !args.no_cache,
            others: None,
        })
    }

    /// Those of a program that nobody of dbcc listens to: its prints go to the kernel's trace pipe. `kind` is that of functions of
    /// which nothing else is said.
    ///
    /// # Errors
    /// The first argument that cannot be used, and why.
    pub fn of_load(args: &CompileArgs, kind: Option<&str>) -> Result<Self, ConfigError> {
        let known = |name: &str| {
            let names: Vec<&str> = kind::KINDS.iter().map(|kind| kind.name()).collect();
            let why = format!("there is no kind of programs `{name}`; there are {}", names.join(", "));
            kind::by_type(name).map(|kind| kind.name()).ok_or_else(|| argument("--type", why))
        };
        let mut settings = Self { others: kind.map(known).transpose()?, ..Self::new(args)? };
        settings.defines.push((TRACE_PIPE.to_owned(), "1".to_owned()));
        Ok(settings)
    }

    /// Checks the arguments of `dbcc build`.
    ///
    /// # Errors
    /// The first argument that cannot be used, and why.
    pub fn of_build(args: &BuildArgs) -> Result<Self, ConfigError> {
        let (attaches, defines) = (attaches(&args.attach)?, defines(&args.define)?);
        Ok(Self { attaches, defines, verbose: args.verbose, ..Self::default() })
    }

    /// What the kernel offers, less what `--without` takes away.
    pub fn limit(&self, mut features: Features) -> Features {
        features.kprobe &= !self.lacks("kprobe");
        features.fentry &= !self.lacks("fentry");
        features.uprobe &= !self.lacks("uprobe");
        features.ringbuf &= !self.lacks("ringbuf");
        features.tracepoint &= !self.lacks("tracepoint");
        features
    }

    /// Whether `--without` takes this feature away.
    pub fn lacks(&self, feature: &str) -> bool {
        self.without.iter().any(|given| given == feature)
    }
}

/// How many processes one run can trace: the size of the filter in the program's read-only data.
pub const MAX_PIDS: usize = 64;

fn argument(argument: &str, why: String) -> ConfigError {
    ConfigError::Argument { argument: argument.to_owned(), why }
}

/// Checks what stands without an option.
fn check_words(probe: &str, surplus: &[String]) -> Result<(), ConfigError> {
    let is_probe = probe.contains(['/', '.']) || builtin::find(probe).is_some() || Path::new(probe).is_file();
    match surplus.first() {
        Some(surplus) if is_probe => {
            return Err(ConfigError::Surplus { probe: probe.to_owned(), surplus: surplus.clone() });
        }
        Some(_) if probe.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err(ConfigError::BarePid(probe.to_owned()));
        }
        _ if is_probe => return Ok(()),
        _ => {}
    }
    let cli = Cli::command();
    let commands = cli.get_subcommands().filter(|command| !command.is_hide_set()).map(clap::Command::get_name);
    let names = commands.chain(builtin::all().into_iter().map(|probe| probe.name));
    match diag::nearest(probe, names) {
        Some(near) => Err(ConfigError::NoCommand { name: probe.to_owned(), near: near.to_owned() }),
        // What there is instead, reading the probe tells.
        None => Ok(()),
    }
}

fn attaches(given: &[String]) -> Result<Vec<Attach>, ConfigError> {
    let attach = |text: &String| {
        let attach = parse_attach(text).map_err(|why| argument("--attach", why))?;
        Ok(Attach { argument: Some(text.clone()), ..attach })
    };
    given.iter().map(attach).collect()
}

fn defines(given: &[String]) -> Result<Vec<(String, String)>, ConfigError> {
    given
        .iter()
        .map(|text| {
            let (name, value) = text.split_once('=').unwrap_or((text, "1"));
            if !is_identifier(name) {
                let why = format!("`{name}` is no name of a macro; write NAME or NAME=VALUE");
                return Err(argument("-D", why));
            }
            if value.contains(['\n', '\r', '\0']) {
                return Err(argument("-D", format!("the value of `{name}` has a line end")));
            }
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

fn attach_as(given: Option<&str>) -> Option<AttachAs> {
    match given {
        Some("fentry") => Some(AttachAs::Fentry),
        Some("kprobe") => Some(AttachAs::Kprobe),
        _ => None,
    }
}

fn duration(name: &str, given: Option<&str>) -> Result<Option<Duration>, ConfigError> {
    given.map(|text| parse_duration(text).map_err(|why| argument(name, why))).transpose()
}

/// Checks process ids; one that is given twice is meant once.
///
/// # Errors
/// The first that is no process, or that there are too many.
pub fn check_pids(given: &[u32]) -> Result<Vec<u32>, ConfigError> {
    let mut pids = Vec::new();
    for pid in given {
        check_process(*pid)?;
        if !pids.contains(pid) {
            pids.push(*pid);
        }
    }
    if pids.len() > MAX_PIDS {
        let why = format!("{} processes; at most {MAX_PIDS} can be traced at once", pids.len());
        return Err(argument("--pid", why));
    }
    Ok(pids)
}

fn check_process(pid: u32) -> Result<(), ConfigError> {
    let status = PathBuf::from(format!("/proc/{pid}/status"));
    let Ok(text) = std::fs::read_to_string(status) else { return Err(ConfigError::NoProcess(pid)) };
    let tgid = text.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse::<u32>().ok());
    match tgid {
        Some(tgid) if tgid != pid => Err(ConfigError::Thread { tid: pid, pid: tgid }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_id_is_no_process() {
        let (send, receive) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let link = std::fs::read_link("/proc/thread-self").unwrap();
            send.send(link.file_name().unwrap().to_str().unwrap().parse::<u32>().unwrap()).unwrap();
            let _ = ended.recv();
        });
        let tid = receive.recv().unwrap();
        let error = check_process(tid).unwrap_err().to_string();
        drop(end);
        thread.join().unwrap();
        assert_eq!(error, format!("{tid} is a thread of process {0}; trace it with --pid {0}", std::process::id()));
        check_process(std::process::id()).unwrap();
        assert!(matches!(check_process(u32::MAX), Err(ConfigError::NoProcess(_))));
    }

    #[test]
    fn defines_have_names_and_values() {
        let given = ["A".to_owned(), "B=2 + 3".to_owned(), "C=".to_owned()];
        let read = defines(&given).unwrap();
        assert_eq!(read[0], ("A".into(), "1".into()));
        assert_eq!(read[1], ("B".into(), "2 + 3".into()));
        assert_eq!(read[2], ("C".into(), String::new()));
        assert!(defines(&["3x=1".to_owned()]).is_err());
    }
}
