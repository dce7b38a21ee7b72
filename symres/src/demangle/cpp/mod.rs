//! C++ names by the Itanium C++ ABI.

mod node;
mod read;
mod write;

use self::node::Id;
use self::read::Parser;
use self::write::Printer;
use super::MAX_MANGLED;

/// The name as `c++filt` would show it.
pub(super) fn display(base: &str) -> Option<String> {
    let (parser, whole) = read(base)?;
    let mut printer = Printer::new(&parser);
    printer.print(whole).ok()?;
    Some(printer.out)
}

/// The name without return type and constraints.
pub(super) fn qualified(base: &str) -> Option<String> {
    let (mut parser, whole) = read(base)?;
    parser.keep_name_and_parameters(whole);
    let mut printer = Printer::new(&parser);
    printer.print(whole).ok()?;
    Some(printer.out)
}

/// The types of the parameters, and the qualifiers behind them. None where it is not the name of a function.
pub(super) fn parameters(base: &str) -> Option<(Vec<String>, String)> {
    let (parser, whole) = read(base)?;
    let encoding = parser.function(whole)?;
    Printer::new(&parser).parameters(&encoding).ok()
}

fn read(base: &str) -> Option<(Parser<'_>, Id)> {
    if base.len() > MAX_MANGLED {
        return None;
    }
    let mut parser = Parser::new(base);
    let whole = parser.whole()?;
    Some((parser, whole))
}
