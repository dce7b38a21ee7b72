//! `dbcc types`: how types of the kernel and of binaries lie in memory.

use std::collections::VecDeque;
use std::io::Write;

use anyhow::Context as _;
use symres::layout::{TypeName, TypeNumber, Types};
use symres::{Binary, TypeNames};

use crate::bpf::btf::Btf;
use crate::cli::TypesArgs;
use crate::diag::nearest;
use crate::escape::harmless;
use crate::kernel::btf;
use crate::kind::binary_and_rest;
use crate::lookup::Lookup;
use crate::render::object_line;

mod json;
mod kernel;
mod path;
mod read;
mod text;

use kernel::KernelTypes;
use path::Step;

/// Bytes of a cache line of x86-64 (Intel SDM volume 3, 12.1; AMD64 APM volume 2, 7.3).
const CACHE_LINE: u64 = 64;
/// Members are shown no deeper: what is by value in itself cannot be.
const MAX_DEPTH: usize = 32;
/// More definitions of one name are listed, not shown.
const MAX_SHOWN: usize = 16;

/// How types are shown.
#[derive(Debug)]
struct Shown<'a> {
    depth: usize,
    json: bool,
    /// `kernel`, the name of a module, or the path of a binary.
    source: &'a str,
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Query<'q> {
    binary: Option<&'q str>,
    name: TypeName,
    steps: Vec<Step>,
    /// As it was written, without the binary.
    text: &'q str,
}

