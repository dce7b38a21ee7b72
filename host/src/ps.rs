//! `dbcc ps`: what of BPF is in the kernel, of dbcc and of others: programs, maps and links, who holds them, where they are
//! attached, and how often and how long programs run.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::bpf::Error;
use crate::bpf::inventory::{self, LinkInfo, MapInfo, ObjectId, ObjectKind, ProgramInfo};
use crate::bpf::statistics::Statistics;
use crate::cli::PsArgs;
use crate::config::ConfigError;
use crate::directive::parse_duration;
use crate::kernel::capability;
use crate::pipeline::Failure;

pub(crate) mod holders;
mod pins;
mod place;
mod show;

pub use holders::{Attached, Holder};
use holders::{Holders, holders};

/// A program.
#[derive(Debug, Clone)]
struct Program {
    number: u32,
    info: ProgramInfo,
    memory: Option<u64>,
    /// What it did while that was counted.
    runs: Option<Runs>,
    /// Where it is attached, by its links and by events of processes.
    attached: Vec<String>,
}

/// How often a program ran, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Runs {
    count: u64,
    nanoseconds: u64,
    /// Over which time.
    over: Duration,
}

#[derive(Debug, Clone)]
struct Map {
    number: u32,
    info: MapInfo,
    memory: Option<u64>,
}

#[derive(Debug, Clone)]
struct Link {
    number: u32,
    info: LinkInfo,
    place: String,
}

/// All that was found.
#[derive(Debug, Default)]
struct Census {
    programs: Vec<Program>,
    maps: Vec<Map>,
    links: Vec<Link>,
    holders: Holders,
    pins: BTreeMap<ObjectId, Vec<String>>,
    /// What the user should know.
    notes: Vec<String>,
}

