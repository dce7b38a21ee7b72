//! Dumps for people.

use std::io::{self, Write};

use super::listing::{Line, Listing, Row};
use super::overview::{Overview, Program};
use super::verified::Verified;
use crate::escape::harmless;

/// Machine code is shown in so many bytes a row.
const BYTES: usize = 10;

/// Writes an overview.
pub(super) fn overview(overview: &Overview, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "programs")?;
    let width = overview.programs.iter().map(|program| program.name.len()).max().unwrap_or(0);
    for program in &overview.programs {
        let Program { name, section, instructions, relocations, core, .. } = program;
        writeln!(
            out,
            "  {:width$}  {}: {instructions} instructions, {relocations} relocations, {core} by CO-RE",
            harmless(name),
            harmless(section)
        )?;
        if let Some(verified) = &program.verified {
            writeln!(out, "  {:width$}  {}", "", figures(verified))?;
        }
    }
    if let Some(why) = &overview.not_loaded {
        writeln!(out, "  the verifier's figures are missing: {}", harmless(why))?;
    }
    if !overview.maps.is_empty() {
        writeln!(out, "maps")?;
    }
    let width = overview.maps.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, map) in &overview.maps {
        writeln!(
            out,
            "  {:width$}  {}, key {} bytes, value {} bytes, at most {} entries",
            harmless(name),
            map.type_name(),
            map.key_size,
            map.value_size,
            map.max_entries
        )?;
    }
    writeln!(out, "sections")?;
    let width = overview.sections.iter().map(|section| section.name.len()).max().unwrap_or(0);
    for section in overview.sections.iter().filter(|section| section.size > 0) {
        let code = if section.is_code { ", code" } else { "" };
        let relocations = match section.relocations {
            0 => String::new(),
            count => format!(", {count} relocations"),
        };
        writeln!(out, "  {:width$}  {} bytes{code}{relocations}", harmless(&section.name), section.size)?;
    }
    Ok(())
}

/// The verifier's figures in words.
fn figures(verified: &Verified) -> String {
    let Verified { instructions, limit, states, peak_states, microseconds, stack, .. } = verified;
    let mut parts = Vec::new();
    if let Some(count) = instructions {
        let limit = limit.map(|limit| format!(" of at most {limit}")).unwrap_or_default();
        parts.push(format!("{count} instructions looked at{limit}"));
    }
    if let (Some(states), Some(peak)) = (states, peak_states) {
        parts.push(format!("{states} states, at most {peak} at once"));
    }
    if !stack.is_empty() {
        let depths: Vec<String> = stack.iter().map(u64::to_string).collect();
        parts.push(format!("stack {} bytes", depths.join(" + ")));
    }
    if let Some(microseconds) = microseconds {
        parts.push(format!("{microseconds} µs"));
    }
    format!("verified: {}", if parts.is_empty() { "this kernel tells no figures".to_owned() } else { parts.join(", ") })
}

/// Writes the instructions of a function, each line of the source before those that it became.
pub(super) fn listing(listing: &Listing, out: &mut dyn Write) -> io::Result<()> {
    let section = listing.section.as_deref().map(|section| format!(" in section {}", harmless(section)));
    let program = (listing.program != listing.function).then(|| format!(" of {}", harmless(&listing.program)));
    writeln!(
        out,
        "\n{}{}{} ({}):",
        harmless(&listing.function),
        program.unwrap_or_default(),
        section.unwrap_or_default(),
        listing.stage
    )?;
    for note in &listing.notes {
        writeln!(out, "; note: {note}")?;
    }
    let mut last: Option<&Line> = None;
    for row in &listing.rows {
        if let Some(line) = row.line.as_ref().filter(|line| last != Some(*line)) {
            let file = line.file.rsplit('/').next().unwrap_or_default();
            writeln!(out, "; {}  [{}:{}]", harmless(&line.words), harmless(file), line.line)?;
            last = Some(line);
        }
        write_row(listing.stage == "jited", row, out)?;
    }
    Ok(())
}

fn write_row(machine: bool, row: &Row, out: &mut dyn Write) -> io::Result<()> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    match machine {
        true => {
            let width = BYTES * 3;
            writeln!(out, "{:6x}: {:width$} {}", row.at, hex(&row.bytes), row.text)?;
        }
        false => {
            let code = row.bytes.first().copied().unwrap_or(0);
            writeln!(out, "{:6}: ({code:02x}) {}", row.at, row.text)?;
        }
    }
    for (kind, symbol) in &row.relocations {
        writeln!(out, "                {kind}  {}", harmless(symbol))?;
    }
    for core in &row.core {
        writeln!(out, "                CO-RE  {}", harmless(core))?;
    }
    Ok(())
}
