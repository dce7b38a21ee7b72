//! Messages about a probe file: severities, spans, and their rendering.

use serde::{Deserialize, Serialize};

use crate::source::Span;

mod argument;
mod explain;
mod render;
mod suggest;

pub use argument::Argument;
pub(crate) use explain::STACK_HELP;
pub use explain::from_clang;
pub use render::{Located, render, render_all, wants_color};
pub use suggest::{did_you_mean, near, near_of_many, nearest};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Extra information.
    Note,
    /// It works, and may not be what was meant.
    Warning,
    /// The probe cannot run.
    Error,
}

/// One message about a probe file, shown on the line that the user wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, lower case, with its subject.
    pub message: String,
    /// Where, in the text as the user wrote it; none where the message has no place in it.
    pub span: Option<Span>,
    /// The argument that it is about, in place of a place in the text; only where no worker wrote the message.
    #[serde(skip)]
    pub argument: Option<Box<Argument>>,
    /// More places that belong to the message, each with its text.
    pub labels: Vec<(Span, String)>,
    /// Facts that explain it.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        Self::new(Severity::Error, message, span)
    }

    /// A warning at a place.
    pub fn warning(message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        Self::new(Severity::Warning, message, span)
    }

    /// A message of the given severity.
    pub fn new(severity: Severity, message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        let (argument, labels, notes, help) = Default::default();
        Self { severity, message: message.into(), span: span.into(), argument, labels, notes, help }
    }

    /// Adds a place that belongs to the message, with its text.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push((span, text.into()));
        self
    }

    /// Says that an argument is what the message is about, if there is one, and not a place in the text.
    #[must_use]
    pub fn of_argument(mut self, argument: Option<Argument>) -> Self {
        self.set_argument(argument);
        self
    }

    /// As [`Self::of_argument`].
    pub fn set_argument(&mut self, argument: Option<Argument>) {
        if argument.is_some() {
            (self.span, self.argument) = (None, argument.map(Box::new));
        }
    }

    /// Adds a fact that explains the message.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}
