//! Functions as JSON lines: everything that is known of them. docs/json.md is the contract.

use serde_json::{Map, Value, json};
use symres::{
    Answer, Argument, Binary, Caller, Consulted, Function, KnownBy, Location, Machine, Neighbour, Origin, Outcome,
    Parameter, Pattern, Place, PlaceKind, Role, Signature, SourceLine, Type, TypeClass,
};

use super::sites::{self, Sites};
use super::text::hex;

/// What is to be known about how the binary was found.
pub(super) fn note(binary: &Binary, note: &str) -> Value {
    json!({"kind": "note", "binary": binary.shown().to_string_lossy(), "message": note})
}

/// That nothing matches, and why.
pub(super) fn not_found(binary: &Binary, pattern: &Pattern, answer: &Answer) -> Option<Value> {
    let reason = answer.reason.as_ref()?;
    let functions: Map<String, Value> =
        answer.tables.iter().map(|t| (t.table.name().to_owned(), json!(t.functions))).collect();
    Some(json!({
        "kind": "not_found",
        "binary": binary.shown().to_string_lossy(),
        "pattern": pattern.as_str(),
        "reason": reason.name(),
        "message": reason.to_string(),
        "advice": reason.advice(),
        "functions": functions,
        "instead": answer.instead.iter().map(neighbour).collect::<Vec<_>>(),
        "consulted": binary.consulted().iter().map(consulted).collect::<Vec<_>>(),
    }))
}

fn neighbour(neighbour: &Neighbour) -> Value {
    json!({
        "name": neighbour.name,
        "address": neighbour.addr.map(|addr| addr.0),
        "exported": neighbour.exported,
        "relation": neighbour.relation.name(),
        "of": neighbour.of,
    })
}

fn consulted(file: &Consulted) -> Value {
    let (outcome, why) = match &file.outcome {
        Outcome::Used => ("used", None),
        Outcome::Missing => ("missing", None),
        Outcome::Refused(why) => ("refused", Some(why.as_str())),
        _ => ("other", None),
    };
    json!({
        "source": file.source.name(),
        "file": file.file.to_string_lossy(),
        "outcome": outcome,
        "why": why,
        "more": file.more,
    })
}

/// A function. Addresses, offsets and sizes are numbers of bytes.
///
/// With `sites`, what the kernel does at each place.
pub(super) fn function(kind: &str, binary: &Binary, function: &Function, sites: Option<&Sites<'_>>) -> Value {
    let machine = binary.machine();
    let body = function.body();
    let mut object = json!({
        "kind": kind,
        "binary": binary.shown().to_string_lossy(),
        "path": binary.path().to_string_lossy(),
        "build_id": binary.build_id().map(|id| hex(&id)),
        "name": function.name,
        "mangled": function.mangled,
        "address": body.map(|place| place.addr.0),
        "offset": body.map(|place| place.offset.0),
        "size": body.map(|place| place.size.0),
        "tables": function.tables.iter().map(|t| t.name()).collect::<Vec<_>>(),
        "role": function.role.name(),
        "endbr64": body.is_some_and(Place::starts_with_endbr64),
        "aliases": function
            .aliases
            .iter()
            .map(|alias| json!({"name": alias.name, "mangled": alias.mangled}))
            .collect::<Vec<_>>(),
        "declared": function.declared.as_ref().map(source_line),
        "signature": function.signature.as_ref().map(|known| signature(machine, known)),
        "places": function.places.iter().map(|place| self::place(machine, function, place, sites)).collect::<Vec<_>>(),
    });
    if let (Some(caution), Some(fields)) = (function.role.caution(), object.as_object_mut())
        && function.role != Role::Whole
    {
        fields.insert("caution".to_owned(), json!(caution));
    }
    object
}

fn place(machine: Machine, function: &Function, place: &Place, sites: Option<&Sites<'_>>) -> Value {
    let kind = match &place.kind {
        PlaceKind::Body => "body",
        PlaceKind::Inlined(_) => "inlined",
        PlaceKind::Inside { .. } => "inside",
        PlaceKind::Plt => "plt",
        _ => "other",
    };
    let mut object = json!({
        "kind": kind,
        "address": place.addr.0,
        "offset": place.offset.0,
        "size": place.size.0,
    });
    let Some(fields) = object.as_object_mut() else { return object };
    match &place.kind {
        PlaceKind::Inlined(inlined) => {
            fields.insert("callers".to_owned(), inlined.callers.iter().map(caller).collect());
        }
        PlaceKind::Inside { from_entry, line, inlined } => {
            fields.insert("from_entry".to_owned(), json!(from_entry.0));
            fields.insert("line".to_owned(), json!(line.as_ref().map(source_line)));
            fields.insert("callers".to_owned(), inlined.iter().map(caller).collect());
        }
        _ => {}
    }
    let name = |index: usize| {
        let parameter = function.signature.as_ref().and_then(|signature| signature.parameters.get(index));
        parameter.and_then(|parameter| parameter.name.clone())
    };
    let arguments = place.arguments.iter().enumerate();
    let arguments = arguments.map(|(index, argument)| self::argument(machine, name(index), argument)).collect();
    fields.insert("arguments".to_owned(), arguments);
    if let Some(sites) = sites {
        let site = match sites.of(place) {
            Ok(site) => sites::object(&site),
            Err(error) => json!({"message": error.to_string()}),
        };
        fields.insert("site".to_owned(), site);
    }
    object
}

