//! Places as lines for people, or as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::facts::Facts;
use super::query::Query;
use super::{Item, Source};
use crate::escape::harmless;
use crate::prototype::{Argument, Prototype, Where, snippet};
use crate::render::object_line;

/// A prototype that is longer has its arguments on lines of their own, where no terminal says how wide it is.
const WIDTH: usize = 120;
const INDENT: &str = "    ";

/// How places are shown.
#[derive(Debug)]
pub(super) struct Show {
    pub(super) verbose: bool,
    pub(super) json: bool,
    /// Columns of the terminal.
    pub(super) width: Option<usize>,
}

impl Show {
    /// Something that can be probed.
    pub(super) fn item(&self, source: &Source, item: &Item, facts: &Facts<'_>, out: &mut dyn Write) -> io::Result<()> {
        let prototype = if self.verbose { (source.describe)(facts, item) } else { None };
        let probe = self.verbose.then(|| probe(source, item, prototype.as_ref())).flatten();
        match self.json {
            true => object_line(out, self.object(source, item, prototype.as_ref(), probe)),
            false => self.text(source, item, prototype.as_ref(), probe, out),
        }
    }

    fn text(
        &self,
        source: &Source,
        item: &Item,
        prototype: Option<&Prototype>,
        probe: Option<String>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        write!(out, "{}:{}", source.kind, harmless(&item.name))?;
        if let Some(module) = &item.module {
            write!(out, "  [{}]", harmless(module))?;
        }
        if !item.marks.is_empty() {
            write!(out, "  ({})", harmless(&item.marks.join("; ")))?;
        }
        writeln!(out)?;
        if let Some(prototype) = prototype {
            self.prototype(prototype, out)?;
            for place in &item.places {
                writeln!(out, "{INDENT}at {}", harmless(place))?;
            }
        }
        for text in probe.iter().flat_map(|probe| probe.lines()) {
            writeln!(out, "{INDENT}{}", harmless(text))?;
        }
        Ok(())
    }

    /// On one line, or with the arguments on lines of their own.
    fn prototype(&self, prototype: &Prototype, out: &mut dyn Write) -> io::Result<()> {
        let (whole, from) = (prototype.line(), prototype.known_from.text());
        let whole = harmless(&whole);
        if INDENT.len() + whole.chars().count() + from.len() + 4 <= self.width.unwrap_or(WIDTH) {
            return writeln!(out, "{INDENT}{whole}  [{from}]");
        }
        writeln!(out, "{INDENT}[{from}]")?;
        for argument in &prototype.arguments {
            writeln!(out, "{INDENT}{INDENT}{}", harmless(&argument.declared))?;
        }
        if prototype.variadic {
            writeln!(out, "{INDENT}{INDENT}...")?;
        }
        match &prototype.returns {
            Some(returned) => writeln!(out, "{INDENT}returns {}", harmless(&returned.ty)),
            None => Ok(()),
        }
    }

    fn object(&self, source: &Source, item: &Item, prototype: Option<&Prototype>, probe: Option<String>) -> Value {
        let mut object = json!({"kind": source.kind, "name": item.name, "module": item.module, "notes": item.marks});
        if let (true, Some(fields)) = (self.verbose, object.as_object_mut()) {
            fields.insert("prototype".to_owned(), prototype.map_or(Value::Null, of_prototype));
            fields.insert("places".to_owned(), json!(item.places));
            fields.insert("probe".to_owned(), json!(probe));
        }
        object
    }

    /// Something that the user should know.
    pub(super) fn note(&self, note: &str, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
        match self.json {
            true => object_line(out, json!({"kind": "note", "message": note})),
            false => writeln!(err, "dbcc: {}", harmless(note)),
        }
    }

    /// Nothing fits.
    pub(super) fn missing(
        &self,
        query: &Query,
        near: &Option<String>,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> io::Result<()> {
        let kinds: Vec<&str> = query.sources.iter().map(|source| source.kind).collect();
        if self.json {
            let object = json!({"kind": "not_found", "pattern": query.text, "searched": kinds, "near": near});
            return object_line(out, &object);
        }
        let near = near.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        let what = if query.text.is_empty() { String::new() } else { format!(" for `{}`", harmless(&query.text)) };
        writeln!(err, "dbcc: found nothing{what} among {}{}", kinds.join(", "), harmless(&near))
    }
}

/// The lines that a probe of it begins with.
fn probe(source: &Source, item: &Item, prototype: Option<&Prototype>) -> Option<String> {
    let target = item.target.as_deref();
    // What has a target of its own and none here cannot be attached to.
    let target = if source.directive == Some("perf_event") { target? } else { target.unwrap_or(&item.name) };
    snippet(source.directive?, target, prototype).map(|snippet| snippet.to_string())
}

fn of_prototype(prototype: &Prototype) -> Value {
    json!({
        "arguments": prototype.arguments.iter().map(of_argument).collect::<Vec<_>>(),
        "variadic": prototype.variadic,
        "returns": prototype.returns.as_ref().map(of_argument),
        "known_from": prototype.known_from.name(),
    })
}

fn of_argument(argument: &Argument) -> Value {
    let place = match &argument.place {
        Where::Argument(number) => json!({"argument": number}),
        Where::Stack(offset) => json!({"stack": offset}),
        Where::Return => json!("return"),
        Where::Field { name, offset, size } => json!({"field": name, "offset": offset, "size": size}),
        Where::Usdt(number) => json!({"usdt": number}),
        Where::OptimizedOut => json!("optimised-out"),
        Where::Elsewhere(text) => json!({"elsewhere": text}),
        Where::Unknown => Value::Null,
    };
    json!({"name": argument.name, "type": argument.ty, "class": argument.class.name(), "place": place})
}
