//! Which events can be opened while programs are loaded.

use crate::facts::Facts;
use crate::kind::{self, Early, EarlyEvent, Target};

/// Begins what the kernel waits for before it opens the first event of a user function in one process, where a probe will
/// need such events.
pub fn expect_events(facts: &Facts, pids: &[u32]) {
    let mut forms = facts.programs.iter().flat_map(|program| &program.forms);
    if !pids.is_empty() && forms.any(|form| matches!(form.kind.as_str(), "uprobe" | "uretprobe" | "usdt")) {
        kind::expect_events_of_processes();
    }
}

/// Begins to open the events of programs that are attached to single places of user functions, each by an event of its own.
/// `planned` are indexes into [`Facts::programs`] with their targets.
pub fn open_early<'t>(facts: &Facts, planned: impl IntoIterator<Item = (usize, &'t [Target])>) -> Early {
    let events = planned.into_iter().flat_map(|(index, targets)| events(facts, index, targets));
    Early::open(events.collect())
}

fn events(facts: &Facts, index: usize, targets: &[Target]) -> Vec<EarlyEvent> {
    let form = facts.programs.get(index).and_then(|program| match program.forms.as_slice() {
        [form] => Some(form.kind.as_str()),
        _ => None,
    });
    let returns = match form {
        Some("uprobe") => false,
        Some("uretprobe") => true,
        _ => return Vec::new(),
    };
    let event = |target: &Target| match target {
        // Several places of one function may get one link, which has no event.
        Target::UserFunction { open, places, pid, .. } => match places.as_slice() {
            [place] => Some(EarlyEvent { file: open.clone(), offset: place.offset, pid: *pid, returns }),
            _ => None,
        },
        _ => None,
    };
    targets.iter().map(event).collect::<Option<Vec<_>>>().unwrap_or_default()
}
