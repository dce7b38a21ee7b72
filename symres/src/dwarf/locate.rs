//! Lines of the source and addresses, from the one to the other.

use std::collections::BTreeSet;
use std::rc::Rc;

use gimli::SectionId;

use super::describe::Described;
use super::info::Information;
use super::load::{Loaded, View};
use super::map::{Located, Map, units_at};
use super::rows::Row;
use super::tree::NameTest;
use super::values::Values;
use super::wanted::Wanted;
use crate::answer::SourceLine;
use crate::pattern::Pattern;

/// More lines of one function were made to keep their reader busy.
const MAX_LINES: usize = 1 << 20;

/// The code of a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineCode {
    /// Its addresses with what is there, one for each body or inlined copy that has code of the line.
    pub(crate) places: Vec<(u64, Located)>,
    /// The line that this is about: the one that was asked for, or the next one that has code.
    pub(crate) line: u32,
    /// A source file of that name is there.
    pub(crate) file_is_there: bool,
}

/// An address at which a line of a function begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LineStart {
    pub(crate) line: SourceLine,
    pub(crate) addr: u64,
}

impl Information<'_> {
    /// What is at an address.
    pub(crate) fn located_at(&self, addr: u64) -> Option<Located> {
        self.with_view(|view| {
            units_at(view, view.units, addr).into_iter().find_map(|index| {
                self.with_unit(view, index, |view, home| {
                    let mut found = Map::new(view, home).at(addr)?;
                    let mut row = None;
                    let _ = home.rows(view, |next| {
                        if (next.begin..next.end).contains(&addr) {
                            row = Some(next);
                        }
                    });
                    found.line = row.and_then(|row| source_line(view, home, &row));
                    Some(found)
                })?
            })
        })
    }

    /// The code of the line that `pattern` asks for, or of the next line that has code.
    pub(crate) fn line(&self, pattern: &Pattern, line: u32) -> LineCode {
        let mut found = LineCode { line, ..LineCode::default() };
        // The first line from `line` on that has code so far, with the units and addresses at which it begins.
        let mut best: Option<(SourceLine, BTreeSet<(usize, u64)>)> = None;
        self.with_view(|view| {
            for index in 0..view.units.len() {
                let Some(home) = view.load_root(index) else { continue };
                let files = home.files_that_match(view, pattern);
                found.file_is_there |= !files.is_empty();
                if !files.is_empty() {
                    // Of a damaged table, the rows in front of the damage.
                    let _ = first_line(view, &home, &files, line, &mut |row| keep(&mut best, index, row));
                }
            }
            let Some((line, starts)) = best.take() else { return };
            found.line = line.line;
            let mut seen = BTreeSet::new();
            let mut addrs = BTreeSet::new();
            let starts: Vec<(usize, u64)> = starts.into_iter().collect();
            for group in starts.chunk_by(|a, b| a.0 == b.0) {
                let Some((index, _)) = group.first().copied() else { continue };
                self.with_unit(view, index, |view, home| {
                    let map = Map::new(view, home);
                    for (_, addr) in group {
                        let Some(located) = map.at(*addr) else { continue };
                        // Loops and moved code give a line several blocks in one copy: it begins at the first.
                        if seen.insert((index, located.innermost)) && addrs.insert(*addr) {
                            found.places.push((*addr, Located { line: Some(line.clone()), ..located }));
                        }
                    }
                });
            }
        });
        found
    }

    /// The lines of the body or the inlined copy of a function that is entered at `addr`, without those of what is inlined
    /// into it.
    pub(crate) fn lines_of(&self, addr: u64, inlined: bool, is_it: &dyn Fn(&Described) -> bool) -> Vec<LineStart> {
        self.with_view(|view| {
            units_at(view, view.units, addr).into_iter().find_map(|index| {
                self.with_unit(view, index, |view, home| {
                    let map = Map::new(view, home);
                    let (node, code) = map.entered_at(addr, inlined, is_it)?;
                    let mut starts = Vec::new();
                    let (mut before, mut told) = (None, false);
                    let _ = home.rows(view, |row| {
                        // Of the lines that share an instruction, only the last one is sure to be of this function.
                        if row.begin >= row.end {
                            return;
                        }
                        told &= before == Some((row.begin, row.file, row.line));
                        before = Some((row.end, row.file, row.line));
                        let mine = row.line > 0 && code.contains(row.begin) && map.innermost(row.begin) == Some(node);
                        if mine && row.is_stmt && !told && starts.len() < MAX_LINES {
                            told = true;
                            starts.push(row);
                        }
                    });
                    let line = |row: &Row| Some(LineStart { line: source_line(view, home, row)?, addr: row.begin });
                    Some(starts.iter().filter_map(line).collect::<Vec<_>>())
                })?
            })
        })
        .unwrap_or_default()
    }

    fn with_view<T>(&self, then: impl FnOnce(&View<'_>) -> T) -> T {
        let info = self.main.sections.get(SectionId::DebugInfo).fresh();
        // No name is looked for.
        let (wanted, strings) = (Wanted::Words(Vec::new()), Values::default());
        then(&self.view(&self.main, &info, NameTest { wanted: &wanted, strings: Some(&strings) }))
    }

    /// Calls `then` with a unit, or with the split one that it stands for.
    fn with_unit<T>(
        &self,
        view: &View<'_>,
        index: usize,
        then: impl for<'u> FnOnce(&View<'u>, &Rc<Loaded<'u>>) -> T,
    ) -> Option<T> {
        match self.stub(index) {
            Some(stub) => self.splits().with(self.main.sections.dwarf(), &stub, |opened| {
                opened.view(&self.budget, view.test, |view, index| Some(then(view, &view.load(index).ok()?)))
            })?,
            None => Some(then(view, &view.load(index).ok()?)),
        }
    }
}

/// Calls `visit` with the rows at which blocks of code of one line begin: of lines from `line` on in these files, where a
/// debugger would stop.
fn first_line<'s>(
    view: &View<'s>,
    home: &Loaded<'s>,
    files: &[(u64, String)],
    line: u32,
    visit: &mut dyn FnMut((SourceLine, u64)),
) -> gimli::Result<()> {
    // Where the row before ended, and its line; and whether a stop in its block was told.
    let (mut before, mut told) = (None, false);
    home.rows(view, |row| {
        told &= before == Some((row.begin, row.file, row.line));
        before = Some((row.end, row.file, row.line));
        if row.is_stmt
            && row.line >= line
            && !told
            && let Some((_, file)) = files.iter().find(|(number, _)| *number == row.file)
        {
            told = true;
            visit((SourceLine { file: file.clone(), line: row.line }, row.begin));
        }
    })
}

/// Keeps the start of a line in a unit, if no line before it is known.
fn keep(best: &mut Option<(SourceLine, BTreeSet<(usize, u64)>)>, unit: usize, (line, addr): (SourceLine, u64)) {
    match best {
        Some((known, _)) if known.line < line.line => {}
        Some((known, starts)) if known.line == line.line => {
            starts.insert((unit, addr));
        }
        _ => *best = Some((line, BTreeSet::from([(unit, addr)]))),
    }
}

fn source_line<'s>(view: &View<'s>, home: &Loaded<'s>, row: &Row) -> Option<SourceLine> {
    let file = home.row_file(view, row.file)?;
    Some(SourceLine { file, line: row.line }).filter(|line| line.line > 0)
}
