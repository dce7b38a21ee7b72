//! `dbcc symbols --sites`: what the kernel does at the place of a probe, and where a probe is cheaper.

use serde_json::{Value, json};
use symres::{Binary, Function, Handling, KernelVersion, NoSite, Place, PlaceKind, Site};

use super::text::counted;
use crate::escape::harmless;
use crate::kernel;

/// How many functions were looked at, by what a probe on them costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    gain: usize,
    emulated: usize,
    stepped: usize,
    refused: usize,
}

/// Looks at sites, for the kernel that runs here.
#[derive(Debug)]
pub(super) struct Sites<'b> {
    binary: &'b Binary,
    kernel: KernelVersion,
}

impl<'b> Sites<'b> {
    pub(super) fn new(binary: &'b Binary) -> Self {
        let kernel = KernelVersion::of_release(&kernel::release()).unwrap_or(KernelVersion::OLDEST);
        Self { binary, kernel }
    }

    /// The site of a place.
    ///
    /// # Errors
    ///
    /// When the file can no longer be read.
    pub(super) fn of(&self, place: &Place) -> Result<Site, symres::Error> {
        self.binary.site(place, self.kernel)
    }

    /// Counts the bodies of functions.
    ///
    /// # Errors
    ///
    /// When the file can no longer be read.
    pub(super) fn tally(&self, functions: &[Function]) -> Result<Tally, symres::Error> {
        let mut tally = Tally::default();
        for function in functions {
            if let Some(body) = function.body().filter(|place| place.kind == PlaceKind::Body) {
                tally.add(&self.of(body)?);
            }
        }
        Ok(tally)
    }
}

impl Tally {
    fn add(&mut self, site: &Site) {
        let count = match (&site.entry, &site.best) {
            (Handling::Refused(_), _) => &mut self.refused,
            (Handling::Emulated, _) => &mut self.emulated,
            (_, Some(_)) => &mut self.gain,
            (_, None) => &mut self.stepped,
        };
        *count += 1;
    }

    /// One line on them; none where there is nothing to sum up.
    pub(super) fn summary(self) -> Option<String> {
        let Tally { gain, emulated, stepped, refused } = self;
        let all = gain + emulated + stepped + refused;
        let refused = if refused > 0 { format!(", {refused} cannot be probed") } else { String::new() };
        (all > 1).then(|| {
            format!(
                "{gain} of {} gain by a site behind the entry; {emulated} are emulated at the entry, {stepped} are \
                 single-stepped{refused}",
                counted(all, "function", "functions")
            )
        })
    }
}

/// What is to be known of a site, for people.
pub(super) fn line(site: &Site) -> String {
    let instruction = harmless(&site.instruction);
    match (&site.entry, &site.best, &site.reason) {
        (Handling::Refused(why), _, _) => format!("cannot be probed: {}", harmless(&why.to_string())),
        (Handling::Emulated, _, _) => format!("probe: `{instruction}` is emulated"),
        (_, Some(best), _) => format!(
            "probe: `{instruction}` is single-stepped; cheaper at +{:#x}, where `{}` is emulated",
            best.offset.0,
            harmless(&best.instruction)
        ),
        (_, None, Some(NoSite::NoEntry) | None) => format!("probe: `{instruction}` is single-stepped"),
        (_, None, Some(why)) => {
            format!("probe: `{instruction}` is single-stepped; nowhere cheaper: {}", harmless(&why.to_string()))
        }
    }
}

/// The same for programs.
pub(super) fn object(site: &Site) -> Value {
    let best = site.best.as_ref().map(|best| {
        json!({
            "address": best.addr.0,
            "from_entry": best.offset.0,
            "instruction": best.instruction,
            "stack_delta": best.stack_delta,
            "skipped": best.skipped,
            "same_registers": best.same_registers,
        })
    });
    let refused = match &site.entry {
        Handling::Refused(why) => Some(why.to_string()),
        _ => None,
    };
    json!({
        "instruction": site.instruction,
        "entry": site.entry.name(),
        "refused": refused,
        "best": best,
        "reason": site.reason.as_ref().map(name),
        "message": site.reason.as_ref().map(NoSite::to_string),
    })
}

fn name(reason: &NoSite) -> &'static str {
    match reason {
        NoSite::Cheap => "emulated-already",
        NoSite::Machine => "other-machine",
        NoSite::NoEntry => "no-entry",
        NoSite::UnknownSize => "unknown-size",
        NoSite::TooLong => "too-long",
        NoSite::Ends(_) => "ends",
        NoSite::Changes { .. } => "changes",
        NoSite::MayFault(_) => "may-fault",
        NoSite::NoneEmulated => "none-emulated",
        NoSite::BranchedTo { .. } => "branched-to",
        NoSite::TableJump { .. } => "table-jump",
        NoSite::OtherEntry(_) => "other-entry",
        NoSite::NotCode(_) => "not-code",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use symres::{BestSite, ByteSpan, VirtAddr};

    use super::*;

    fn site(instruction: &str, entry: Handling, best: Option<BestSite>, reason: Option<NoSite>) -> Site {
        Site { instruction: instruction.to_owned(), entry, best, reason }
    }

    fn push() -> BestSite {
        BestSite {
            addr: VirtAddr(0x1004),
            offset: ByteSpan(4),
            instruction: "push rbp".to_owned(),
            stack_delta: 0,
            skipped: vec!["endbr64".to_owned()],
            same_registers: true,
        }
    }

    #[test]
    fn a_site_says_what_it_costs_and_where_it_is_cheaper() {
        let gains = site("endbr64", Handling::SingleStepped, Some(push()), None);
        assert_eq!(line(&gains), "probe: `endbr64` is single-stepped; cheaper at +0x4, where `push rbp` is emulated");
        let emulated = site("push rbp", Handling::Emulated, None, Some(NoSite::Cheap));
        assert_eq!(line(&emulated), "probe: `push rbp` is emulated");
        let stepped = site("sub rsp,8", Handling::SingleStepped, None, Some(NoSite::NoneEmulated));
        assert!(line(&stepped).ends_with("; nowhere cheaper: none of its first instructions is emulated"));
        let object = object(&gains);
        assert_eq!((&object["entry"], &object["best"]["from_entry"]), (&json!("single-stepped"), &json!(4)));
        assert_eq!(self::object(&stepped)["reason"], "none-emulated");

        let mut tally = Tally::default();
        assert_eq!(tally.summary(), None);
        [&gains, &emulated, &stepped, &gains].into_iter().for_each(|site| tally.add(site));
        assert_eq!(
            tally.summary().as_deref(),
            Some("2 of 4 functions gain by a site behind the entry; 1 are emulated at the entry, 1 are single-stepped")
        );
    }
}
