//! `dbcc symbols --calls`: who calls a function, and whom it calls.

use std::io;

use serde_json::{Value, json};
use symres::{Binary, Call, Calls, Function, PlaceKind};

use super::text::{Sink, counted};
use crate::escape::harmless;

/// The calls of a function that has a body.
///
/// # Errors
///
/// When the file can no longer be read.
pub(super) fn of(binary: &Binary, function: &Function) -> Result<Option<Calls>, symres::Error> {
    let body = function.body().filter(|place| place.kind == PlaceKind::Body);
    body.map(|body| binary.calls(body)).transpose()
}

/// The calls of one function, for people.
pub(super) fn write(function: &Function, calls: &Calls, to: &mut Sink<'_>) -> io::Result<()> {
    let name = harmless(&function.name);
    list(&format!("{name} is called by"), "nobody calls it directly", &calls.callers, to)?;
    list(&format!("{name} calls"), "it calls no function directly", &calls.callees, to)?;
    match calls.indirect {
        0 => Ok(()),
        indirect => to.line(&format!("and, through pointers, others at {}", counted(indirect, "place", "places"))),
    }
}

fn list(title: &str, nothing: &str, calls: &[Call], to: &mut Sink<'_>) -> io::Result<()> {
    if calls.is_empty() {
        return to.line(&format!("\n{title}: {nothing}"));
    }
    to.line(&format!("\n{title}:"))?;
    let width = calls.iter().map(|call| call.addr.to_string().len()).max().unwrap_or(0).max("ADDRESS".len());
    to.line(&format!("{:<width$}  CALLS  FUNCTION", "ADDRESS"))?;
    for call in calls {
        let name = call.name.as_deref().map_or("(no name)".into(), harmless);
        to.last_column(&format!("{:<width$}  {:>5}  ", call.addr.to_string(), call.count), &name)?;
    }
    Ok(())
}

/// The same for programs.
pub(super) fn object(calls: &Calls) -> Value {
    let call = |call: &Call| {
        json!({
            "name": call.name,
            "address": call.addr.0,
            "count": call.count,
            "sites": call.sites.iter().map(|site| site.0).collect::<Vec<_>>(),
        })
    };
    json!({
        "callers": calls.callers.iter().map(call).collect::<Vec<_>>(),
        "callees": calls.callees.iter().map(call).collect::<Vec<_>>(),
        "indirect": calls.indirect,
    })
}
