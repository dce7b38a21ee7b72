//! Uprobes that are set now: by tracefs, by links, by events of perf.

use super::Item;
use super::facts::Facts;
use crate::bpf::inventory::{self, EventKind, ObjectKind, Place};
use crate::ps::holders::{Attached, holders};

/// All that can be seen, as `KIND:FILE+OFFSET`.
pub(super) fn uprobes(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    let mut found = Vec::new();
    match facts.kernel.tracefs().map_err(ToString::to_string) {
        // Kernels without uprobes have no such file.
        Ok(tracefs) => {
            if let Ok(text) = tracefs.read("uprobe_events") {
                found.extend(text.lines().filter_map(of_tracefs));
            }
        }
        Err(why) => facts.note(format!("uprobes of tracefs are not listed: {why}")),
    }
    match inventory::all(ObjectKind::Link) {
        Ok(links) => {
            let places = links.into_iter().filter_map(|id| inventory::open(id).ok().flatten());
            found.extend(places.filter_map(|fd| of_link(&inventory::link(std::os::fd::AsFd::as_fd(&fd)).ok()?.place)));
        }
        Err(error) => facts.note(format!("uprobes of BPF links are not listed: {error}")),
    }
    found.extend(holders().attached.iter().filter_map(of_event));
    found.retain(|item| {
        facts.query.fits(&item.name) || item.name.split_once(':').is_some_and(|(_, file)| facts.query.fits(file))
    });
    // The event under a link is its own, and is told with who has it.
    found.sort_by(|one, other| (&one.name, other.marks.len()).cmp(&(&other.name, one.marks.len())));
    found.dedup_by(|next, first| next.name == first.name && (next.marks.is_empty() || next.marks == first.marks));
    Ok(found)
}

/// `p:GROUP/EVENT PATH:0xOFFSET[(0xCOUNTER)] [ARGUMENTS]` (Documentation/trace/uprobetracer.rst).
fn of_tracefs(line: &str) -> Option<Item> {
    let mut words = line.split_whitespace();
    let (event, place) = (words.next()?, words.next()?);
    let (kind, event) = event.split_once(':')?;
    let kind = if kind.starts_with('r') { "uretprobe" } else { "uprobe" };
    let (file, offset) = place.rsplit_once(':')?;
    let offset = offset.split('(').next().unwrap_or(offset);
    let offset = u64::from_str_radix(offset.trim_start_matches("0x"), 16).ok()?;
    Some(Item {
        name: format!("{kind}:{file}+{offset:#x}"),
        marks: vec![format!("event {event} of tracefs")],
        ..Item::default()
    })
}

fn of_link(place: &Place) -> Option<Item> {
    match place {
        Place::UserFunctions { path, count, returns, pid } => {
            let kind = if *returns { "uretprobe" } else { "uprobe" };
            let whose = if *pid > 0 { format!(", in process {pid} alone") } else { String::new() };
            Some(Item {
                name: format!("{kind}:{path}"),
                marks: vec![format!("{count} places by one link{whose}")],
                ..Item::default()
            })
        }
        Place::Event { what: kind @ ("uprobe" | "uretprobe"), name, offset } => {
            Some(Item { name: format!("{kind}:{name}+{offset:#x}"), ..Item::default() })
        }
        _ => None,
    }
}

fn of_event(attached: &Attached) -> Option<Item> {
    let event = &attached.event;
    let kind = match event.kind {
        EventKind::Uprobe | EventKind::Uretprobe => event.kind.name(),
        _ => return None,
    };
    Some(Item {
        name: format!("{kind}:{}+{:#x}", event.name, event.offset),
        marks: vec![format!("program {} of {} ({})", event.program, attached.holder.comm, attached.holder.pid)],
        ..Item::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tracefs_are_read() {
        let item = of_tracefs("p:uprobes/p_x_1 /bin/x:0x0000000000001139 a=%di:u64").unwrap();
        assert_eq!(
            (item.name.as_str(), item.marks.as_slice()),
            ("uprobe:/bin/x+0x1139", &["event uprobes/p_x_1 of tracefs".to_owned()][..])
        );
        let item = of_tracefs("r:perf/r /bin/y:z:0x10(0x20)").unwrap();
        assert_eq!(item.name, "uretprobe:/bin/y:z+0x10");
        assert_eq!(of_tracefs("p"), None);
        assert_eq!(of_tracefs("p:a/b /bin/x:nothing"), None);
    }
}
