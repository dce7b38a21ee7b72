//! `dbcc build`: a probe compiled for other kernels, into an object that needs no compiler any more.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::built::{self, Built, Ties, Variant};
use crate::cli::BuildArgs;
use crate::config::CompileSettings;
use crate::diag::{self, Diagnostic, Located};
use crate::directive::Directives;
use crate::elf;
use crate::facts::{CompileRequest, Compiled, Facts, Features};
use crate::frontend::{CompileError, Worker};
use crate::input::{ELF, Input};
use crate::kernel::{self, Kernel, capability};
use crate::kind::{self, Kind};
use crate::pipeline::{self, Failure};
use crate::render::object_line;
use crate::source::Source;
use crate::toolchain;

/// The most names that a text may ask for with all their combinations compiled: 2 to this number.
const MAX_ASKED: usize = 5;

/// The JSON form of a report.
#[derive(Serialize)]
struct Json<'a> {
    kind: &'static str,
    file: &'a str,
    object: Option<String>,
    bytes: Option<usize>,
    programs: Vec<&'a str>,
    /// For each variant: the sets of names that the text asks for and that are defined in it.
    variants: Vec<&'a [BTreeSet<String>]>,
    messages: Vec<Located<'a>>,
    failures: Vec<String>,
}

/// What came of one file.
struct Report {
    source: Source,
    done: Result<Done, Vec<Diagnostic>>,
}

struct Done {
    path: PathBuf,
    bytes: usize,
    built: Built,
    /// What the compiler warns of.
    warnings: Vec<Diagnostic>,
    /// Why some combinations were not compiled.
    left_out: Vec<String>,
}

