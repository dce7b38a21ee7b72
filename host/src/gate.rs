//! Places whose program can be exchanged for another version while they are attached, all at the same moment.
//!
//! A *gate* is a dispatcher ([`crate::bpf::dispatcher`]) that is attached to one target, and an array with room for the
//! programs of two versions. All gates of a run obey one switch. A new version is put into the free slot of the gates of
//! its targets, which changes nothing; gates for targets that the running version does not have are attached meanwhile,
//! and find their slot empty. One store to the switch then exchanges all programs: each hit reads it once, so each hit
//! is seen by exactly one version. A gate lives as long as a version is seated in it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::bpf::dispatcher::{self, Form};
use crate::bpf::program::Misses;
use crate::bpf::switch::{ProgramArray, Slot, Switch};
use crate::bpf::usdt::Specs;
use crate::bpf::{Error, Object, Program, trial};
use crate::kind::{Attachment, Kind, Options, Target};

/// The gates of one run.
#[derive(Debug)]
pub struct Gates {
    switch: Switch,
    state: Mutex<State>,
    /// Where arguments of USDT probes are, for all versions; none before it is needed.
    usdt: Mutex<Option<Arc<Specs>>>,
}

#[derive(Debug)]
struct State {
    /// The slot that the switch points to.
    current: Slot,
    known: Vec<Weak<Gate>>,
}

/// A dispatcher at its place.
#[derive(Debug)]
pub struct Gate {
    key: Key,
    /// Dropped first: nothing runs any more when the rest goes.
    attachment: Attachment,
    misses: Misses,
    /// What of the attachment's and the dispatcher's misses was reported, by whichever version was asked.
    reported: [Arc<AtomicU64>; 2],
    _dispatcher: Object,
    array: ProgramArray,
}

/// What must be the same for a program to take the place of another.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    kind: &'static str,
    form: Form,
    many: bool,
    /// Device and number of the file that the target is in: another one may have its path later.
    file: Option<(u64, u64)>,
    target: Target,
}

/// A program of a version in its gate. Dropping it empties its slot; with the last one goes the gate.
#[derive(Debug)]
#[must_use = "dropping it takes the program out of its gate"]
pub struct Seat {
    gate: Arc<Gate>,
    slot: Slot,
}

/// Why a program has no seat.
#[derive(Debug)]
pub enum Refusal {
    /// Such a program cannot be behind a switch: why. It can be attached all the same.
    NoGate(String),
    /// The place cannot be attached to.
    Place(Error),
}

/// The seats of one version, as they are taken.
#[derive(Debug)]
pub struct Seating<'g> {
    gates: &'g Gates,
    slot: Slot,
    /// Each serves one program of a version.
    taken: Vec<Arc<Gate>>,
}

impl Gates {
    /// No gates yet.
    ///
    /// # Errors
    /// The kernel's, when it does not make the switch.
    pub fn new() -> Result<Self, Error> {
        let state = State { current: Slot::FIRST, known: Vec::new() };
        Ok(Self { switch: Switch::new()?, state: Mutex::new(state), usdt: Mutex::default() })
    }

    /// Where the arguments of USDT probes are noted for all versions, if the kernel tells programs by which attachment they
    /// run. Each version that has such probes must be loaded with it.
    ///
    /// # Errors
    /// The kernel's, when it does not make the map.
    pub fn usdt(&self) -> Result<Option<Arc<Specs>>, Error> {
        let mut usdt = self.usdt.lock().unwrap_or_else(PoisonError::into_inner);
        if usdt.is_none() && trial::attach_cookie().is_ok() {
            *usdt = Some(Specs::new()?);
        }
        Ok(usdt.clone())
    }

    /// Begins to seat the first version, which runs as it is seated.
    pub fn seat_first(&self) -> Seating<'_> {
        Seating { gates: self, slot: Slot::FIRST, taken: Vec::new() }
    }

    /// Begins to seat a version that is to follow the running one. The one that ran before that must be gone.
    pub fn seat_next(&self) -> Seating<'_> {
        Seating { gates: self, slot: self.state().current.other(), taken: Vec::new() }
    }

    /// Exchanges the running version for the one that was seated last.
    ///
    /// # Errors
    /// The kernel's; the running version goes on.
    pub fn flip(&self) -> Result<(), Error> {
        let mut state = self.state();
        let next = state.current.other();
        self.switch.set(next)?;
        state.current = next;
        Ok(())
    }

    /// Waits until no program runs any more that began before: after [`Self::flip`], no program of the version before.
    ///
    /// # Errors
    /// The kernel's.
    pub fn settle(&self) -> Result<(), Error> {
        self.switch.settle()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &Key, taken: &[Arc<Gate>]) -> Option<Arc<Gate>> {
        let mut state = self.state();
        state.known.retain(|gate| gate.strong_count() > 0);
        let mut alive = state.known.iter().filter_map(Weak::upgrade);
        alive.find(|gate| gate.key == *key && !taken.iter().any(|taken| Arc::ptr_eq(taken, gate)))
    }
}

