//! Machine code in rows.

use super::listing::{Line, Row};
use super::names::Symbols;

/// The instructions of a function that begins at `start`, and what is to be known of them.
#[cfg(target_arch = "x86_64")]
pub(super) fn rows(code: &[u8], start: u64, lines: &[(u64, Line)], symbols: &Symbols) -> (Vec<Row>, Vec<String>) {
    use iced_x86::{Decoder, DecoderOptions, Formatter as _, GasFormatter, Instruction};

    // Places are told from the start of the function, as jumps are.
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut formatter = GasFormatter::new();
    formatter.options_mut().set_uppercase_hex(false);
    formatter.options_mut().set_small_hex_numbers_in_decimal(false);
    let mut instruction = Instruction::default();
    let mut rows = Vec::new();
    while decoder.can_decode() {
        let from = decoder.position();
        decoder.decode_out(&mut instruction);
        let mut text = String::new();
        formatter.format(&instruction, &mut text);
        let called = instruction
            .is_call_near()
            .then(|| symbols.at(start.wrapping_add(instruction.near_branch_target())))
            .flatten();
        if let Some(name) = called {
            text.push_str(&format!(" <{name}>"));
        }
        let at = u64::try_from(from).unwrap_or(u64::MAX);
        rows.push(Row {
            at,
            bytes: code.get(from..decoder.position()).unwrap_or_default().to_vec(),
            text,
            line: lines.iter().find(|(place, _)| *place == at).map(|(_, line)| line.clone()),
            ..Row::default()
        });
    }
    (rows, Vec::new())
}

/// The bytes of a function, by the lines that they came from: there is no disassembler for this architecture here.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn rows(code: &[u8], _: u64, lines: &[(u64, Line)], _: &Symbols) -> (Vec<Row>, Vec<String>) {
    /// Instructions of the architectures that this is for have four bytes.
    const SIZE: usize = 4;
    let rows = code.chunks(SIZE).enumerate().map(|(index, bytes)| {
        let at = u64::try_from(index * SIZE).unwrap_or(u64::MAX);
        let line = lines.iter().find(|(place, _)| *place == at).map(|(_, line)| line.clone());
        Row { at, bytes: bytes.to_vec(), line, ..Row::default() }
    });
    let note = format!("machine code of {} is shown in bytes: dbcc reads that of x86_64 alone", std::env::consts::ARCH);
    (rows.collect(), vec![note])
}