fn caller(caller: &Caller) -> Value {
    json!({"name": caller.name, "line": caller.line.as_ref().map(source_line)})
}

/// A line of a source file, its path as the debug information has it.
pub(super) fn source_line(line: &SourceLine) -> Value {
    json!({"file": line.file, "line": line.line})
}

fn signature(machine: Machine, signature: &Signature) -> Value {
    let origin = match signature.origin {
        Origin::DebugInfo => "debug-info",
        Origin::Name => "name",
    };
    json!({
        "origin": origin,
        "returns": signature.returns.as_ref().map(ty),
        "returns_in": signature.returns_in.as_ref().map(|at| location(machine, at, 0)),
        "parameters": signature.parameters.iter().map(|known| parameter(machine, known)).collect::<Vec<_>>(),
        "variadic": signature.variadic,
    })
}

fn parameter(machine: Machine, parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "type": ty(&parameter.ty),
        "artificial": parameter.artificial,
        "passed_in": parameter.passed_in.as_ref().map(|at| location(machine, at, 0)),
    })
}

fn ty(ty: &Type) -> Value {
    let class = match ty.class {
        TypeClass::Void => "void",
        TypeClass::Unsigned => "unsigned",
        TypeClass::Signed => "signed",
        TypeClass::Boolean => "boolean",
        TypeClass::Character => "character",
        TypeClass::Float => "float",
        TypeClass::Pointer => "pointer",
        TypeClass::CString => "c-string",
        TypeClass::Aggregate => "aggregate",
        _ => "unknown",
    };
    json!({"text": ty.text, "size": ty.size, "class": class})
}

fn argument(machine: Machine, name: Option<String>, argument: &Argument) -> Value {
    let known_by = match argument.known_by {
        KnownBy::DebugInfo => "debug-info",
        KnownBy::CallingConvention => "calling-convention",
        KnownBy::Name => "name",
        _ => "nothing",
    };
    json!({
        "name": name,
        "text": argument.location.text(machine),
        "location": location(machine, &argument.location, 0),
        "known_by": known_by,
    })
}

/// How deeply locations are taken apart; what lies deeper is its text.
const DEEPEST: usize = 8;

fn location(machine: Machine, at: &Location, depth: usize) -> Value {
    if depth > DEEPEST {
        return json!({"in": "expression", "text": at.text(machine)});
    }
    let inner = |inner: &Location| location(machine, inner, depth + 1);
    match at {
        Location::Register(register) => {
            json!({"in": "register", "register": register.name(machine), "dwarf": register.0})
        }
        Location::Memory { base, offset } => {
            json!({"in": "memory", "register": base.name(machine), "dwarf": base.0, "offset": offset})
        }
        Location::Static(address) => json!({"in": "static", "address": address}),
        Location::Indirect { pointer, offset } => {
            json!({"in": "indirect", "pointer": inner(pointer), "offset": offset})
        }
        Location::Constant(value) => json!({"in": "constant", "value": number(*value)}),
        Location::Bytes(bytes) => json!({"in": "bytes", "hex": hex(bytes)}),
        Location::Address(address) => json!({"in": "address", "address": address}),
        Location::Sum { of, offset } => json!({"in": "sum", "of": inner(of), "offset": offset}),
        Location::Synthetic { target, offset } => {
            json!({"in": "synthetic", "target": inner(target), "offset": offset})
        }
        Location::Pieces(pieces) => {
            let pieces: Vec<Value> =
                pieces.iter().map(|(piece, size)| json!({"location": inner(piece), "size": size})).collect();
            json!({"in": "pieces", "pieces": pieces})
        }
        Location::Expression(text) => json!({"in": "expression", "text": text}),
        Location::OptimizedOut => json!({"in": "optimised-out"}),
        _ => json!({"in": "unknown"}),
    }
}

/// Exact where JSON's readers keep it, else digits.
fn number(value: i128) -> Value {
    match (i64::try_from(value), u64::try_from(value)) {
        (Ok(value), _) => json!(value),
        (_, Ok(value)) => json!(value),
        _ => json!(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use symres::Register;

    use super::*;

    #[test]
    fn every_location_is_an_object_that_says_where() {
        let register = Location::Register(Register(3));
        let deep =
            (0..20).fold(register.clone(), |inner, _| Location::Indirect { pointer: Box::new(inner), offset: 8 });
        let check = |at: &Location, expect: Value| assert_eq!(location(Machine::X86_64, at, 0), expect);
        check(&register, json!({"in": "register", "register": "rbx", "dwarf": 3}));
        check(
            &Location::Memory { base: Register(7), offset: 8 },
            json!({"in": "memory", "register": "rsp", "dwarf": 7, "offset": 8}),
        );
        check(&Location::Constant(-1), json!({"in": "constant", "value": -1}));
        check(&Location::Constant(i128::MAX), json!({"in": "constant", "value": i128::MAX.to_string()}));
        check(&Location::OptimizedOut, json!({"in": "optimised-out"}));
        assert!(location(Machine::X86_64, &deep, 0).to_string().contains("expression"), "bounded");
    }
}
