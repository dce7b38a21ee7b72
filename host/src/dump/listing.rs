//! Instructions in rows, each with the line that it came from and what is put into it later.

use super::Dump;
use super::names::Helpers;
use crate::elf::FunctionCode;
use crate::insn::{self, Instruction, SIZE};

/// The instructions of one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    /// `object`, `xlated` or `jited`.
    pub(super) stage: &'static str,
    /// The program that it belongs to.
    pub(super) program: String,
    /// The function.
    pub(super) function: String,
    /// Its section in the object; none of what is in the kernel.
    pub(super) section: Option<String>,
    pub(super) rows: Vec<Row>,
    /// What is to be known of it.
    pub(super) notes: Vec<String>,
}

/// One instruction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// Of BPF the number of the instruction, of machine code the offset in bytes.
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) text: String,
    /// The line that begins here.
    pub(super) line: Option<Line>,
    /// What the linker or libbpf puts in: kind and symbol.
    pub(super) relocations: Vec<(String, String)>,
    /// What CO-RE puts in.
    pub(super) core: Vec<String>,
}

/// A line of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) words: String,
}

/// A function of an object.
pub(super) fn of_object(dump: &Dump<'_>, function: &FunctionCode, helpers: &Helpers) -> Listing {
    let rows = insn::decode(&function.bytes).into_iter().map(|instruction| {
        let at = instruction.at * SIZE;
        let line = function.lines.iter().rfind(|(place, _)| *place == at).map(|(_, line)| line);
        Row {
            at: u64::try_from(instruction.at).unwrap_or(u64::MAX),
            bytes: bytes_of(&function.bytes, &instruction),
            text: insn::text(&instruction, helpers),
            line: line.map(|line| dump.line(&line.file, line.line, &line.text)),
            relocations: function
                .relocations
                .iter()
                .filter(|(place, _)| *place == at)
                .map(|(_, one)| (one.kind.to_owned(), one.symbol.clone()))
                .collect(),
            core: function.core.iter().filter(|(place, _)| *place == at).map(|(_, text)| text.clone()).collect(),
        }
    });
    Listing {
        stage: "object",
        program: function.name.clone(),
        function: function.name.clone(),
        section: Some(function.section.clone()),
        rows: rows.collect(),
        notes: Vec::new(),
    }
}

/// The bytes of an instruction.
pub(super) fn bytes_of(all: &[u8], instruction: &Instruction) -> Vec<u8> {
    let start = instruction.at * SIZE;
    all.get(start..start + instruction.places() * SIZE).unwrap_or_default().to_vec()
}
