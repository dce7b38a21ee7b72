//! `dbcc load`: programs into the kernel, where they stay without this process: pinned, and attached if that is asked for.

use std::io::Write;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::attach::{self, Attached};
use crate::bpf::inventory::{self, ObjectKind};
use crate::bpf::pin;
use crate::cli::LoadArgs;
use crate::config::CompileSettings;
use crate::diag;
use crate::input::Input;
use crate::kernel::mounts::Mountable;
use crate::kernel::{Kernel, capability};
use crate::kind::Target;
use crate::load::{self, Loaded};
use crate::lookup::Lookup;
use crate::pipeline::{self, Failure, Prepared};
use crate::resolve;

/// How many places a pattern may stand for.
const MOST_TARGETS: usize = 1000;

/// Loads and pins. What was pinned is taken away again when something fails.
///
/// # Errors
/// When the file cannot be compiled or loaded, something cannot be attached or pinned, or output cannot be written.
pub fn run(args: &LoadArgs, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Failure> {
    let settings = CompileSettings::of_load(&args.compile, args.kind.as_deref())?;
    for path in [Some(args.pin.as_path()), args.pin_maps.as_deref()].into_iter().flatten() {
        check_place(path)?;
    }
    let attaches = args.attach_all || !settings.attaches.is_empty();
    let kernel = Kernel::new();
    let prepared = prepare(&args.file, &settings, &kernel, err)?;
    let loaded = load(&prepared, &settings, &kernel, attaches, true)?;
    let names: Vec<String> = loaded.programs().iter().map(|program| program.function.clone()).collect();
    let place = Place::new(&args.pin, names.len());
    let mut pinned = Vec::new();
    let done = pin_all(args, &place, loaded, &kernel, attaches, &mut pinned);
    if done.is_err() {
        for path in &pinned {
            // It is ours, and was made a moment ago.
            std::fs::remove_file(path).ok();
        }
    }
    done?;
    for path in &pinned {
        show(path, args.json, out)?;
    }
    Ok(())
}

/// Compiles a file, or reads an object, and says what the compiler warns of.
pub(crate) fn prepare(
    file: &str,
    settings: &CompileSettings,
    kernel: &Kernel,
    err: &mut dyn Write,
) -> Result<Prepared, Failure> {
    let missing = capability::missing();
    if !missing.is_empty() {
        let missing = missing.join(" and ");
        return Err(Failure::Unusable(anyhow::anyhow!(
            "loading needs {missing}, which this process lacks; run it as root"
        )));
    }
    let input = Input::read(file)?;
    let prepared = pipeline::prepare(&input, settings, kernel, || settings.limit(kernel.features()))?;
    err.write_all(diag::render_all(&prepared.compiled.warnings, &prepared.source, false).as_bytes())?;
    Ok(prepared)
}

/// Loads all programs of what was compiled; where they are to be attached, for their targets.
pub(crate) fn load(
    prepared: &Prepared,
    settings: &CompileSettings,
    kernel: &Kernel,
    attaches: bool,
    shares_maps: bool,
) -> Result<Loaded, Failure> {
    let Prepared { source, directives, compiled, .. } = prepared;
    let facts = &compiled.facts;
    if facts.programs.is_empty() {
        let message = format!("{}: no function is a program; say what they are by --type", source.name);
        return Err(Failure::Run(anyhow::anyhow!(message)));
    }
    if let Some(unknown) = facts.programs.iter().find(|program| program.kind.is_empty()) {
        let message = format!("{}: nothing says what `{}` is; say so by --type", source.name, unknown.function);
        return Err(Failure::Run(anyhow::anyhow!(message)));
    }
    let mut targets: Vec<Vec<Target>> = vec![Vec::new(); facts.programs.len()];
    if attaches {
        let lookup = Lookup::new(&[], settings.use_cache);
        let asked = resolve::Asked { pids: &[], most: MOST_TARGETS, at_entry: false, lookup: &lookup };
        let plan = resolve::resolve(facts, directives, &asked, kernel)
            .map_err(|diagnostics| Failure::Probe { source: source.clone(), diagnostics })?;
        for planned in plan.programs {
            if let Some(own) = targets.get_mut(planned.fact) {
                *own = planned.targets;
            }
        }
        if let Some((unattached, _)) = facts.programs.iter().zip(&targets).find(|(_, own)| own.is_empty()) {
            let message = format!(
                "{}: nothing says what `{}` is to be attached to; give --attach KIND:TARGET={0}",
                unattached.function, source.name
            );
            return Err(Failure::Run(anyhow::anyhow!(message)));
        }
    }
    let how = load::Settings {
        attach_as: settings.attach_as,
        without_fentry: settings.lacks("fentry"),
        without_kprobe: settings.lacks("kprobe"),
        shares_maps,
        fills: directives.fills.clone(),
        ..Default::default()
    };
    let wanted = targets.iter().map(Vec::as_slice).enumerate();
    load::load(compiled, wanted, kernel, &how)
        .map_err(|error| pipeline::explain_load(error, source, compiled, settings.verbose))
}

/// Where programs are pinned.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    is_folder: bool,
}

impl Place {
    /// Of several programs, or where it is one already, the path is a folder.
    fn new(path: &Path, programs: usize) -> Self {
        let is_folder = programs > 1 || path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
        Self { path: path.to_owned(), is_folder }
    }

