//! Which places of the functions that a name matches are probed: a pure choice among what symres found.

use symres::{Function, Machine, Place, PlaceKind, Role};

use super::{Miss, reads};
use crate::facts::RegisterReads;
use crate::kind::{UserPlace, UserPlaceKind};

/// How many functions of one name are listed.
const MOST_NAMES: usize = 10;

/// The places of one source function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Its name as people know it.
    pub(super) function: String,
    /// Where it is probed, by offset, each once; at least one.
    pub(super) places: Vec<UserPlace>,
    /// What the user has to know.
    pub(super) warnings: Vec<String>,
    /// What was chosen and why, for those who ask.
    pub(super) notes: Vec<String>,
}

/// What the choice depends on beside the functions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose {
    /// The returns are probed, not the entries.
    pub(super) returns: bool,
    /// What the program reads of the registers.
    pub(super) reads: RegisterReads,
    /// The processor of the binary.
    pub(super) machine: Machine,
}

/// Chooses the places of the one function that `matches` are, for its entries or for its returns.
///
/// All of these are one source function: its body, the copies that the compiler made of the body (`.constprop.0`), its
/// inlined copies, and the variants of a constructor or destructor. A call goes through exactly one of them, so that all
/// are probed: left out are pieces (`.part.0`), which only some calls reach, and what hands on to another one.
///
/// # Errors
/// When the matches are different functions, or nothing of the function can be probed.
pub(super) fn choose(written: &str, shown: &str, matches: &[Function], purpose: Purpose) -> Result<Chosen, Miss> {
    let groups = sources(matches);
    let group = match groups.as_slice() {
        [one] => one,
        _ => return Err(several(written, shown, &groups)),
    };
    let bodies = bodies(group);
    let mut chosen = Chosen { function: name(group, &bodies), ..Chosen::default() };
    for function in &bodies {
        if let Some(caution) = function.role.caution() {
            chosen.notes.push(format!("{} of {shown}: {caution}", function.name));
        }
    }
    if purpose.returns {
        chosen.places = bodies.iter().filter_map(|function| function.body()).map(user_place).collect();
        let inlined: Vec<&Place> = copies(group).map(|(_, place)| place).collect();
        match (chosen.places.is_empty(), distinct(&inlined)) {
            (_, 0) => {}
            (false, copies) => chosen.warnings.push(format!(
                "returns of `{written}` are seen of the function itself only: {} {} no return",
                counted(copies, "inlined copy", "inlined copies"),
                if copies == 1 { "has" } else { "have" },
            )),
            (true, copies) => return Err(only_inlined(written, shown, group, copies)),
        }
    } else {
        let handed_on = |place: &Place| bodies.iter().any(|function| has_variants(group) && covers(function, place));
        let copies = copies(group).filter(|(_, place)| !handed_on(place));
        let bodies = bodies.iter().filter_map(|function| Some((*function, function.body()?)));
        // The compiler passes arguments to a copy of its own as it likes. The debug information may know how.
        let (known, bodies): (Vec<_>, Vec<_>) =
            bodies.partition(|(function, body)| function.role == Role::Copy && !body.arguments.is_empty());
        let (readable, left_out) = readable(copies.chain(known), purpose);
        chosen.places = bodies.into_iter().map(|(_, body)| body).chain(readable).map(user_place).collect();
        match (chosen.places.is_empty(), left_out.is_empty()) {
            (_, true) => {}
            (false, false) => chosen.warnings.push(format!(
                "{} of `{written}` {} left out, where the program does not find what it reads: {}",
                counted(left_out.len(), "copy", "copies"),
                if left_out.len() == 1 { "is" } else { "are" },
                list(&left_out),
            )),
            (true, false) => return Err(unreadable(written, shown, &left_out)),
        }
    }
    chosen.places.sort_by_key(|place| (place.offset, place.kind != UserPlaceKind::Entry));
    chosen.places.dedup_by_key(|place| place.offset);
    if chosen.places.is_empty() {
        return Err(no_code(written, shown));
    }
    Ok(chosen)
}