/// Lists what is in the kernel.
///
/// # Errors
/// When the kernel does not tell, or the output cannot be written.
pub fn run(args: &PsArgs, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Failure> {
    let interval = match args.now {
        true => None,
        false => Some(
            parse_duration(&args.interval)
                .map_err(|why| Failure::from(ConfigError::Argument { argument: "--interval".to_owned(), why }))?,
        ),
    };
    if let Some(pid) = args.pid {
        crate::config::check_pids(&[pid])?;
    }
    let mut census = take(interval).map_err(|error| refused(&error))?;
    if let Some(pid) = args.pid {
        census.limit(pid);
    }
    for note in &census.notes {
        writeln!(err, "dbcc: {note}")?;
    }
    if args.json {
        show::json(&census, out)?
    } else {
        show::text(&census, interval.is_some(), out)?
    }
    Ok(())
}

/// The failure of a call that asks for rights.
pub(crate) fn refused(error: &Error) -> Failure {
    let rights = capability::Set::of_this_process();
    let may = rights.is_none_or(|rights| rights.has(capability::Capability::SYS_ADMIN));
    let error = match error.is_permission() && !may {
        true => anyhow::anyhow!("{error}: this process lacks CAP_SYS_ADMIN; run it as root"),
        false => anyhow::Error::new(error.clone()),
    };
    Failure::Unusable(error)
}

fn take(interval: Option<Duration>) -> Result<Census, Error> {
    let mut census = Census::default();
    census.objects(interval)?;
    // Descriptors of this process are closed again, so that it is not among the holders.
    census.holders = holders();
    census.pins = pins::all();
    let mut names = place::Names::default();
    for link in &mut census.links {
        link.place = names.text(&link.info);
        if link.place.is_empty() {
            link.place = census.holders.only_event(link.info.program).map(place::event).unwrap_or_default();
        }
    }
    for program in &mut census.programs {
        let links = census.links.iter().filter(|link| link.info.program == program.number);
        program.attached = links.map(|link| link.place.clone()).filter(|place| !place.is_empty()).collect();
        let events = census.holders.attached.iter().filter(|attached| attached.event.program == program.number);
        for place in events.map(|attached| place::event(&attached.event)) {
            if !program.attached.contains(&place) {
                program.attached.push(place);
            }
        }
    }
    Ok(census)
}

impl Census {
    fn objects(&mut self, interval: Option<Duration>) -> Result<(), Error> {
        let counting = interval.map(|interval| (interval, Statistics::enable()));
        let counted = match counting {
            Some((interval, Ok(statistics))) => Some((interval, statistics, counts()?, Instant::now())),
            Some((_, Err(error))) => {
                self.notes.push(format!("run counts are not shown: {error}"));
                None
            }
            None => None,
        };
        let before = counted.map(|(interval, statistics, before, began)| {
            std::thread::sleep(interval);
            (statistics, before, began)
        });
        for id in inventory::all(ObjectKind::Program)? {
            let Some(fd) = inventory::open(id)? else { continue };
            let fd = std::os::fd::AsFd::as_fd(&fd);
            let info = inventory::program(fd)?;
            let runs = before.as_ref().map(|(_, before, began)| {
                // One that was loaded meanwhile began with nothing.
                let (count, time) = before.get(&id.number).copied().unwrap_or_default();
                Runs {
                    count: info.run_count.saturating_sub(count),
                    nanoseconds: info.run_time.saturating_sub(time),
                    over: began.elapsed(),
                }
            });
            let memory = inventory::memory(fd);
            self.programs.push(Program { number: id.number, info, memory, runs, attached: Vec::new() });
        }
        for id in inventory::all(ObjectKind::Map)? {
            let Some(fd) = inventory::open(id)? else { continue };
            let fd = std::os::fd::AsFd::as_fd(&fd);
            self.maps.push(Map { number: id.number, info: inventory::map(fd)?, memory: inventory::memory(fd) });
        }
        for id in inventory::all(ObjectKind::Link)? {
            let Some(fd) = inventory::open(id)? else { continue };
            let info = inventory::link(std::os::fd::AsFd::as_fd(&fd))?;
            self.links.push(Link { number: id.number, info, place: String::new() });
        }
        Ok(())
    }

    /// Keeps what a process holds, the programs of its links, and the maps of these.
    fn limit(&mut self, pid: u32) {
        let held = |id: ObjectId| self.holders.of(id).iter().any(|holder| holder.pid == pid);
        let id = |kind, number| ObjectId { kind, number };
        let links: Vec<u32> = self.links.iter().map(|link| link.number).collect();
        let links: Vec<u32> = links.into_iter().filter(|number| held(id(ObjectKind::Link, *number))).collect();
        let events = self.holders.attached.iter().filter(|attached| attached.holder.pid == pid);
        let events: Vec<u32> = events.map(|attached| attached.event.program).collect();
        let linked: Vec<u32> =
            self.links.iter().filter(|link| links.contains(&link.number)).map(|link| link.info.program).collect();
        let programs = self.programs.iter().map(|program| program.number);
        let programs: Vec<u32> = programs
            .filter(|number| {
                held(id(ObjectKind::Program, *number)) || linked.contains(number) || events.contains(number)
            })
            .collect();
        let used = self.programs.iter().filter(|program| programs.contains(&program.number));
        let used: Vec<u32> = used.flat_map(|program| program.info.maps.iter().copied()).collect();
        let maps = self.maps.iter().map(|map| map.number);
        let maps: Vec<u32> =
            maps.filter(|number| held(id(ObjectKind::Map, *number)) || used.contains(number)).collect();
        self.programs.retain(|program| programs.contains(&program.number));
        self.maps.retain(|map| maps.contains(&map.number));
        self.links.retain(|link| links.contains(&link.number));
    }
}

/// How often programs ran and for how long, by their numbers.
fn counts() -> Result<BTreeMap<u32, (u64, u64)>, Error> {
    let mut counts = BTreeMap::new();
    for id in inventory::all(ObjectKind::Program)? {
        let Some(fd) = inventory::open(id)? else { continue };
        let info = inventory::program(std::os::fd::AsFd::as_fd(&fd))?;
        counts.insert(id.number, (info.run_count, info.run_time));
    }
    Ok(counts)
}
