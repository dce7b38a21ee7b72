//! Which instruction of a place is probed: its first, or a cheaper one behind it at which the program sees the same.

use symres::{BestSite, Binary, Function, Handling, KernelVersion, Place, PlaceKind, Refusal, Site};

use super::Miss;
use super::places::counted;
use crate::facts::RegisterReads;
use crate::kernel;
use crate::kind::{UserPlace, UserPlaceKind};

/// What the choice depends on beside the place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sites {
    /// What it is asked for: `--at-entry`.
    pub(super) at_entry: bool,
    /// What the program reads.
    pub(super) reads: RegisterReads,
    /// Whether the returns of the function are probed.
    pub(super) returns: bool,
    /// The kernel that will be given the place.
    pub(super) kernel: KernelVersion,
}

/// The version of the kernel, or the oldest where it does not say.
pub(super) fn kernel_version() -> KernelVersion {
    KernelVersion::of_release(&kernel::release()).unwrap_or(KernelVersion::OLDEST)
}

/// Where one place is probed.
#[derive(Debug)]
enum Choice {
    /// At its first instruction. Why at no cheaper one, where there is something to say.
    Entry(Option<String>),
    /// At an instruction behind that; what the first one is.
    Behind(BestSite, String),
    /// Nowhere.
    Refused(Refusal),
}

impl Sites {
    /// Moves the places of one function to where they are probed; what was chosen and why, and what is not seen.
    ///
    /// # Errors
    /// When the function's own code, or all there is of it, cannot be probed.
    pub(super) fn of_function(
        &self,
        (name, binary): (&str, &Binary),
        matches: &[Function],
        places: &mut Vec<UserPlace>,
    ) -> Result<(Vec<String>, Vec<String>), Miss> {
        let shown = binary.shown().display();
        let (mut notes, mut refused) = (Vec::new(), Vec::new());
        let mut error = None;
        let mut kept = Vec::with_capacity(places.len());
        for mut place in places.drain(..) {
            let choice = match found(matches, &place) {
                Some(found) => self.choose(binary, &found)?,
                None => Choice::Entry(None),
            };
            match choice {
                Choice::Behind(best, first) => {
                    notes.push(format!(
                        "{name} of {shown} is probed {} bytes behind its entry, at `{}`, which the kernel emulates; `{first}` \
                         would be single-stepped (--at-entry probes it all the same)",
                        best.offset, best.instruction
                    ));
                    place.offset = place.offset.saturating_add(best.offset.0);
                }
                Choice::Entry(Some(why)) if place.kind == UserPlaceKind::Entry => {
                    notes.push(format!("{name} of {shown} is probed at its entry: {why}"));
                }
                Choice::Entry(_) => {}
                Choice::Refused(why) if matches!(place.kind, UserPlaceKind::Inlined { .. }) => {
                    refused.push(why);
                    continue;
                }
                Choice::Refused(why) => {
                    let error =
                        error.get_or_insert_with(|| Miss::new(format!("`{name}` of `{shown}` cannot be probed")));
                    error.notes.push(why.to_string());
                }
            }
            kept.push(place);
        }
        *places = kept;
        if let Some(error) = error {
            return Err(error);
        }
        let Some(why) = refused.first() else { return Ok((notes, Vec::new())) };
        if places.is_empty() {
            let mut miss = Miss::new(format!("none of the inlined copies of `{name}` of `{shown}` can be probed"));
            miss.notes = refused.iter().map(Refusal::to_string).collect();
            miss.notes.dedup();
            return Err(miss);
        }
        let copies = counted(refused.len(), "inlined copy", "inlined copies");
        Ok((notes, vec![format!("{copies} of `{name}` cannot be probed: {why}")]))
    }