    fn of(&self, function: &str) -> PathBuf {
        if self.is_folder { self.path.join(function) } else { self.path.clone() }
    }

    fn of_link(&self, function: &str) -> PathBuf {
        let mut name = self.of(function).into_os_string();
        name.push("_link");
        name.into()
    }
}

fn pin_all(
    args: &LoadArgs,
    place: &Place,
    loaded: Loaded,
    kernel: &Kernel,
    attaches: bool,
    pinned: &mut Vec<PathBuf>,
) -> Result<(), Failure> {
    for program in loaded.programs() {
        let handle = loaded.object().program(&program.program);
        let fd = handle.as_ref().and_then(|handle| handle.fd());
        if let Some(fd) = fd {
            pin_one(fd, place.of(&program.function), pinned)?;
        }
    }
    if let Some(folder) = &args.pin_maps {
        for map in loaded.maps() {
            // Names with a dot are the kernel's to give.
            pin_one(map.as_fd(), folder.join(map.name().trim_start_matches('.').replace('.', "_")), pinned)?;
        }
    }
    if attaches {
        let attached: Attached =
            attach::attach(loaded, kernel, &[]).map_err(|error| Failure::Run(anyhow::Error::new(error)))?;
        attached.pin(|function| place.of_link(function), pinned).map_err(|error| no_link(&error))?;
    }
    Ok(())
}

/// Why what attaches a program cannot stay.
fn no_link(error: &crate::bpf::Error) -> Failure {
    let why = match error.errno {
        libc::EINVAL if !crate::kernel::is_at_least(5, 15) => {
            ": before Linux 5.15, kprobes, uprobes and tracepoints have no links that stay; raw tracepoints and fentry have"
        }
        libc::EINVAL | libc::EOPNOTSUPP => {
            ": what attaches it is no link, and goes with this process; run it by dbcc instead"
        }
        _ => "",
    };
    Failure::Run(anyhow::anyhow!("{error}{why}"))
}

fn pin_one(object: BorrowedFd<'_>, path: PathBuf, pinned: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let made = pin::make_folders(&path).map_err(|error| {
        Failure::Run(anyhow::Error::new(error).context(format!("cannot make the folders of {}", path.display())))
    });
    made?;
    pin::pin(object, &path).map_err(|error| match error.errno {
        libc::EEXIST => Failure::Run(anyhow::anyhow!("{error}; `dbcc unpin {}` removes it", path.display())),
        _ => Failure::Run(error.into()),
    })?;
    pinned.push(path);
    Ok(())
}

/// Refuses paths that nothing can be pinned at, before anything is compiled.
fn check_place(path: &Path) -> Result<(), Failure> {
    let unusable = |message: String| Err(Failure::Unusable(anyhow::anyhow!(message)));
    let inside = pin::is_in_bpffs(path).map_err(|error| {
        Failure::Unusable(anyhow::Error::new(error).context(format!("cannot look at {}", path.display())))
    })?;
    if !inside {
        let (place, mount) = (Mountable::BPFFS.place, Mountable::BPFFS.command());
        let hint = match Mountable::BPFFS.is_mounted() {
            true => format!("choose a path below {place}"),
            false => format!("mount one with `{mount}` or `dbcc doctor --mount`"),
        };
        return unusable(format!("{} is in no file system of BPF; {hint}", path.display()));
    }
    if path.file_name().is_some_and(|name| name.as_encoded_bytes().contains(&b'.')) {
        return unusable(format!("{}: the kernel takes no names with a dot", path.display()));
    }
    Ok(())
}

/// Says what is pinned at a path.
fn show(path: &Path, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let fd = inventory::open_pinned(path).map_err(|error| Failure::Run(error.into()))?;
    let Some(what) = Pinned::of(fd.as_fd()) else { return Ok(()) };
    match json {
        true => writeln!(out, "{}", what.json("pinned", path))?,
        false => writeln!(out, "pinned {} at {}", what.text(), path.display())?,
    }
    Ok(())
}

/// An object that is or was pinned.
#[derive(Debug)]
pub(crate) struct Pinned {
    id: inventory::ObjectId,
    kind: String,
    name: String,
}

impl Pinned {
    /// What a descriptor is of; none where it is no object that is known here.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> Option<Self> {
        let id = inventory::identify(fd)?;
        let (kind, name) = match id.kind {
            ObjectKind::Program => inventory::program(fd).map(|info| (info.kind, info.name)).ok()?,
            ObjectKind::Map => inventory::map(fd).map(|info| (info.kind, info.name)).ok()?,
            ObjectKind::Link => {
                inventory::link(fd).map(|info| (info.kind, format!("of program {}", info.program))).ok()?
            }
        };
        Some(Self { id, kind, name })
    }

    /// What it is, in words.
    pub(crate) fn text(&self) -> String {
        format!("{} ({}) {}", self.id, self.kind, crate::escape::harmless(&self.name))
    }

    /// What it is, and where, in JSON; `what` was done.
    pub(crate) fn json(&self, what: &str, path: &Path) -> serde_json::Value {
        json!({"kind": what, "what": self.id.kind.name(), "id": self.id.number, "type": self.kind, "name": self.name,
            "path": path.display().to_string()})
    }
}