/// All instructions at which a line of the source begins.
pub(super) fn of_line(written: &str, matches: &[Function]) -> Chosen {
    let mut places: Vec<UserPlace> = matches.iter().flat_map(|function| &function.places).map(user_place).collect();
    places.sort_by_key(|place| place.offset);
    places.dedup_by_key(|place| place.offset);
    let notes = matches.iter().map(|function| format!("{written} is in {}", function.name)).collect();
    Chosen { function: written.to_owned(), places, notes, ..Chosen::default() }
}

/// All places of functions that a pattern fits, with their names, and the number of those where the program does not find
/// what it reads: see [`choose`] for what is left out.
pub(super) fn of_pattern<'f>(
    functions: impl Iterator<Item = &'f Function>,
    purpose: Purpose,
) -> (Vec<(String, u64)>, usize) {
    let mut places: Vec<(String, u64)> = Vec::new();
    let mut left_out = 0_usize;
    for function in functions {
        // The code that chooses a function runs once, and thunks jump to functions that are there themselves.
        let is_called = !matches!(function.role, Role::Resolver | Role::Thunk);
        let body = function.body().filter(|_| is_called);
        let copies = function.inlined().map(|(place, _)| (function, place)).filter(|_| !purpose.returns);
        let (readable, unreadable) = readable(copies, purpose);
        left_out = left_out.saturating_add(unreadable.len());
        places.extend(body.into_iter().chain(readable).map(|place| (function.name.clone(), place.offset.0)));
    }
    places.sort_by_key(|(_, offset)| *offset);
    places.dedup_by_key(|(_, offset)| *offset);
    (places, left_out)
}

/// An inlined copy that a program cannot be attached to.
struct LeftOut {
    place: UserPlace,
    addr: symres::VirtAddr,
    why: String,
}

/// The copies at which the program finds what it reads, and the others, each once.
fn readable<'f>(
    copies: impl Iterator<Item = (&'f Function, &'f Place)>,
    purpose: Purpose,
) -> (Vec<&'f Place>, Vec<LeftOut>) {
    let (mut readable, mut left_out) = (Vec::new(), Vec::<LeftOut>::new());
    for (function, place) in copies {
        match reads::finds_all(function, place, purpose.machine, purpose.reads) {
            Ok(()) => readable.push(place),
            Err(why) => left_out.push(LeftOut { place: user_place(place), addr: place.addr, why }),
        }
    }
    left_out.sort_by_key(|left_out| left_out.addr);
    left_out.dedup_by_key(|left_out| left_out.addr);
    (readable, left_out)
}

fn copies<'f>(group: &[&'f Function]) -> impl Iterator<Item = (&'f Function, &'f Place)> {
    group.iter().flat_map(|function| function.inlined().map(|(place, _)| (*function, place)))
}

pub(super) fn user_place(place: &Place) -> UserPlace {
    let kind = match &place.kind {
        PlaceKind::Inlined(inlined) => UserPlaceKind::Inlined {
            into: inlined.callers.first().map(|caller| caller.name.clone()).unwrap_or_default(),
        },
        PlaceKind::Inside { .. } => UserPlaceKind::Inside,
        PlaceKind::Plt => UserPlaceKind::Plt,
        _ => UserPlaceKind::Entry,
    };
    UserPlace { offset: place.offset.0, kind }
}

/// The matches by the function in the source that they are of.
fn sources(matches: &[Function]) -> Vec<Vec<&Function>> {
    let mut groups: Vec<Vec<&Function>> = Vec::new();
    // Those without a suffix first: a copy belongs to the one whose name it has.
    let (plain, clones): (Vec<&Function>, Vec<&Function>) = matches.iter().partition(|function| !is_clone(function));
    for function in plain {
        let own = |group: &&mut Vec<&Function>| group.iter().any(|other| same_source(function, other));
        match groups.iter_mut().find(own) {
            Some(group) => group.push(function),
            None => groups.push(vec![function]),
        }
    }
    for function in clones {
        let fits = |group: &Vec<&Function>| group.iter().any(|other| base(function) == base(other));
        let of_line = |group: &Vec<&Function>| group.iter().any(|other| same_line(function, other));
        let fitting: Vec<usize> =
            groups.iter().enumerate().filter(|(_, group)| fits(group)).map(|(index, _)| index).collect();
        let index = match fitting.as_slice() {
            [one] => Some(*one),
            several => several.iter().copied().find(|index| groups.get(*index).is_some_and(of_line)),
        };
        match index.and_then(|index| groups.get_mut(index)) {
            Some(group) => group.push(function),
            None => groups.push(vec![function]),
        }
    }
    groups
}

