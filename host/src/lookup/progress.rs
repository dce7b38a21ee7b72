//! A progress bar on standard error, for people who wait.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use symres::{Doing, Progress, Step};

use crate::escape::harmless;

/// What takes less is over before anybody wonders.
const PATIENCE: Duration = Duration::from_millis(500);

/// A bar that is drawn when something has taken longer than [`PATIENCE`].
#[derive(Debug, Clone)]
pub(super) struct Bar(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// When the first step was told of; none while nothing is under way.
    since: Option<Instant>,
    drawn: Option<ProgressBar>,
}

impl Bar {
    /// A bar, where standard error is a terminal.
    pub(super) fn on_terminal() -> Option<Self> {
        std::io::stderr().is_terminal().then(|| Self(Arc::default()))
    }

    /// What tells the bar of steps.
    pub(super) fn progress(&self) -> Progress {
        let state = Arc::clone(&self.0);
        Progress::new(move |step| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.step(step, Instant::now(), ProgressDrawTarget::stderr);
        })
    }

    /// Takes it off the terminal.
    pub(super) fn clear(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = state.drawn.take() {
            bar.finish_and_clear();
        }
        state.since = None;
    }
}

impl State {
    fn step(&mut self, step: &Step<'_>, now: Instant, target: impl FnOnce() -> ProgressDrawTarget) {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) < PATIENCE {
            return;
        }
        let bar = self.drawn.get_or_insert_with(|| ProgressBar::with_draw_target(None, target()));
        if bar.message().is_empty() || bar.message() != message(step) {
            bar.set_style(style(step.total.is_some()));
            bar.set_message(message(step));
        }
        match step.total {
            Some(total) => bar.set_length(total),
            None => bar.unset_length(),
        }
        bar.set_position(step.done);
    }
}

fn message(step: &Step<'_>) -> String {
    let doing = match step.doing {
        Doing::Indexing => "indexing the functions of",
        Doing::Downloading => "downloading debug information from",
        _ => "reading",
    };
    let subject = step.subject.file_name().unwrap_or(step.subject.as_os_str()).to_string_lossy();
    format!("{doing} {}", harmless(&subject))
}

fn style(total: bool) -> ProgressStyle {
    let template = match total {
        true => "{msg} [{wide_bar}] {bytes} of {total_bytes}",
        false => "{msg} {bytes} {spinner}",
    };
    // The templates are constants; a mistake in one would leave the plain bar.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn step(done: u64) -> Step<'static> {
        Step { doing: Doing::Indexing, subject: Path::new("/usr/sbin/mysqld"), done, total: Some(100) }
    }

    #[test]
    fn nothing_is_drawn_before_half_a_second() {
        let mut state = State::default();
        let start = Instant::now();
        state.step(&step(1), start, ProgressDrawTarget::hidden);
        state.step(&step(2), start + Duration::from_millis(499), ProgressDrawTarget::hidden);
        assert!(state.drawn.is_none());
        state.step(&step(50), start + Duration::from_millis(500), ProgressDrawTarget::hidden);
        let bar = state.drawn.as_ref().unwrap();
        assert_eq!((bar.position(), bar.length()), (50, Some(100)));
        assert_eq!(bar.message(), "indexing the functions of mysqld");
    }

    #[test]
    fn both_templates_are_understood() {
        for template in ["{msg} [{wide_bar}] {bytes} of {total_bytes}", "{msg} {bytes} {spinner}"] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn names_of_files_cannot_steer_the_terminal() {
        let evil = Step { subject: Path::new("/tmp/a\u{1b}[31m"), ..step(1) };
        assert!(!message(&evil).contains('\u{1b}'));
    }
}