impl Seating<'_> {
    /// As [`Gates::usdt`].
    ///
    /// # Errors
    /// As there.
    pub fn usdt(&self) -> Result<Option<Arc<Specs>>, Error> {
        self.gates.usdt()
    }

    /// Puts a program into the gate of a target, which is attached if there is none.
    ///
    /// # Errors
    /// Why it has no seat.
    pub fn seat(
        &mut self,
        program: Program<'_>,
        kind: &dyn Kind,
        target: &Target,
        options: &Options<'_>,
    ) -> Result<Seat, Refusal> {
        let form = program.form();
        if let Some(why) = unfit(program, kind, form, target, options) {
            return Err(Refusal::NoGate(why.to_owned()));
        }
        let key = Key { kind: kind.name(), form, many: options.many, file: file_of(target), target: target.clone() };
        let gate = match self.gates.find(&key, &self.taken) {
            Some(gate) => {
                self.put(&gate.array, program)?;
                gate
            }
            None => {
                let gate = Arc::new(self.make(key, program, kind, options)?);
                self.gates.state().known.push(Arc::downgrade(&gate));
                gate
            }
        };
        self.taken.push(Arc::clone(&gate));
        Ok(Seat { gate, slot: self.slot })
    }

    fn put(&self, array: &ProgramArray, program: Program<'_>) -> Result<(), Refusal> {
        let fd = program.fd().ok_or_else(|| Refusal::NoGate("it is not loaded".to_owned()))?;
        array.put(self.slot, fd).map_err(no_gate)
    }

    fn make(&self, key: Key, program: Program<'_>, kind: &dyn Kind, options: &Options<'_>) -> Result<Gate, Refusal> {
        let array = ProgramArray::new().map_err(no_gate)?;
        // The array is made for what is put into it first.
        self.put(&array, program)?;
        let name = program.name();
        let function = match &key.target {
            Target::KernelFunction { name, .. } | Target::RawTracepoint { name } if key.form.is_typed() => Some(name),
            _ => None,
        };
        let function = function.map(String::as_str);
        let switch = &self.gates.switch;
        let dispatcher = dispatcher::load(&name, key.form, function, switch, &array).map_err(no_gate)?;
        let gone = || Refusal::NoGate("its dispatcher has no program".to_owned());
        let handle = dispatcher.program(&name).ok_or_else(gone)?;
        let misses = handle.misses().map_err(no_gate)?;
        let attachment = kind.attach(handle, &key.target, options).map_err(Refusal::Place)?;
        Ok(Gate { key, attachment, misses, reported: Default::default(), _dispatcher: dispatcher, array })
    }
}

fn no_gate(error: Error) -> Refusal {
    Refusal::NoGate(error.to_string())
}

/// Why such a program cannot be behind a switch, as far as that is known before it is tried.
fn unfit(
    program: Program<'_>,
    kind: &dyn Kind,
    form: Form,
    target: &Target,
    options: &Options<'_>,
) -> Option<&'static str> {
    let section = program.section();
    let may_sleep = section.split('/').next().is_some_and(|name| name.ends_with(".s"));
    match target {
        _ if may_sleep => Some("the kernel does not let a program that may sleep be exchanged"),
        Target::Usdt { .. } if options.usdt.is_none() => {
            Some("before Linux 5.15 the kernel does not tell programs at which place of a USDT probe they run")
        }
        Target::Iterator { .. } => Some("it runs when it is read"),
        // The program belongs to the map, and the map to the version.
        Target::Place { .. } if matches!(kind.name(), "sk_skb" | "sk_msg") => Some("it belongs to a map"),
        _ if form.neutral().is_none() => {
            Some("what it returns decides, and nothing that it could return changes nothing")
        }
        _ => None,
    }
}

fn file_of(target: &Target) -> Option<(u64, u64)> {
    let open: &Path = match target {
        Target::UserFunction { open, .. } | Target::UserFunctions { open, .. } | Target::Usdt { open, .. } => open,
        _ => return None,
    };
    std::fs::metadata(open).ok().map(|found| (found.dev(), found.ino()))
}

impl Seat {
    /// The dispatcher's attachment.
    pub fn attachment(&self) -> &Attachment {
        &self.gate.attachment
    }

    /// A handle to count how often the kernel did not run the dispatcher.
    ///
    /// # Errors
    /// The system's, when there are no more descriptors.
    pub fn misses(&self) -> Result<Misses, Error> {
        self.gate.misses.try_clone()
    }

    /// What of the misses of the attachment was reported already, by any version.
    pub fn reported_of_attachment(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.gate.reported[0])
    }

    /// What of the misses of the dispatcher was reported already, by any version.
    pub fn reported_of_dispatcher(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.gate.reported[1])
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.gate.array.take(self.slot);
    }
}
