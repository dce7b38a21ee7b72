//! `dbcc cache`: what is kept of earlier runs, for people or as JSON lines, and its end.

use std::io::{self, Write};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::cache::{Cache, Contents, Kept, SHELVES, Shelf, ShelfContents};
use crate::cli::{CacheArgs, CacheCommand};
use crate::escape::harmless;

/// Where other debuginfod clients' files are kept, and then dbcc's too (debuginfod_find_debuginfo(3)).
const SHARED_VARIABLE: &str = "DEBUGINFOD_CACHE_PATH";

/// Shows what is kept, or removes it.
///
/// # Errors
/// When there is no folder that is the user's alone, it cannot be read, or the output cannot be written.
pub fn run(args: &CacheArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let cache = Cache::open()?;
    match &args.command {
        None => {
            let contents = cache.contents()?;
            if args.json { show_json(&contents, out)? } else { show(&contents, out)? }
        }
        Some(CacheCommand::Clear { kinds }) => {
            let named: Vec<Shelf> = kinds.iter().filter_map(|kind| Shelf::of_name(kind)).collect();
            let shelves = if named.is_empty() { &SHELVES[..] } else { &named[..] };
            let removed = shelves.iter().map(|shelf| cache.clear(*shelf)).collect::<Result<Vec<_>, _>>()?;
            for shelf in &removed {
                if args.json {
                    line(
                        out,
                        &json!({"kind": "cleared", "what": shelf.shelf.name(), "files": shelf.files.len(),
                        "bytes": shelf.bytes()}),
                    )?;
                } else if !shelf.files.is_empty() {
                    writeln!(out, "removed {}: {}", counted(shelf), size(shelf.bytes()))?;
                }
            }
            if !args.json {
                writeln!(out, "{} freed in {}", size(total(&removed)), harmless(&cache.path().to_string_lossy()))?;
            }
        }
    }
    Ok(())
}

fn show(contents: &Contents, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", harmless(&contents.folder.to_string_lossy()))?;
    for shelf in &contents.shelves {
        let (kept, most) = (size(shelf.bytes()), size(shelf.shelf.most()));
        writeln!(out, "\n{}: {}, {kept} of at most {most}", shelf.shelf.name(), counted(shelf))?;
        if !shelf.files.is_empty() {
            writeln!(out, "  {:<19}  {:>9}  {}", "LAST USED", "SIZE", heading(shelf.shelf))?;
        }
        for file in &shelf.files {
            writeln!(out, "  {}  {:>9}  {}", local(file.used), size(file.bytes), named(file))?;
        }
    }
    if let Some(shared) = std::env::var_os(SHARED_VARIABLE) {
        let shared = shared.to_string_lossy().into_owned();
        writeln!(out, "\nDebug files from servers go to {} ({SHARED_VARIABLE}).", harmless(&shared))?;
    }
    writeln!(out, "\n{} in all; `dbcc cache clear` removes it.", size(total(&contents.shelves)))
}

fn show_json(contents: &Contents, out: &mut dyn Write) -> io::Result<()> {
    let folder = contents.folder.to_string_lossy();
    line(out, &json!({"kind": "cache", "folder": folder, "bytes": total(&contents.shelves)}))?;
    for shelf in &contents.shelves {
        let what = shelf.shelf.name();
        line(
            out,
            &json!({"kind": "shelf", "what": what, "files": shelf.files.len(), "bytes": shelf.bytes(),
            "most_bytes": shelf.shelf.most()}),
        )?;
        for file in &shelf.files {
            let used = jiff::Timestamp::try_from(file.used).ok().map(|used| used.to_string());
            line(out, &json!({"kind": "file", "what": what, "name": file.name, "bytes": file.bytes, "used": used}))?;
        }
    }
    Ok(())
}

fn line(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    writeln!(out, "{value}")
}

fn total(shelves: &[ShelfContents]) -> u64 {
    shelves.iter().map(ShelfContents::bytes).fold(0, u64::saturating_add)
}

fn heading(shelf: Shelf) -> &'static str {
    match shelf {
        Shelf::Probes => "PROBE",
        Shelf::Indexes | Shelf::DebugFiles => "BUILD ID",
    }
}

fn named(file: &Kept) -> String {
    match &file.name {
        Some(name) => harmless(name).into_owned(),
        None => "(of another version of dbcc, damaged, or not finished)".to_owned(),
    }
}

fn counted(shelf: &ShelfContents) -> String {
    let (one, many) = match shelf.shelf {
        Shelf::Probes => ("compiled probe", "compiled probes"),
        Shelf::Indexes => ("index of debug information", "indexes of debug information"),
        Shelf::DebugFiles => ("debug file from servers", "debug files from servers"),
    };
    let count = shelf.files.len();
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A moment on the clock of this place.
fn local(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Bytes for people: three digits or more.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let steps = UNITS.iter().enumerate().rev();
    let step = steps.map(|(power, unit)| (10 * power, unit)).find(|(shift, _)| bytes >> shift > 0);
    let (shift, unit) = step.unwrap_or((0, &"B"));
    let tenths = u128::from(bytes) * 10 / (1 << shift);
    match tenths {
        ..1000 if shift > 0 => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        _ => format!("{} {unit}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        let sizes = [0, 1023, 1024, 61 << 10, 104_857, 64 << 20, 4 << 30, u64::MAX];
        let shown: Vec<String> = sizes.iter().map(|bytes| size(*bytes)).collect();
        assert_eq!(
            shown,
            ["0 B", "1023 B", "1.0 KiB", "61.0 KiB", "102 KiB", "64.0 MiB", "4.0 GiB", "17179869183 GiB"]
        );
    }
}
