//! C++ names by the Itanium C++ ABI.

mod expr;
mod name;
mod node;
mod parse;
mod print;
mod print_expr;
mod types;

use self::parse::Parser;
use self::print::Printer;
use super::MAX_MANGLED;

/// The name as `c++filt` would show it.
pub(super) fn display(base: &str) -> Option<String> {
    write(base, true)
}

/// The name without return type.
pub(super) fn qualified(base: &str) -> Option<String> {
    write(base, false)
}

fn write(base: &str, return_type: bool) -> Option<String> {
    if base.len() > MAX_MANGLED {
        return None;
    }
    let mut parser = Parser::new(base);
    let whole = parser.whole()?;
    if !return_type {
        parser.forget_return_type(whole);
    }
    let mut printer = Printer::new(&parser);
    printer.print(whole).ok()?;
    Some(printer.out)
}
