//! The thread that makes the next versions of a probe while one runs.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Sender, bounded};

use super::version::{self, Terms};
use super::{Failure, Prepared};
use crate::bpf::Map;
use crate::carry;
use crate::config::RunSettings;
use crate::diag;
use crate::directive::Fill;
use crate::gate::Gates;
use crate::kernel::Kernel;
use crate::output::{AttachedProgram, Steps};
use crate::saves::{Save, Saves};
use crate::session::{Following, Next, Successor};

/// What the next version must know of the running one.
pub(super) struct Running {
    pub(super) prepared: Prepared,
    pub(super) maps: Vec<Map>,
    pub(super) programs: Vec<AttachedProgram>,
}

/// Makes next versions.
struct Follower {
    settings: RunSettings,
    saves: Saves,
    kernel: Kernel,
    running: Running,
    gates: Arc<Gates>,
    nexts: Sender<Next>,
    colour: bool,
}

/// Nobody waits for a next version any more.
struct Unwanted;

/// Starts to follow the saves of a probe's file.
///
/// # Errors
/// When the file cannot be watched, or there is no thread.
pub(super) fn start(
    path: &Path,
    settings: &RunSettings,
    running: Running,
    kernel: Kernel,
    gates: Arc<Gates>,
    colour: bool,
) -> io::Result<Following> {
    let (stopped, stop): (OwnedFd, OwnedFd) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let saves = Saves::new(path, running.prepared.source.clone(), stopped)?;
    // A version waits here until the one before it has given up its seats.
    let (send, nexts) = bounded(0);
    // For people at a terminal; a program that reads JSON wants none.
    let colour = colour && settings.format == "text";
    let settings = settings.clone();
    thread::Builder::new().name("dbcc-versions".to_owned()).spawn(move || {
        Follower { settings, saves, kernel, running, gates, nexts: send, colour }.run();
    })?;
    Ok(Following { nexts, stop })
}

impl Follower {
    /// Makes versions until nobody waits for them.
    fn run(mut self) {
        loop {
            let followed = match self.saves.wait() {
                Ok(Some(save)) => self.follow(save),
                Ok(None) => return,
                Err(error) => {
                    let message = format!("the probe's file is not followed any more: {error}");
                    // Nothing more comes whether anybody hears it or not.
                    let _ = self.nexts.send(Next::Note { message });
                    return;
                }
            };
            if let Err(Unwanted) = followed {
                return;
            }
        }
    }

    /// Makes a version of a save, or of a later one that comes while it is compiled, and waits until it runs.
    fn follow(&mut self, mut save: Save) -> Result<(), Unwanted> {
        let (compiling, prepared) = loop {
            let compiling = Instant::now();
            let compile = &self.settings.compile;
            let prepared = super::compile(&save.source, compile, || compile.limit(self.kernel.features()));
            match self.saves.newer() {
                Ok(Some(newer)) => save = newer,
                // Waiting for the next save says what is wrong.
                Ok(None) | Err(_) => break (compiling, prepared),
            }
        };
        let compile = compiling.elapsed();
        match prepared.and_then(|prepared| self.version(&save, prepared, compile)) {
            Ok(()) => Ok(()),
            Err(Failure::Quiet) => Err(Unwanted),
            Err(failure) => {
                let message = self.explain(&failure);
                self.nexts.send(Next::Refused { message }).map_err(|_| Unwanted)
            }
        }
    }

    /// Loads and attaches a version, and hands it over.
    fn version(&mut self, save: &Save, prepared: Prepared, compile: std::time::Duration) -> Result<(), Failure> {
        let plan = carry::plan(&self.running.maps, &self.running.prepared.compiled, &prepared.compiled)
            .map_err(|error| Failure::Run(error.into()))?;
        let carried: Vec<String> = plan.carried.iter().map(|(_, map)| map.name().to_string()).collect();
        let terms = Terms {
            settings: &self.settings,
            source: &save.source,
            fills: self.fills(&prepared, &carried),
            carried: plan.carried,
            opens_early: false,
            seating: Some(self.gates.seat_next()),
        };
        let made = version::make(&prepared, &self.kernel, terms)?;
        for body in made.notes {
            if let crate::output::Body::Note { message } = body {
                self.nexts.send(Next::Note { message }).map_err(|_| Failure::Quiet)?;
            }
        }
        let warnings = [&prepared.compiled.warnings, &made.warnings];
        let warnings = warnings.map(|warnings| diag::render_all(warnings, &save.source, self.colour)).concat();
        let (runs, is_running) = bounded(1);
        let successor = Successor {
            version: made.version,
            gates: Arc::clone(&self.gates),
            saved: save.at,
            steps: Steps { compile, ..made.steps },
            attaching: made.attaching,
            carried,
            reset: plan.reset,
            gone: plan.gone,
            programs: (made.programs != self.running.programs).then(|| made.programs.clone()),
            warnings,
            runs,
        };
        self.nexts.send(Next::Ready(Box::new(successor))).map_err(|_| Failure::Quiet)?;
        if is_running.recv().map_err(|_| Failure::Quiet)? {
            self.running = Running { prepared, maps: made.maps, programs: made.programs };
        }
        Ok(())
    }

    /// What is put into the maps of a version: into one that is carried over, what was not put there before.
    fn fills(&self, prepared: &Prepared, carried: &[String]) -> Vec<Fill> {
        let before = &self.running.prepared.directives.fills;
        let same =
            |fill: &Fill, other: &Fill| fill.map == other.map && fill.key == other.key && fill.with == other.with;
        let is_done = |fill: &&Fill| carried.contains(&fill.map) && before.iter().any(|other| same(fill, other));
        prepared.directives.fills.iter().filter(|fill| !is_done(fill)).cloned().collect()
    }

    /// Why a version cannot run, as lines for people.
    fn explain(&self, failure: &Failure) -> String {
        match failure {
            Failure::Quiet => String::new(),
            Failure::Probe { source, diagnostics } => diag::render_all(diagnostics, source, self.colour),
            Failure::Run(error) | Failure::Unusable(error) => format!("dbcc: {error:#}\n"),
        }
    }
}
