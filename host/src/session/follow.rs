//! A running probe that is followed by its next version.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender};

use super::{Session, Version};
use crate::carry::Reset;
use crate::gate::Gates;
use crate::output::{AttachedProgram, Body, Output, Steps, Swap};

/// Where next versions come from. Dropping it ends that.
#[derive(Debug)]
pub struct Following {
    /// The next versions.
    pub nexts: Receiver<Next>,
    /// Closing it tells whoever makes them that nobody waits any more.
    pub stop: OwnedFd,
}

/// What became of a save.
#[derive(Debug)]
pub enum Next {
    /// A version that is ready to run.
    Ready(Box<Successor>),
    /// One that cannot run.
    Refused {
        /// Why, as lines for people.
        message: String,
    },
    /// Something about following the file.
    Note {
        /// Its text.
        message: String,
    },
}

/// A version that is ready to run, behind the switch.
#[derive(Debug)]
pub struct Successor {
    /// The version.
    pub version: Version,
    /// The switch.
    pub gates: Arc<Gates>,
    /// When its text was saved.
    pub saved: Instant,
    /// What the time since then was spent on.
    pub steps: Steps,
    /// When attaching began.
    pub attaching: Instant,
    /// The names of the maps that it goes on with.
    pub carried: Vec<String>,
    /// The maps that it starts empty.
    pub reset: Vec<Reset>,
    /// The maps that it does not have any more.
    pub gone: Vec<String>,
    /// What it is attached to, if that is not what the version before was attached to.
    pub programs: Option<Vec<AttachedProgram>>,
    /// Warnings about its text, as lines for people.
    pub warnings: String,
    /// Told whether it runs.
    pub runs: Sender<bool>,
}

impl Session {
    /// Takes what became of a save.
    pub(super) fn follow(&mut self, next: Next) {
        match next {
            Next::Ready(successor) => self.swap(*successor),
            Next::Refused { message } => self.say(Body::Refused { message }),
            Next::Note { message } => self.note(message),
        }
    }

    /// Exchanges the running version. What the version before has written is read to its end with its own types, and its
    /// maps that are not carried over are shown for the last time.
    fn swap(&mut self, successor: Successor) {
        let Successor { version, gates, saved, steps, attaching, carried, reset, gone, programs, warnings, runs } =
            successor;
        if let Err(error) = gates.flip() {
            self.say(Body::Refused { message: format!("error: {error}\n") });
            // Whoever made it may be gone.
            let _ = runs.send(false);
            return;
        }
        let live = saved.elapsed();
        self.version.attached.detach_beside();
        let (beside, ran_beside) = (version.attached.beside().to_vec(), attaching.elapsed());
        if let Err(error) = gates.settle() {
            self.note(format!("the last events of the version before may be missing: {error}"));
        }
        self.version.attached.detach();
        if let Some(events) = self.version.events.take() {
            for record in events.finish() {
                self.take(record);
            }
        }
        let elapsed = self.shown_at.elapsed().as_secs_f64();
        let is_carried = |name: &str| carried.iter().any(|carried| carried == name);
        for table in self.version.tables.iter_mut().filter(|table| !is_carried(&table.name)) {
            let body = table.report(elapsed, true);
            self.ready.push_back(Output { time: SystemTime::now(), body });
        }
        let mut before = std::mem::replace(&mut self.version, version);
        for table in self.version.tables.iter_mut().filter(|table| is_carried(&table.name)) {
            let known = before.tables.iter_mut().find(|known| known.name == table.name);
            table.before = known.map(|known| std::mem::take(&mut known.before)).unwrap_or_default();
        }
        self.records = self.version.records();
        if before.interval != self.version.interval || before.ticks_at_all() != self.version.ticks_at_all() {
            self.ticks = self.version.ticks();
        }
        let swap = Swap { live, steps, carried, reset, gone, beside, ran_beside, warnings };
        self.say(Body::Swapped(Box::new(swap)));
        if let Some(programs) = programs {
            self.say(Body::Attached { programs });
        }
        // Whoever made it may be gone.
        let _ = runs.send(true);
        if self.is_enough() {
            self.end(format!("{} records were asked for", self.counted), true);
        } else {
            self.begin();
        }
    }
}
