//! Stage 12: records to bytes, for people and for programs.
//!
//! A renderer gets one [`Output`] after the other and two writers: one for data, one for messages to the person at the
//! terminal. It writes each record with as few calls as it can and gives back the writer's errors as they are, a broken
//! pipe too.

mod clock;
mod json;
mod text;
mod zone;

use std::io::{self, Write};

use jiff::tz::TimeZone;

use crate::output::Output;

pub(crate) use json::object_line;

/// Writes records.
pub trait Renderer {
    /// Writes one record: data to `out`, messages to `err`.
    ///
    /// # Errors
    /// The writer's.
    fn record(&mut self, output: &Output, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()>;
}

/// What all renderers can be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The time zone that times are written in.
    pub zone: TimeZone,
    /// Whether to say why each program was attached as it was.
    pub verbose: bool,
    /// How many entries of a map are written for people; the rest is counted.
    pub rows: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { zone: zone::here(), verbose: false, rows: 100 }
    }
}

/// An output format.
pub struct Format {
    /// Its name.
    pub name: &'static str,
    /// One line on whom it is for.
    pub summary: &'static str,
    /// Makes a renderer for it.
    pub new: fn(Settings) -> Box<dyn Renderer>,
}

/// The rows. A test walks them.
pub static RENDERERS: &[Format] = &[
    Format {
        name: "text",
        summary: "aligned columns for people; messages on standard error",
        new: |settings| Box::new(text::Text::new(settings)),
    },
    Format {
        name: "json",
        summary: "one JSON object a line for each record, messages included",
        new: |settings| Box::new(json::Json::new(settings)),
    },
];

/// A renderer of the format of that name, with the default settings; none where there is no such format.
pub fn by_name(name: &str) -> Option<Box<dyn Renderer>> {
    with_settings(name, Settings::default())
}

/// A renderer of the format of that name; none where there is no such format.
pub fn with_settings(name: &str, settings: Settings) -> Option<Box<dyn Renderer>> {
    RENDERERS.iter().find(|format| format.name == name).map(|format| (format.new)(settings))
}

#[cfg(test)]
mod tests;