/// Whether two functions without suffixes are one in the source: variants of a constructor or destructor, or copies of
/// one declaration that several units of the program have.
fn same_source(one: &Function, other: &Function) -> bool {
    one.name == other.name && (are_variants(&one.mangled, &other.mangled) || same_line(one, other))
}

fn same_line(one: &Function, other: &Function) -> bool {
    one.declared.is_some() && one.declared == other.declared
}

/// Whether two mangled names differ only in the variant of a constructor (`C1`, `C2`, …) or destructor (`D0`, `D1`, …):
/// Itanium C++ ABI, 5.1.4.3.
pub(super) fn are_variants(one: &str, other: &str) -> bool {
    let mut differing = one.bytes().zip(other.bytes()).enumerate().filter(|(_, (a, b))| a != b).map(|(at, _)| at);
    let (Some(at), None) = (differing.next(), differing.next()) else { return false };
    let variant = |name: &str| {
        let before = at.checked_sub(1).and_then(|at| name.as_bytes().get(at));
        matches!(before, Some(b'C' | b'D')) && name.as_bytes().get(at).is_some_and(u8::is_ascii_digit)
    };
    one.len() == other.len() && one.starts_with("_Z") && variant(one) && variant(other)
}

fn has_variants(group: &[&Function]) -> bool {
    group.iter().any(|one| group.iter().any(|other| are_variants(&one.mangled, &other.mangled)))
}

/// Whether the symbol has the suffix of a copy or piece.
fn is_clone(function: &Function) -> bool {
    matches!(function.role, Role::Copy | Role::Piece)
}

/// The symbol without that suffix.
fn base(function: &Function) -> &str {
    let base = function.mangled.split_once('.').filter(|(base, _)| is_clone(function) && !base.is_empty());
    base.map_or(function.mangled.as_str(), |(base, _)| base)
}

/// The functions of a group whose bodies are probed.
fn bodies<'f>(group: &[&'f Function]) -> Vec<&'f Function> {
    let with_body = group.iter().copied().filter(|function| function.body().is_some());
    let (whole, partial): (Vec<&Function>, Vec<&Function>) =
        with_body.partition(|function| matches!(function.role, Role::Whole | Role::Copy));
    // A piece, a thunk or a resolver is probed where it is what was named.
    let bodies = if whole.is_empty() && group.iter().all(|function| function.inlined().next().is_none()) {
        partial
    } else {
        whole
    };
    // A deleting destructor (D0) calls the complete one, or holds a copy of it.
    let handed_on = |function: &&Function| {
        let has_copy = || group.iter().flat_map(|other| other.inlined()).any(|(place, _)| covers(function, place));
        is_deleting(function) && (bodies.iter().any(|other| !is_deleting(other)) || has_copy())
    };
    bodies.iter().copied().filter(|function| !handed_on(function)).collect()
}

/// Whether it is the variant of a destructor that frees the object too: Itanium C++ ABI, 5.1.4.3.
fn is_deleting(function: &Function) -> bool {
    function.mangled.starts_with("_Z") && function.mangled.ends_with("D0Ev")
}

fn covers(function: &Function, place: &Place) -> bool {
    function.body().is_some_and(|body| place.addr.0.checked_sub(body.addr.0).is_some_and(|into| into < body.size.0))
}

/// The name for people: of a body that is no copy, where there is one.
fn name(group: &[&Function], bodies: &[&Function]) -> String {
    let plain = |function: &&&Function| !is_clone(function);
    let best = group.iter().find(plain).or_else(|| bodies.first()).or_else(|| group.first());
    best.map(|function| function.name.clone()).unwrap_or_default()
}

fn distinct(places: &[&Place]) -> usize {
    let offsets: std::collections::BTreeSet<u64> = places.iter().map(|place| place.offset.0).collect();
    offsets.len()
}

/// `1 place`, `2 places`.
pub(super) fn counted(count: usize, one: &str, several: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {several}") }
}