/// Shows types, or lists those that a wildcard stands for. Says whether all were found; what was not is said on `err`.
///
/// # Errors
/// When a name cannot be one, the kernel has no BTF, a binary cannot be found or read, or the output cannot be written.
pub fn run(args: &TypesArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<bool> {
    let lookup = Lookup::new(&args.debug_dir, false);
    let queries = args.names.iter().map(|word| Query::new(word, args.binary.as_deref()));
    let queries: Vec<Query<'_>> = queries.collect::<anyhow::Result<_>>()?;
    let of_the_kernel = |query: &&Query<'_>| args.pid.is_none() && query.binary.is_none();
    let mut kernel = match queries.iter().any(|query| of_the_kernel(&query)) {
        true => Some(OfKernel::find(&queries.iter().filter(of_the_kernel).collect::<Vec<_>>())?),
        false => None,
    };
    let mut all_found = true;
    for (index, (query, word)) in queries.iter().zip(&args.names).enumerate() {
        if index > 0 && !args.json {
            writeln!(out)?;
        }
        let missing = match (&mut kernel, of_the_kernel(&query)) {
            (Some(kernel), true) => kernel.show_next(query, args, out)?,
            _ => of_binaries(query, args.pid, query.binary, args, &lookup, out)?,
        };
        if let Some(missing) = missing {
            all_found = false;
            match args.json {
                true => object_line(out, serde_json::json!({"kind": "not_found", "name": word, "message": missing}))?,
                false => writeln!(err, "dbcc: {}", harmless(&missing))?,
            }
        }
    }
    out.flush()?;
    Ok(all_found)
}

impl<'q> Query<'q> {
    fn new(word: &'q str, binary: Option<&'q str>) -> anyhow::Result<Self> {
        let (before, text) = match binary {
            Some(_) => (binary, word),
            None => binary_and_rest(word),
        };
        let (name, steps) = path::split(text).map_err(anyhow::Error::msg)?;
        let name: TypeName = name.parse().with_context(|| format!("`{word}` names no type"))?;
        anyhow::ensure!(
            steps.is_empty() || !name.is_wildcard(),
            "`{text}`: a path begins at one type, not at all that a wildcard stands for"
        );
        Ok(Self { binary: before, name, steps, text })
    }
}

/// What is asked of the kernel's types.
struct OfKernel {
    btf: Btf,
    /// The types of the kernel itself for each of the queries that are not answered yet.
    found: VecDeque<Vec<TypeNumber>>,
}

impl OfKernel {
    fn find(queries: &[&Query<'_>]) -> anyhow::Result<Self> {
        let btf = btf::load()?;
        let names: Vec<&TypeName> = queries.iter().map(|query| &query.name).collect();
        let found = KernelTypes(&btf).find(&names).into();
        Ok(Self { btf, found })
    }

    /// Answers the next query.
    fn show_next(
        &mut self,
        query: &Query<'_>,
        args: &TypesArgs,
        out: &mut dyn Write,
    ) -> anyhow::Result<Option<String>> {
        let found = self.found.pop_front().unwrap_or_default();
        of_kernel(query, &self.btf, found, args, out)
    }
}

/// Shows a type of the kernel or of one of its modules. Gives the reason where there is none.
fn of_kernel(
    query: &Query<'_>,
    kernel: &Btf,
    mut found: Vec<TypeNumber>,
    args: &TypesArgs,
    out: &mut dyn Write,
) -> anyhow::Result<Option<String>> {
    // Modules are asked where the kernel has no such type; a wildcard may stand for types of both.
    let joined = match found.is_empty() || query.name.is_wildcard() {
        true => btf::with_modules_that(kernel, &|name| query.name.fits(name).is_some()),
        false => None,
    };
    let all = joined.as_ref().map_or(kernel, |joined| &joined.btf);
    let types = KernelTypes(all);
    if joined.is_some() {
        found = types.find(&[&query.name]).pop().unwrap_or_default();
    }
    if found.is_empty() {
        let names = types.names();
        let near = nearest(query.name.as_str(), names.iter().map(String::as_str));
        return Ok(Some(not_found(query, "this kernel's BTF", near)));
    }
    let source = |ty: TypeNumber| match &joined {
        Some(joined) => joined.module_of(ty.0).unwrap_or("kernel"),
        None => "kernel",
    };
    if query.name.is_wildcard() {
        let mut names: Vec<_> = found.iter().filter_map(|ty| Some((types.named(*ty)?, source(*ty)))).collect();
        names.sort();
        names.dedup();
        match args.json {
            true => names.iter().try_for_each(|(name, source)| object_line(out, json::name(source, name)))?,
            false => text::names(&names.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), out)?,
        }
        return Ok(None);
    }
    let shown = |ty| Shown { source: source(ty), ..Shown::of(args) };
    show(&types, &found, query, &shown, &read::of_kernel, out)
}

/// Shows a type of the first of the binaries that has it.
fn of_binaries(
    query: &Query<'_>,
    pid: Option<u32>,
    binary: Option<&str>,
    args: &TypesArgs,
    lookup: &Lookup,
    out: &mut dyn Write,
) -> anyhow::Result<Option<String>> {
    let (binaries, _) = lookup.binaries(pid, binary)?;
    let mut missing = None;
    for binary in &binaries {
        let reason = of_binary(query, binary, args, lookup, out)?;
        let Some(reason) = reason else { return Ok(None) };
        missing.get_or_insert(reason);
    }
    if let (Some(missing), 2..) = (&mut missing, binaries.len()) {
        missing.push_str(&format!("; nor do {} libraries that the process has loaded", binaries.len() - 1));
    }
    Ok(missing)
}

fn of_binary(
    query: &Query<'_>,
    binary: &Binary,
    args: &TypesArgs,
    lookup: &Lookup,
    out: &mut dyn Write,
) -> anyhow::Result<Option<String>> {
    let source = binary.shown().display().to_string();
    if query.name.is_wildcard() {
        let names = binary.type_names(&query.name)?;
        lookup.clear();
        return match names {
            None => Ok(Some(no_debug_information(binary))),
            Some(TypeNames { all, .. }) if all.is_empty() => Ok(Some(not_found(query, &source, None))),
            Some(TypeNames { all, cut }) => {
                match args.json {
                    true => all.iter().try_for_each(|name| object_line(out, json::name(&source, name)))?,
                    false => text::names(&all, out)?,
                }
                Ok(cut.then(|| format!("`{source}` has more such types than can be listed: name more of it")))
            }
        };
    }
    let shown = |_| Shown { source: &source, ..Shown::of(args) };
    let read = |types: &dyn Types, _: TypeNumber, place: &path::Place| read::of_process(types, place);
    let done = binary.with_types(&query.name, |types, found| {
        lookup.clear();
        show(types, found, query, &shown, &read, out)
    })?;
    match done {
        Some(result) => result,
        None => missing_in(query, binary, &source).map(Some),
    }
}

/// Why a binary has no such type.
fn missing_in(query: &Query<'_>, binary: &Binary, source: &str) -> anyhow::Result<String> {
    let everything: TypeName = "*".parse()?;
    let Some(TypeNames { all, .. }) = binary.type_names(&everything)? else {
        return Ok(no_debug_information(binary));
    };
    if all.iter().any(|ty| ty.only_declared && query.name.fits(&ty.name).is_some()) {
        let name = query.name.as_str();
        return Ok(format!(
            "`{name}` is only declared in `{source}`: what is in it was not needed there, or its definition is in another \
             library"
        ));
    }
    Ok(not_found(query, source, nearest(query.name.as_str(), all.iter().map(|ty| ty.name.as_str()))))
}

fn no_debug_information(binary: &Binary) -> String {
    let consulted = binary.consulted();
    let looked = match consulted.as_slice() {
        [] => String::new(),
        [first, others @ ..] => {
            let others = if others.is_empty() { String::new() } else { format!(" and {} other places", others.len()) };
            format!("; looked at {}{others}", first.file.display())
        }
    };
    format!(
        "`{}` has no debug information, which alone tells types: install its debug package (-dbgsym, -debuginfo), or name \
         the folder of its debug file with --debug-dir{looked}",
        binary.shown().display()
    )
}

fn not_found(query: &Query<'_>, source: &str, near: Option<&str>) -> String {
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let what = if query.name.is_wildcard() { "type whose name fits" } else { "type" };
    format!("{source} has no {what} `{}`{near}", query.name.as_str())
}

/// How a place is read.
type Read<'r> = &'r dyn Fn(&dyn Types, TypeNumber, &path::Place) -> read::Reading;

/// Shows the types that were found: each of them, or where the path in each of them leads. Gives the reason where it leads
/// nowhere in any of them.
fn show<'s>(
    types: &dyn Types,
    found: &[TypeNumber],
    query: &Query<'_>,
    shown: &dyn Fn(TypeNumber) -> Shown<'s>,
    read: Read<'_>,
    out: &mut dyn Write,
) -> anyhow::Result<Option<String>> {
    let mut wrong = None;
    let mut written = 0_usize;
    for ty in found.iter().take(MAX_SHOWN) {
        let shown = shown(*ty);
        let separate = written > 0 && !shown.json;
        if query.steps.is_empty() {
            if separate {
                writeln!(out)?;
            }
            match shown.json {
                true => object_line(out, json::layout(types, &shown, *ty))?,
                false => text::write(types, &shown, *ty, out)?,
            }
            written += 1;
            continue;
        }
        match path::follow(types, *ty, &query.steps) {
            Ok(place) => {
                if separate {
                    writeln!(out)?;
                }
                let reading = read(types, *ty, &place);
                match shown.json {
                    true => object_line(out, json::place(types, shown.source, query.text, &place, &reading))?,
                    false => text::place(types, query.text, &place, &reading, out)?,
                }
                written += 1;
            }
            Err(why) => {
                wrong.get_or_insert(why);
            }
        }
    }
    if found.len() > MAX_SHOWN {
        return Ok(Some(format!(
            "{} types have the name `{}`; {MAX_SHOWN} are shown, and `{}*` lists them all",
            found.len(),
            query.name.as_str(),
            query.name.as_str()
        )));
    }
    Ok(wrong.filter(|_| written == 0))
}

impl Shown<'_> {
    fn of(args: &TypesArgs) -> Self {
        let depth = if args.expand { MAX_DEPTH } else { args.depth };
        Self { depth, json: args.json, source: "" }
    }
}

#[cfg(test)]
mod tests;
