//! How large the ring buffers of events are made.

use super::{LoadError, Settings};
use crate::bpf::OpenObject;
use crate::bpf::map::possible_cpus;
use crate::directive::BufferSize;
use crate::facts::{Facts, MapRole};

/// Pages of each CPU, as BCC has them, and the least and most bytes of the buffer that is made of them. It is memory that is
/// mapped twice, so that records at its end go on at its start.
const PAGES: u64 = 64;
const LEAST: u32 = 1 << 20;
const MOST: u32 = 8 << 20;

/// Sets the sizes of those ring buffers that outputs became, and of those that directives name.
pub(super) fn size(object: &mut OpenObject, facts: &Facts, settings: &Settings) -> Result<(), LoadError> {
    for buffer in &settings.buffers {
        let fact = facts.maps.iter().find(|fact| fact.name == buffer.map);
        if !matches!(fact.map(|fact| &fact.role), Some(MapRole::RingEvents(_) | MapRole::PerfEvents(_))) {
            return Err(LoadError::Text {
                span: buffer.span,
                message: format!("`{}` is no output of events, so it has no buffer", buffer.map),
                help: "name a map of BPF_PERF_OUTPUT or BPF_RINGBUF_OUTPUT".to_owned(),
            });
        }
    }
    let cpus = possible_cpus()?;
    for fact in facts.maps.iter().filter(|fact| matches!(fact.role, MapRole::RingEvents(_))) {
        let named = settings.buffers.iter().find(|buffer| buffer.map == fact.name).map(|buffer| buffer.size);
        let bytes = match named.or(settings.buffer.filter(|_| fact.stamped)) {
            Some(size) => size.ring_bytes(cpus),
            None if fact.stamped => BufferSize::Pages(PAGES).ring_bytes(cpus).clamp(LEAST, MOST),
            // The probe says itself how large it is.
            None => continue,
        };
        object.set_entries(&fact.name, bytes)?;
    }
    Ok(())
}
