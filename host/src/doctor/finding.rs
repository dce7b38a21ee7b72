//! What a check found.

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is there.
    Ok,
    /// It is there, and not all of it.
    Limited,
    /// It is not there.
    Missing,
    /// It could not be tried.
    Unknown,
}

impl State {
    /// Its name, for people and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Limited => "limited",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it stands.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// What its lack costs; empty where nothing is lacking.
    pub costs: String,
    /// How to mend it; empty where nothing is lacking, or nothing can be done.
    pub mend: String,
}

impl Finding {
    /// All is well.
    pub fn ok(seen: impl Into<String>) -> Self {
        Self { state: State::Ok, seen: seen.into(), costs: String::new(), mend: String::new() }
    }

    /// Something is lacking.
    pub fn limited(seen: impl Into<String>, costs: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: State::Limited, seen: seen.into(), costs: costs.into(), mend: mend.into() }
    }

    /// It is not there.
    pub fn missing(seen: impl Into<String>, costs: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: State::Missing, ..Self::limited(seen, costs, mend) }
    }

    /// It could not be tried.
    pub fn unknown(seen: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: State::Unknown, ..Self::limited(seen, "", mend) }
    }
}
