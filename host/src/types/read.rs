//! How a probe reads the place that a path leads to.

use symres::layout::{TypeNumber, Types, spell};

use super::path::Place;

/// How to read a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// What `p` is.
    pub(super) parameter: String,
    /// An expression in C.
    pub(super) expression: String,
}

/// Of an object of the kernel: dbcc knows its types, and makes the reads itself.
pub(super) fn of_kernel(types: &dyn Types, from: TypeNumber, place: &Place) -> Reading {
    Reading { parameter: format!("{} *p", spell(types, from, "")), expression: place.expression.clone() }
}

/// Of an object of a process: its types are not known to the probe, so every pointer is read where it stands.
pub(super) fn of_process(types: &dyn Types, place: &Place) -> Reading {
    let mut text = "({ __u64 a = (__u64)p; ".to_owned();
    for hop in &place.through {
        text.push_str(&format!("bpf_probe_read_user(&a, sizeof(a), (void *)(a + {})); ", hop.offset));
    }
    let (bytes, bits) = (place.bit_offset / 8, place.bit_offset % 8);
    let size = match place.bit_width {
        Some(width) => Some((bits + width).div_ceil(8)),
        None => place.size(types),
    };
    let (declaration, scalar) = match size {
        Some(1) => ("__u8 v = 0".to_owned(), true),
        Some(2) => ("__u16 v = 0".to_owned(), true),
        Some(4) => ("__u32 v = 0".to_owned(), true),
        Some(3) if place.bit_width.is_some() => ("__u32 v = 0".to_owned(), true),
        Some(5..=8) if place.bit_width.is_some() => ("__u64 v = 0".to_owned(), true),
        Some(8) => ("__u64 v = 0".to_owned(), true),
        // What does not fit in a register is given by its address.
        _ => (String::new(), false),
    };
    if !scalar {
        text.push_str(&format!("(void *)(a + {bytes}); }})"));
        return Reading { parameter: "void *p".to_owned(), expression: text };
    }
    let length = match place.bit_width {
        Some(_) => size.unwrap_or(0).to_string(),
        None => "sizeof(v)".to_owned(),
    };
    text.push_str(&format!("{declaration}; bpf_probe_read_user(&v, {length}, (void *)(a + {bytes})); "));
    match place.bit_width {
        Some(width) => {
            let mask = if width >= 64 { u64::MAX } else { (1_u64 << width) - 1 };
            text.push_str(&format!("v >> {bits} & {mask:#x}; }})"));
        }
        None => text.push_str("v; })"),
    }
    Reading { parameter: "void *p".to_owned(), expression: text }
}
