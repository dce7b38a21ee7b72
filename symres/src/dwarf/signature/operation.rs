//! Expressions of DWARF as text, for those whose value cannot be told beforehand.

use std::fmt::Write as _;

use gimli::{DwOp, Encoding, Expression, Operation, Reader};

/// Longer expressions are cut.
const MAX_OPERATIONS: usize = 64;

/// `DW_OP_breg5 8; DW_OP_deref; DW_OP_stack_value`.
pub(super) fn text<R: Reader<Offset = usize>>(expression: &Expression<R>, encoding: Encoding) -> String {
    let mut out = String::new();
    let mut input = expression.0.clone();
    for count in 0.. {
        if input.is_empty() {
            break;
        }
        if count > 0 {
            out.push_str("; ");
        }
        let name =
            input.clone().read_u8().ok().map(|opcode| {
                DwOp(opcode).static_string().map_or_else(|| format!("DW_OP_{opcode:#04x}"), str::to_owned)
            });
        let operation = Operation::parse(&mut input, encoding);
        let (Some(name), Ok(operation), true) = (name, operation, count < MAX_OPERATIONS) else {
            out.push_str("...");
            break;
        };
        out.push_str(&name);
        out.push_str(&operands(&operation, encoding));
    }
    out
}

fn operands<R: Reader<Offset = usize>>(operation: &Operation<R>, encoding: Encoding) -> String {
    match operation {
        // The number of the register is in the operation's name, or the first operand of `DW_OP_bregx`.
        Operation::RegisterOffset { register, offset, .. } if register.0 < 32 => format!(" {offset}"),
        Operation::RegisterOffset { register, offset, .. } => format!(" {} {offset}", register.0),
        Operation::Register { register } if register.0 >= 32 => format!(" {}", register.0),
        Operation::FrameOffset { offset } => format!(" {offset}"),
        Operation::PlusConstant { value } => format!(" {value}"),
        // Those up to 31 are in the operation's name (`DW_OP_lit5`).
        Operation::UnsignedConstant { value } if *value < 32 => String::new(),
        Operation::UnsignedConstant { value } => format!(" {value}"),
        Operation::SignedConstant { value } => format!(" {value}"),
        Operation::Address { address } => format!(" {address:#x}"),
        Operation::Pick { index } => format!(" {index}"),
        Operation::Deref { size, .. } if *size != encoding.address_size => format!(" {size}"),
        Operation::Bra { target } | Operation::Skip { target } => format!(" {target}"),
        Operation::Piece { size_in_bits, bit_offset: None } => format!(" {}", size_in_bits / 8),
        Operation::Piece { size_in_bits, bit_offset: Some(offset) } => format!(" {size_in_bits} {offset}"),
        Operation::ImplicitPointer { byte_offset, .. } => format!(" {byte_offset:+}"),
        Operation::EntryValue { expression } => {
            // What is inside does not nest any further.
            let mut out = String::new();
            let mut input = expression.clone();
            while !input.is_empty()
                && out.len() < 256
                && let Ok(inner) = Operation::parse(&mut input, encoding)
            {
                let _ = match inner {
                    Operation::Register { register } => write!(out, " reg{}", register.0),
                    Operation::RegisterOffset { register, offset, .. } => write!(out, " reg{}{offset:+}", register.0),
                    _ => write!(out, " ..."),
                };
            }
            format!("({})", out.trim_start())
        }
        _ => String::new(),
    }
}
