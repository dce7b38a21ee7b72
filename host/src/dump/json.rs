//! Dumps as JSON; docs/json.md is the contract.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::listing::{Listing, Row};
use super::overview::{Overview, Program};
use super::verified::Verified;
use crate::cli::Stage;
use crate::render::object_line;

/// A text.
pub(super) fn text(stage: Stage, text: &str, out: &mut dyn Write) -> io::Result<()> {
    let stage = if stage == Stage::Templated { "templated" } else { "rewritten" };
    object_line(out, json!({"kind": "text", "stage": stage, "text": text}))
}

/// An overview.
pub(super) fn overview(overview: &Overview, out: &mut dyn Write) -> io::Result<()> {
    let programs = overview.programs.iter().map(program);
    let maps = overview.maps.iter().map(|(name, map)| {
        json!({
            "name": name,
            "type": map.type_name(),
            "key_size": map.key_size,
            "value_size": map.value_size,
            "max_entries": map.max_entries,
            "flags": map.flags,
        })
    });
    let sections = overview.sections.iter().map(|section| {
        json!({
            "name": section.name,
            "size": section.size,
            "code": section.is_code,
            "relocations": section.relocations,
        })
    });
    let object = json!({
        "kind": "object",
        "programs": programs.collect::<Vec<_>>(),
        "maps": maps.collect::<Vec<_>>(),
        "sections": sections.collect::<Vec<_>>(),
        "not_loaded": overview.not_loaded,
    });
    object_line(out, &object)
}

fn program(program: &Program) -> Value {
    let Program { name, section, instructions, relocations, core, verified } = program;
    let verified = verified.as_ref().map(|verified| {
        let Verified { instructions, limit, states, peak_states, states_of_one, microseconds, stack } = verified;
        json!({
            "instructions": instructions,
            "limit": limit,
            "states": states,
            "peak_states": peak_states,
            "states_of_one": states_of_one,
            "microseconds": microseconds,
            "stack": stack,
        })
    });
    json!({
        "name": name,
        "section": section,
        "instructions": instructions,
        "relocations": relocations,
        "core_relocations": core,
        "verified": verified,
    })
}

/// The instructions of a function.
pub(super) fn listing(listing: &Listing, out: &mut dyn Write) -> io::Result<()> {
    let object = json!({
        "kind": "code",
        "stage": listing.stage,
        "program": listing.program,
        "function": listing.function,
        "section": listing.section,
        "instructions": listing.rows.iter().map(row).collect::<Vec<_>>(),
        "notes": listing.notes,
    });
    object_line(out, &object)
}

fn row(row: &Row) -> Value {
    let mut object = json!({
        "at": row.at,
        "bytes": row.bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        "text": row.text,
    });
    let Some(fields) = object.as_object_mut() else { return object };
    if let Some(line) = &row.line {
        fields.insert("line".to_owned(), json!({"file": line.file, "line": line.line, "text": line.words}));
    }
    if !row.relocations.is_empty() {
        let all = row.relocations.iter().map(|(kind, symbol)| json!({"type": kind, "symbol": symbol}));
        fields.insert("relocations".to_owned(), all.collect());
    }
    if !row.core.is_empty() {
        fields.insert("core".to_owned(), json!(row.core));
    }
    object
}