/// Builds files, and writes a line about each. Says whether all were built.
///
/// # Errors
/// When there is no compiler, a file cannot be read, or an object cannot be written.
pub fn run(args: &BuildArgs, colour: bool, out: &mut dyn Write, err: &mut dyn Write) -> Result<bool, Failure> {
    let settings = CompileSettings::of_build(args)?;
    let several = args.files.len() > 1;
    let folder =
        args.output.as_deref().filter(|path| path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/"));
    if let (true, None, Some(output)) = (several, folder, &args.output) {
        let message = format!("-o {}: several probes go into a folder, and this is none", output.display());
        return Err(Failure::Unusable(anyhow::anyhow!(message)));
    }
    let mut all_good = true;
    for file in &args.files {
        let input = Input::read(file)?;
        let Input::Text(source) = input else {
            return Err(Failure::Unusable(anyhow::anyhow!("`{file}` is an object already")));
        };
        let name = default_name(&source.name);
        let path = match (folder, &args.output) {
            (Some(folder), _) => folder.join(name),
            (None, Some(output)) => output.clone(),
            (None, None) => name,
        };
        check_place(&path)?;
        let report = match build(&source, &settings, &args.attach, &path) {
            Ok(done) => Report { source, done: Ok(done) },
            Err(Failure::Probe { source, diagnostics }) => Report { source, done: Err(diagnostics) },
            Err(failure) => return Err(failure),
        };
        all_good &= report.done.is_ok();
        write(&report, args, colour, out, err)?;
    }
    Ok(all_good)
}

/// `NAME.bpf.o` of a path that ends in `NAME.c`.
fn default_name(probe: &str) -> PathBuf {
    let name = probe.rsplit('/').next().unwrap_or_default();
    let stem = [".bpf.c", ".bcc.c", ".c"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    PathBuf::from(format!("{stem}.bpf.o"))
}

fn build(source: &Source, settings: &CompileSettings, attaches: &[String], path: &Path) -> Result<Done, Failure> {
    let kernel = Kernel::new();
    let directives = pipeline::directives(source, settings)?;
    let toolchain = toolchain::find().map_err(|error| Failure::Unusable(error.into()))?;
    let worker = Worker::of_this_program().map_err(|error| Failure::Unusable(error.into()))?;
    // Who may not load programs cannot try what the kernel offers; all combinations are compiled in any case.
    let features = if capability::missing().is_empty() { kernel.features() } else { Features::ALL };
    let request = pipeline::request(source, &directives, settings, features, toolchain);
    let asked = built::asked(&request);
    let here = built::offered(&asked, features, &kernel);
    let mut variants: Vec<Variant> = Vec::new();
    let mut left_out = Vec::new();
    let mut first_failure = None;
    let mut warnings = Vec::new();
    for offers in combinations(&asked, &here) {
        let request = built::assuming(&request, &asked, &offers);
        match worker.run(&request) {
            Ok(mut compiled) => match variants.iter_mut().find(|known| known.compiled.elf == compiled.elf) {
                Some(known) => known.offers.push(offers),
                None => {
                    // Who builds it reads them, not who runs it.
                    let said = std::mem::take(&mut compiled.warnings);
                    compiled.inputs = None;
                    if variants.is_empty() {
                        warnings = said;
                    }
                    variants.push(variant(&request, compiled, offers, &directives, &kernel)?);
                }
            },
            Err(CompileError::Machine(why)) => return Err(Failure::Unusable(anyhow::anyhow!(why))),
            Err(CompileError::Probe(diagnostics)) => {
                let first = diagnostics.first().map_or("", |first| first.message.as_str());
                left_out.push(format!("not compiled for a kernel that offers {}: {first}", named(&offers)));
                first_failure.get_or_insert(diagnostics);
            }
        }
    }
    if let Some(diagnostics) = first_failure.filter(|_| variants.is_empty()) {
        return Err(Failure::Probe { source: source.clone(), diagnostics });
    }
    let built = Built {
        dbcc: env!("CARGO_PKG_VERSION").to_owned(),
        release: kernel::release().trim().to_owned(),
        // Where it lies here is nobody's business there.
        source: Source { dir: None, ..source.clone() },
        attaches: attaches.to_vec(),
        asked,
        variants,
    };
    let bytes = built.to_bytes().map_err(|error| Failure::Run(error.into()))?;
    put(path, &bytes).map_err(|error| cannot_write(path, error))?;
    Ok(Done { path: path.to_owned(), bytes: bytes.len(), built, warnings, left_out })
}

/// The sets of names to compile for: what this kernel has, then the others. What is asked of tracepoints that this kernel
/// lacks cannot be compiled, since nothing tells their records.
fn combinations(asked: &BTreeSet<String>, here: &BTreeSet<String>) -> Vec<BTreeSet<String>> {
    let possible: BTreeSet<&String> = asked
        .iter()
        .filter(|name| here.contains(*name) || !name.starts_with(crate::template::HAVE_TRACEPOINT))
        .collect();
    let mut all = vec![here.clone()];
    let mut add = |set: BTreeSet<String>| {
        if !all.contains(&set) {
            all.push(set);
        }
    };
    if possible.len() > MAX_ASKED {
        add(possible.into_iter().cloned().collect());
        add(BTreeSet::new());
        return all;
    }
    // Those with most of the names come first: they are the best that a kernel can have.
    let mut sets: Vec<BTreeSet<String>> = (0_u32..1 << possible.len())
        .map(|bits| {
            let chosen = possible.iter().enumerate().filter(|(index, _)| bits & (1 << index) != 0);
            chosen.map(|(_, name)| (*name).clone()).collect()
        })
        .collect();
    sets.sort_by_key(|set: &BTreeSet<String>| std::cmp::Reverse(set.len()));
    sets.into_iter().for_each(add);
    all
}

fn variant(
    request: &CompileRequest,
    compiled: Compiled,
    offers: BTreeSet<String>,
    directives: &Directives,
    kernel: &Kernel,
) -> Result<Variant, Failure> {
    let ties = Ties::of(request, &compiled.facts, directives, kernel);
    let ties = ties.map_err(|why| {
        let diagnostics = vec![Diagnostic::error(format!("this probe cannot run elsewhere: {why}"), None)];
        Failure::Probe { source: request.source.clone(), diagnostics }
    })?;
    let hidden = hidden(&compiled).map_err(|error| Failure::Run(error.into()))?;
    Ok(Variant { offers: vec![offers], compiled, hidden, ties })
}

/// The sections of programs for fentry and fexit whose work a kprobe in the object does too: where the kernel has neither,
/// libbpf would load nothing at all.
fn hidden(compiled: &Compiled) -> Result<Vec<String>, elf::ElfError> {
    let contents = elf::read(&compiled.elf)?;
    let spare = spare(&compiled.facts);
    let mut sections: Vec<String> =
        spare.iter().filter_map(|program| contents.section_of(program, &spare)).map(str::to_owned).collect();
    sections.sort_unstable();
    sections.dedup();
    Ok(sections)
}

/// The programs that have another beside them which any kernel takes.
fn spare(facts: &Facts) -> Vec<&str> {
    let typed = |kind: &str| kind::by_name(kind).is_some_and(|kind: &dyn Kind| kind.program_type().has_typed_target());
    let with_others = facts.programs.iter().filter(|fact| fact.forms.iter().any(|form| !typed(&form.kind)));
    let forms = with_others.flat_map(|fact| &fact.forms).filter(|form| typed(&form.kind));
    forms.map(|form| form.program.as_str()).collect()
}

/// Says whether an object can be written there, before anything is compiled for it.
fn check_place(path: &Path) -> Result<(), Failure> {
    let folder = folder_of(path);
    if folder.is_dir() {
        return check_is_free(path).map_err(|error| cannot_write(path, error));
    }
    let why = format!("there is no folder `{}`", folder.display());
    Err(cannot_write(path, io::Error::new(io::ErrorKind::NotFound, why)))
}

fn cannot_write(path: &Path, error: io::Error) -> Failure {
    Failure::Unusable(anyhow::Error::from(error).context(format!("cannot write `{}`", path.display())))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// An older object may be written over, and nothing else.
fn check_is_free(path: &Path) -> io::Result<()> {
    // Opening a FIFO would wait for a writer.
    if std::fs::metadata(path).is_ok_and(|known| !known.is_file()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there, and is no file"));
    }
    let mut start = [0; 4];
    match std::fs::File::open(path).and_then(|mut file| io::Read::read(&mut file, &mut start)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(0) => Ok(()),
        Ok(_) if start == *ELF => Ok(()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there, and is no object")),
        Err(error) => Err(error),
    }
}

/// Writes an object whole or not at all, over an older one, and over nothing else.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    check_is_free(path)?;
    let mut file = tempfile::NamedTempFile::new_in(folder_of(path))?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

/// The sets that hold no other of them, in words: what a kernel must offer at least.
fn least(offers: &[BTreeSet<String>]) -> Vec<String> {
    let holds_another = |set: &BTreeSet<String>| offers.iter().any(|other| other != set && other.is_subset(set));
    offers.iter().filter(|set| !holds_another(set)).map(named).collect()
}

fn named(offers: &BTreeSet<String>) -> String {
    if offers.is_empty() {
        return "none of what it asks for".to_owned();
    }
    offers.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn write(report: &Report, args: &BuildArgs, colour: bool, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
    let Report { source, done } = report;
    let messages = match done {
        Ok(done) => done.warnings.as_slice(),
        Err(diagnostics) => diagnostics,
    };
    if args.json {
        let variants = done.as_ref().map(|done| done.built.variants.as_slice()).unwrap_or_default();
        let programs = variants.first().map(|first| first.compiled.facts.programs.as_slice()).unwrap_or_default();
        let json = Json {
            kind: "build",
            file: &source.name,
            object: done.as_ref().ok().map(|done| done.path.display().to_string()),
            bytes: done.as_ref().ok().map(|done| done.bytes),
            programs: programs.iter().map(|fact| fact.function.as_str()).collect(),
            variants: variants.iter().map(|variant| variant.offers.as_slice()).collect(),
            messages: messages.iter().map(|message| Located::new(message, source)).collect(),
            failures: done.as_ref().map(|done| done.left_out.clone()).unwrap_or_default(),
        };
        return object_line(out, &json);
    }
    err.write_all(diag::render_all(messages, source, colour).as_bytes())?;
    let Ok(done) = done else { return writeln!(err, "{}: not built", source.name) };
    writeln!(out, "{}: {} ({} kB)", source.name, done.path.display(), done.bytes.div_ceil(1000))?;
    for variant in &done.built.variants {
        if args.verbose && !done.built.asked.is_empty() {
            writeln!(out, "  for a kernel that offers {}", least(&variant.offers).join("; or "))?;
        }
        for need in variant.ties.needs() {
            writeln!(out, "  needs {need}")?;
        }
    }
    for reason in done.left_out.iter().filter(|_| args.verbose) {
        writeln!(out, "  {reason}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_objects_come_from_probes() {
        for (probe, object) in [
            ("probes/netio.c", "netio.bpf.o"),
            ("x/mysql_conn.bcc.c", "mysql_conn.bpf.o"),
            ("a.bpf.c", "a.bpf.o"),
            ("probe", "probe.bpf.o"),
        ] {
            assert_eq!(default_name(probe), Path::new(object));
        }
    }

    #[test]
    fn what_this_kernel_has_is_compiled_first_and_each_combination_once() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
        let asked =
            set(&["DBCC_HAVE_KPROBE", "DBCC_HAVE_FENTRY", "DBCC_HAVE_TRACEPOINT__a__b", "DBCC_HAVE_TRACEPOINT__c__d"]);
        let here = set(&["DBCC_HAVE_TRACEPOINT__a__b"]);
        let all = combinations(&asked, &here);
        assert_eq!(all.first(), Some(&here));
        // Of the tracepoint that is not here, nothing is known.
        assert_eq!(all.len(), 8);
        assert!(all.iter().all(|set| !set.contains("DBCC_HAVE_TRACEPOINT__c__d")));
        let distinct: BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn an_object_is_written_over_nothing_but_an_object() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probe.c");
        std::fs::write(&path, "int x;").unwrap();
        assert_eq!(put(&path, b"\x7fELF").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"int x;");
        let path = folder.path().join("probe.bpf.o");
        put(&path, b"\x7fELF1").unwrap();
        put(&path, b"\x7fELF2").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"\x7fELF2");
    }
}