    /// Moves the places of the functions that a pattern fits; what was chosen and why, and what is left out.
    ///
    /// # Errors
    /// When none of them can be probed, or the binary cannot be read.
    pub(super) fn of_pattern(
        &self,
        (pattern, binary): (&str, &Binary),
        matches: &[Function],
        places: &mut Vec<(String, u64)>,
    ) -> Result<(Vec<String>, Vec<String>), Miss> {
        let by_offset: std::collections::HashMap<u64, &Place> =
            matches.iter().flat_map(|function| &function.places).map(|place| (place.offset.0, place)).collect();
        let (mut moved, mut refused) = (0_usize, Vec::new());
        let all = places.len();
        let mut kept = Vec::with_capacity(all);
        for (name, offset) in places.drain(..) {
            let choice = match by_offset.get(&offset) {
                Some(place) => self.choose(binary, place)?,
                None => Choice::Entry(None),
            };
            match choice {
                Choice::Behind(best, _) => {
                    moved += 1;
                    kept.push((name, offset.saturating_add(best.offset.0)));
                }
                Choice::Entry(_) => kept.push((name, offset)),
                Choice::Refused(why) => refused.push((name, why)),
            }
        }
        *places = kept;
        if let (true, Some((name, why))) = (places.is_empty(), refused.first()) {
            let mut miss =
                Miss::new(format!("nothing of `{}` that `{pattern}` fits can be probed", binary.shown().display()));
            miss.notes.push(format!("{name}: {why}"));
            return Err(miss);
        }
        let mut notes = Vec::new();
        if moved > 0 {
            notes.push(format!(
                "`{pattern}`: {moved} of {} are probed behind their entry, at an instruction that the kernel emulates",
                counted(all, "place", "places")
            ));
        }
        let warnings = refused.first().map(|(name, why)| {
            format!(
                "{} that `{pattern}` fits cannot be probed, as {name}: {why}",
                counted(refused.len(), "place", "places")
            )
        });
        Ok((notes, warnings.into_iter().collect()))
    }

    fn choose(&self, binary: &Binary, place: &Place) -> Result<Choice, Miss> {
        let shown = binary.shown().display();
        let site =
            binary.site(place, self.kernel).map_err(|error| Miss::new(format!("cannot read `{shown}`: {error}")))?;
        Ok(self.decide(site))
    }

    fn decide(&self, site: Site) -> Choice {
        let Site { instruction, entry, best, reason } = site;
        let best = match (best, entry) {
            (Some(best), _) if !self.at_entry => match self.sees_more_at_entry(&best) {
                Some(why) => return Choice::Entry(Some(format!("the program reads {why}"))),
                None => best,
            },
            (_, Handling::Refused(refusal)) => return Choice::Refused(refusal),
            (None, Handling::SingleStepped) => {
                let why = reason.map(|reason| format!(", and there is no cheaper one behind it: {reason}"));
                return Choice::Entry(Some(format!("`{instruction}` is single-stepped{}", why.unwrap_or_default())));
            }
            _ => return Choice::Entry(None),
        };
        Choice::Behind(best, instruction)
    }

    /// What the program reads that is something else at the site.
    fn sees_more_at_entry(&self, best: &BestSite) -> Option<&'static str> {
        let RegisterReads { ip, sp, stack, return_value, others, everything, .. } = self.reads;
        let is_moved = best.stack_delta != 0;
        match self.returns {
            // The kernel finds the return address by the stack pointer (arch_uretprobe_hijack_return_addr); from then on, the
            // registers are those at the return.
            true if is_moved => Some("the return address, and the stack pointer is changed behind the entry"),
            true if ip || everything => Some("the instruction pointer"),
            true => None,
            false if everything => Some("all registers"),
            false if ip => Some("the instruction pointer"),
            false if stack => Some("the stack"),
            false if sp && is_moved => Some("the stack pointer, which is changed behind the entry"),
            false if (return_value || others) && !best.same_registers => {
                Some("registers that carry no arguments, and some of them are changed behind the entry")
            }
            false => None,
        }
    }
}

/// The place that symres found, or would find if it were asked for an instruction inside of a function.
fn found(matches: &[Function], wanted: &UserPlace) -> Option<Place> {
    let all = || matches.iter().flat_map(|function| &function.places);
    let exact = all().find(|place| place.offset.0 == wanted.offset);
    if exact.is_some() || wanted.kind != UserPlaceKind::Inside {
        return exact.cloned();
    }
    let body = all().find(|place| wanted.offset.checked_sub(place.offset.0).is_some_and(|into| into < place.size.0))?;
    let from_entry = symres::ByteSpan(wanted.offset.checked_sub(body.offset.0)?);
    let kind = PlaceKind::Inside { from_entry, line: None, inlined: Vec::new() };
    let addr = symres::VirtAddr(body.addr.0.checked_add(from_entry.0)?);
    let offset = symres::FileOffset(wanted.offset);
    Some(Place { addr, offset, kind, ..body.clone() })
}

#[cfg(test)]
mod tests;
