//! Places of user functions, as the kernel is given them.

use std::fmt;

use crate::bpf::usdt::Spec;

/// An instruction of a user function that is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPlace {
    /// Its offset in the file, in bytes.
    pub offset: u64,
    /// What begins there.
    pub kind: UserPlaceKind,
}

/// What begins at a place of a user function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserPlaceKind {
    /// The function's own code.
    Entry,
    /// A copy of it in the code of another function.
    Inlined {
        /// That function.
        into: String,
    },
    /// An instruction somewhere in the function, which was asked for.
    Inside,
    /// The entry of the procedure linkage table, through which this file alone calls a function of another one.
    Plt,
}

/// A place where a USDT probe stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsdtSite {
    /// Its offset in the file, in bytes.
    pub offset: u64,
    /// The offset of its semaphore in the file; none where it has none.
    pub semaphore: Option<u64>,
    /// Where its arguments are; none where that can be told to libbpf alone.
    pub spec: Option<Spec>,
}

impl UserPlace {
    /// The function's entry.
    pub fn entry(offset: u64) -> Self {
        Self { offset, kind: UserPlaceKind::Entry }
    }
}

impl fmt::Display for UserPlace {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            UserPlaceKind::Entry | UserPlaceKind::Inside => write!(to, "+{:#x}", self.offset),
            UserPlaceKind::Inlined { into } => write!(to, "(inlined into {into}) +{:#x}", self.offset),
            UserPlaceKind::Plt => write!(to, "(its PLT entry) +{:#x}", self.offset),
        }
    }
}

/// `2 places, 1 of them inlined`.
pub(super) fn write_places(places: &[UserPlace], to: &mut fmt::Formatter<'_>) -> fmt::Result {
    let inlined = places.iter().filter(|place| matches!(place.kind, UserPlaceKind::Inlined { .. })).count();
    write!(to, "({} places", places.len())?;
    match inlined {
        0 => write!(to, ")"),
        all if all == places.len() => write!(to, ", all inlined)"),
        some => write!(to, ", {some} of them inlined)"),
    }
}
