//! What was found, as text and as JSON lines.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::{Census, Holder, ObjectId, ObjectKind, Program, Runs};
use crate::escape::harmless;

impl Runs {
    /// Nanoseconds of one run on the average; none where there was none.
    fn average(self) -> Option<u64> {
        self.nanoseconds.checked_div(self.count)
    }

    fn per_second(self) -> f64 {
        self.count as f64 / self.over.as_secs_f64().max(f64::EPSILON)
    }
}

impl Census {
    /// Who and what holds an object, in words.
    fn held_by(&self, id: ObjectId) -> String {
        let mut words: Vec<String> =
            self.processes(id).iter().map(|Holder { pid, comm }| format!("{comm}({pid})")).collect();
        words.extend(self.pinned(id).iter().cloned());
        match id.kind {
            ObjectKind::Program => {
                let links = self.links.iter().filter(|link| link.info.program == id.number);
                words.extend(links.map(|link| format!("link {}", link.number)));
            }
            ObjectKind::Map => match self.users(id.number).as_slice() {
                [] => {}
                [one] => words.push(format!("program {one}")),
                several => {
                    let several: Vec<String> = several.iter().map(u32::to_string).collect();
                    words.push(format!("programs {}", several.join(",")));
                }
            },
            ObjectKind::Link => {}
        }
        words.join(" ")
    }

    /// The processes that have an object open, or an event that a program is on.
    fn processes(&self, id: ObjectId) -> Vec<Holder> {
        let mut all = self.holders.of(id).to_vec();
        if id.kind == ObjectKind::Program {
            let events = self.holders.attached.iter().filter(|attached| attached.event.program == id.number);
            for attached in events {
                if !all.contains(&attached.holder) {
                    all.push(attached.holder.clone());
                }
            }
        }
        all
    }

    fn pinned(&self, id: ObjectId) -> &[String] {
        self.pins.get(&id).map(Vec::as_slice).unwrap_or_default()
    }

    /// The programs that use a map.
    fn users(&self, map: u32) -> Vec<u32> {
        let users = self.programs.iter().filter(|program| program.info.maps.contains(&map));
        users.map(|program| program.number).collect()
    }
}

pub(super) fn text(census: &Census, counted: bool, out: &mut dyn Write) -> io::Result<()> {
    let dash = || "-".to_owned();
    let id = |kind, number| ObjectId { kind, number };
    let mut programs =
        vec![["PROGRAM", "TYPE", "NAME", "RUNS/S", "NS/RUN", "ATTACHED TO", "HELD BY"].map(str::to_owned)];
    for program in &census.programs {
        let runs = program.runs.filter(|_| counted);
        programs.push([
            program.number.to_string(),
            program.info.kind.clone(),
            program.info.name.clone(),
            runs.map_or_else(dash, |runs| format!("{:.0}", runs.per_second())),
            runs.and_then(Runs::average).map_or_else(dash, |average| average.to_string()),
            match program.attached.as_slice() {
                [] => dash(),
                [one] => one.clone(),
                [first, rest @ ..] => format!("{first} and {} more", rest.len()),
            },
            census.held_by(id(ObjectKind::Program, program.number)),
        ]);
    }
    table(&programs, &[0, 3, 4], out)?;
    let mut maps = vec![["MAP", "TYPE", "NAME", "KEY", "VALUE", "ENTRIES", "MEMORY", "HELD BY"].map(str::to_owned)];
    for map in &census.maps {
        maps.push([
            map.number.to_string(),
            map.info.kind.clone(),
            map.info.name.clone(),
            map.info.key_size.to_string(),
            map.info.value_size.to_string(),
            map.info.max_entries.to_string(),
            map.memory.map_or_else(dash, |memory| memory.to_string()),
            census.held_by(id(ObjectKind::Map, map.number)),
        ]);
    }
    writeln!(out)?;
    table(&maps, &[0, 3, 4, 5, 6], out)?;
    let mut links = vec![["LINK", "TYPE", "PROGRAM", "ATTACHED TO", "HELD BY"].map(str::to_owned)];
    for link in &census.links {
        links.push([
            link.number.to_string(),
            link.info.kind.clone(),
            link.info.program.to_string(),
            if link.place.is_empty() { dash() } else { link.place.clone() },
            census.held_by(id(ObjectKind::Link, link.number)),
        ]);
    }
    writeln!(out)?;
    table(&links, &[0, 2], out)
}

/// Rows in aligned columns, the first of them headings; those of `right` are aligned to the right.
fn table<const N: usize>(rows: &[[String; N]], right: &[usize], out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| row.each_ref().map(|cell| harmless(cell).into_owned())).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    for row in &rows {
        let mut line = String::new();
        for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
            let blanks = " ".repeat(width.saturating_sub(cell.width()));
            line.push_str(if index > 0 { "  " } else { "" });
            match right.contains(&index) {
                true => line.extend([&blanks, cell.as_str()]),
                false => line.extend([cell.as_str(), &blanks]),
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

pub(super) fn json(census: &Census, out: &mut dyn Write) -> io::Result<()> {
    for program in &census.programs {
        writeln!(out, "{}", program_json(census, program))?;
    }
    for map in &census.maps {
        let id = ObjectId { kind: ObjectKind::Map, number: map.number };
        let info = &map.info;
        let line = json!({"kind": "map", "id": map.number, "type": info.kind, "name": info.name,
            "key_size": info.key_size, "value_size": info.value_size, "max_entries": info.max_entries,
            "memory": map.memory, "programs": census.users(map.number), "processes": processes(census, id),
            "pinned": census.pinned(id)});
        writeln!(out, "{line}")?;
    }
    for link in &census.links {
        let id = ObjectId { kind: ObjectKind::Link, number: link.number };
        let line = json!({"kind": "link", "id": link.number, "type": link.info.kind, "program": link.info.program,
            "attached_to": Some(&link.place).filter(|place| !place.is_empty()), "processes": processes(census, id),
            "pinned": census.pinned(id)});
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn program_json(census: &Census, program: &Program) -> Value {
    let id = ObjectId { kind: ObjectKind::Program, number: program.number };
    let links: Vec<u32> =
        census.links.iter().filter(|link| link.info.program == program.number).map(|link| link.number).collect();
    let info = &program.info;
    json!({"kind": "program", "id": program.number, "type": info.kind, "name": info.name, "tag": info.tag,
        "uid": info.uid, "loaded_at": loaded_at(info.load_time), "xlated": info.xlated, "jited": info.jited,
        "memory": program.memory, "maps": info.maps, "links": links,
        "runs": program.runs.map(|runs| runs.count), "seconds": program.runs.map(|runs| runs.over.as_secs_f64()),
        "ns_per_run": program.runs.and_then(Runs::average),
        "run_count": info.run_count, "run_time_ns": info.run_time,
        "attached_to": program.attached, "processes": processes(census, id), "pinned": census.pinned(id)})
}

fn processes(census: &Census, id: ObjectId) -> Vec<Value> {
    let all = census.processes(id);
    all.iter().map(|Holder { pid, comm }| json!({"pid": pid, "comm": harmless(comm)})).collect()
}

/// Seconds since 1970 of a moment that the kernel counts from when the machine was started.
fn loaded_at(since_start: u64) -> Option<u64> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?);
    let age = now.checked_sub(Duration::from_nanos(since_start))?;
    Some(SystemTime::now().checked_sub(age)?.duration_since(UNIX_EPOCH).ok()?.as_secs())
}