fn several(written: &str, shown: &str, groups: &[Vec<&Function>]) -> Miss {
    let mut miss = Miss::new(format!("`{written}` is the name of {} functions of `{shown}`", groups.len()));
    let functions: Vec<&Function> = groups.iter().filter_map(|group| group.first().copied()).collect();
    let same_name = |function: &Function| functions.iter().filter(|other| other.name == function.name).count() > 1;
    miss.notes = functions
        .iter()
        .take(MOST_NAMES)
        .map(|function| {
            // Functions of one name are told apart by where they are.
            let address = function.places.first().filter(|_| same_name(function));
            let address = address.map(|place| format!(" at {}", place.addr)).unwrap_or_default();
            let line = function.declared.as_ref().filter(|_| same_name(function));
            let line = line.map(|line| format!(", {line}")).unwrap_or_default();
            format!("{}{address}{line}", function.name)
        })
        .collect();
    if functions.len() > MOST_NAMES {
        miss.notes.push(format!("and {} more", functions.len() - MOST_NAMES));
    }
    let help = if functions.iter().any(|function| same_name(function)) {
        "write one of them with its classes and parameters, or its address in place of its name"
    } else {
        "write one of them with its classes and parameters"
    };
    miss.help = Some(help.to_owned());
    miss
}

/// The message for a return of a function that has none of its own.
fn only_inlined(written: &str, shown: &str, group: &[&Function], copies: usize) -> Miss {
    let mut callers: Vec<&str> = group
        .iter()
        .flat_map(|function| function.inlined())
        .filter_map(|(_, inlined)| Some(inlined.callers.last()?.name.as_str()))
        .collect();
    callers.sort_unstable();
    callers.dedup();
    let mut miss = Miss::new(format!(
        "`{written}` of `{shown}` is inlined everywhere ({}), and an inlined copy has no return",
        counted(copies, "copy", "copies")
    ));
    let named: Vec<String> = callers.iter().take(MOST_NAMES).map(|caller| format!("`{caller}`")).collect();
    let more = callers.len().saturating_sub(named.len());
    let more = if more > 0 { format!(" or {more} more") } else { String::new() };
    miss.help = Some(match named.as_slice() {
        [] => "use a uprobe, which sees the entries of its inlined copies".to_owned(),
        named => format!("use a uretprobe on what it is inlined into: {}{more}; or a uprobe", named.join(", ")),
    });
    miss
}

/// The first of them, each with its reason.
fn list(left_out: &[LeftOut]) -> String {
    let one = |left_out: &LeftOut| {
        let into = match &left_out.place.kind {
            UserPlaceKind::Inlined { into } => format!(" in {into}"),
            _ => String::new(),
        };
        format!("{}{into} ({})", left_out.addr, left_out.why)
    };
    let mut list: Vec<String> = left_out.iter().take(MOST_NAMES).map(one).collect();
    if let Some(more) = left_out.len().checked_sub(MOST_NAMES).filter(|more| *more > 0) {
        list.push(format!("and {more} more"));
    }
    list.join(", ")
}

/// The message where nothing but copies is there, and the program reads what is at none of them where it looks.
fn unreadable(written: &str, shown: &str, left_out: &[LeftOut]) -> Miss {
    let mut miss = Miss::new(format!(
        "`{written}` of `{shown}` is inlined everywhere ({}), and the program does not find what it reads there",
        counted(left_out.len(), "copy", "copies")
    ));
    miss.notes.push(list(left_out));
    let into = left_out.iter().find_map(|left_out| match &left_out.place.kind {
        UserPlaceKind::Inlined { into } => Some(into.as_str()),
        _ => None,
    });
    let at = left_out.first().map(|left_out| left_out.addr.to_string()).unwrap_or_default();
    miss.help = Some(format!(
        "probe the function that it is inlined into{}, which has its arguments in registers; or attach to the address ({at}) \
         in place of the name, and read the registers that are named above",
        into.map(|into| format!(" (`{into}`)")).unwrap_or_default(),
    ));
    miss
}

fn no_code(written: &str, shown: &str) -> Miss {
    let mut miss =
        Miss::new(format!("the debug information of `{shown}` knows `{written}`, but no code of it is left"));
    miss.help = Some("the compiler removed it or folded it into its callers: probe one of them".to_owned());
    miss
}

#[cfg(test)]
mod tests;
