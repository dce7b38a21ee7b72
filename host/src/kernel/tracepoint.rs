//! Tracepoints: the fields of their records, and these as a C struct.
//!
//! The source is the file `events/CATEGORY/NAME/format` of tracefs (Documentation/trace/events.rst in the kernel's
//! sources, "Event formats").

use std::fmt::Write as _;

use super::tracefs::Tracefs;
use crate::diag::nearest;

/// A tracepoint of this kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracepoint {
    /// The folder that it is in, such as `sock`.
    pub category: String,
    /// Its name, such as `sock_send_length`.
    pub name: String,
    /// Its number, by which a perf event is opened.
    pub id: u32,
    /// The fields of its record in the order of their offsets, those that every record starts with included.
    pub fields: Vec<Field>,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its type as the kernel writes it, such as `const char *` or `__data_loc char[]`.
    pub declared: String,
    /// Its name.
    pub name: String,
    /// Number of elements, of an array.
    pub length: Option<u32>,
    /// Offset in bytes.
    pub offset: u32,
    /// Size in bytes, of all elements.
    pub size: u32,
    /// Whether it has a sign, as the kernel says.
    pub signed: bool,
}

/// Why a tracepoint's fields cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracepointError {
    /// This kernel has no such tracepoint.
    #[error("this kernel has no tracepoint {category}:{name}{}", did_you_mean(.nearest.as_deref()))]
    Missing {
        /// The category as asked for.
        category: String,
        /// The name as asked for.
        name: String,
        /// The tracepoint, as `category:name`, whose name is nearest.
        nearest: Option<String>,
    },
    /// A name that no tracepoint can have.
    #[error("`{category}:{name}` is no name of a tracepoint; write CATEGORY:NAME, as in sched:sched_switch")]
    Name {
        /// The category as asked for.
        category: String,
        /// The name as asked for.
        name: String,
    },
    /// Its format cannot be read.
    #[error("cannot read the fields of tracepoint {category}:{name}: {error}")]
    Io {
        /// The category.
        category: String,
        /// The name.
        name: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// Its format cannot be understood.
    #[error("cannot understand the fields of tracepoint {category}:{name}: {line:?}")]
    Format {
        /// The category.
        category: String,
        /// The name.
        name: String,
        /// The line that is not understood, or what is missing.
        line: String,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default()
}

impl Tracepoint {
    /// Reads the fields of a tracepoint.
    ///
    /// # Errors
    /// When there is no such tracepoint, or its format cannot be read or understood.
    pub fn read(tracefs: &Tracefs, category: &str, name: &str) -> Result<Self, TracepointError> {
        if !is_identifier(category) || !is_identifier(name) {
            return Err(TracepointError::Name { category: category.into(), name: name.into() });
        }
        match tracefs.read(&format!("events/{category}/{name}/format")) {
            Ok(text) => Self::parse(category, name, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(TracepointError::Missing {
                category: category.into(),
                name: name.into(),
                nearest: nearest_event(tracefs, category, name),
            }),
            Err(error) => Err(TracepointError::Io { category: category.into(), name: name.into(), error }),
        }
    }

    /// Reads the text of a `format` file.
    ///
    /// # Errors
    /// When a line with a field is not understood, or there is no number.
    pub fn parse(category: &str, name: &str, text: &str) -> Result<Self, TracepointError> {
        let wrong = |line: &str| TracepointError::Format {
            category: category.into(),
            name: name.into(),
            line: line.trim().to_owned(),
        };
        let mut id = None;
        let mut fields = Vec::new();
        for line in text.lines() {
            if let Some(number) = line.strip_prefix("ID:") {
                id = Some(number.trim().parse().map_err(|_| wrong(line))?);
            } else if line.trim_start().starts_with("field") {
                fields.push(Field::parse(line.trim()).ok_or_else(|| wrong(line))?);
            }
        }
        fields.sort_by_key(|field| field.offset);
        let id = id.ok_or_else(|| wrong("no line `ID:`"))?;
        Ok(Self { category: category.into(), name: name.into(), id, fields })
    }

    /// The fields that are pointers to structs or unions, and the tags of these.
    pub fn pointees(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().filter_map(|field| {
            let mut words = field.declared.split_whitespace().filter(|word| !matches!(*word, "const" | "volatile"));
            let keyword = words.next().filter(|word| matches!(*word, "struct" | "union"));
            let tag = keyword.and(words.next()).filter(|tag| is_identifier(tag))?;
            (words.next() == Some("*")).then_some((field.name.as_str(), tag))
        })
    }

    /// The record as a C struct, `struct tracepoint__CATEGORY__NAME`, as BCC declares it: each field at its offset and
    /// with its size; a field of dynamic length is `int data_loc_NAME` (low half: offset, high half: length), one that
    /// is counted from its own end `int rel_loc_NAME`. BPF programs may not read the first 8 bytes, so that the fields
    /// common to all records are one that nobody uses.
    ///
    /// It needs no other types: what is not a `char`, a `bool`, or a pointer to these, to `void` or to a struct is an
    /// integer of its size.
    pub fn c_struct(&self) -> String {
        let mut text =
            format!("struct tracepoint__{}__{} {{\n\tunsigned long long __do_not_use__;\n", self.category, self.name);
        let mut end = 8u32;
        for field in self.fields.iter().filter(|field| field.offset >= 8) {
            // Writing to a String cannot fail.
            let Some((declaration, alignment)) = field.c_declaration().filter(|_| field.offset >= end) else {
                let _ = writeln!(text, "\t/* left out: {} at offset {} */", printable(&field.name), field.offset);
                continue;
            };
            if field.offset > end {
                let _ = writeln!(text, "\tchar __padding_{end}[{}];", field.offset - end);
            }
            let packed = if field.offset % alignment == 0 { "" } else { " __attribute__((packed))" };
            let _ = writeln!(text, "\t{declaration}{packed};");
            end = field.offset.saturating_add(field.size);
        }
        text.push_str("};\n");
        text
    }
}

/// The most like of the kernel's tracepoints; none where they cannot be listed.
pub fn nearest_event(tracefs: &Tracefs, category: &str, name: &str) -> Option<String> {
    let events = tracefs.read("available_events").ok()?;
    // The right name in another category is the likeliest mistake.
    let same_name = events.lines().find(|line| line.split_once(':').is_some_and(|(_, found)| found == name));
    let asked = format!("{category}:{name}");
    same_name.or_else(|| nearest(&asked, events.lines())).map(str::to_owned)
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A name as it may stand in a comment.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '?' }).collect()
}

impl Field {
    /// How many elements an array has: what the kernel writes there may be a name, and then the size tells.
    pub fn elements(&self) -> u32 {
        self.length.filter(|length| *length > 0).unwrap_or(self.size)
    }

    /// The words of its type, without `const` and `volatile`.
    pub fn plain_words(&self) -> Vec<&str> {
        self.declared.split_whitespace().filter(|word| !matches!(*word, "const" | "volatile")).collect()
    }

    /// Whether its bytes stand behind the record, at an offset and of a length that the record tells.
    pub fn is_behind(&self) -> bool {
        self.prefix_of_what_is_behind().is_some()
    }

    fn prefix_of_what_is_behind(&self) -> Option<&'static str> {
        let prefixes = [("__data_loc", "data_loc"), ("__rel_loc", "rel_loc")];
        let found = prefixes.into_iter().find(|(prefix, _)| self.declared.starts_with(prefix) && self.size == 4);
        found.map(|(_, prefixed)| prefixed)
    }

    /// Its name in the struct of [`Tracepoint::c_struct`]; none where it is left out there.
    pub fn member(&self) -> Option<String> {
        self.c_declaration()?;
        let name = &self.name;
        Some(self.prefix_of_what_is_behind().map_or_else(|| name.clone(), |prefix| format!("{prefix}_{name}")))
    }

    /// Reads `field:TYPE NAME; offset:N; size:N; signed:N;`.
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(';').map(str::trim);
        let declaration = parts.next()?.split_once(':')?.1.trim();
        let (mut offset, mut size, mut signed) = (None, None, false);
        for part in parts {
            match part.split_once(':') {
                Some(("offset", number)) => offset = Some(number.trim().parse().ok()?),
                Some(("size", number)) => size = Some(number.trim().parse().ok()?),
                Some(("signed", number)) => signed = number.trim() == "1",
                _ => {}
            }
        }
        let (offset, size): (u32, u32) = (offset?, size?);
        offset.checked_add(size)?;
        // An array of fixed length has it behind the name: `char comm[16]`; `__data_loc char[] name` has not.
        let (declaration, length) = match declaration.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
            // The kernel may write an expression there; then size and type of the elements tell.
            Some((rest, length)) => (rest.trim(), Some(length.trim().parse().unwrap_or(0))),
            None => (declaration, None),
        };
        let at = declaration.rfind(|c: char| c.is_whitespace() || c == '*')? + 1;
        let (declared, name) = (declaration.get(..at)?.trim(), declaration.get(at..)?.trim());
        (!name.is_empty()).then(|| Self { declared: declared.into(), name: name.into(), length, offset, size, signed })
    }

    /// Its C declaration without `;`, and its alignment in bytes; none where C cannot say it.
    fn c_declaration(&self) -> Option<(String, u32)> {
        let name = &self.name;
        if !is_identifier(name) || name.starts_with(|c: char| c.is_ascii_digit()) || self.size == 0 {
            return None;
        }
        if let Some(prefix) = self.prefix_of_what_is_behind() {
            return Some((format!("int {prefix}_{name}"), 4));
        }
        let words = self.plain_words();
        if let Some(length) = self.length {
            let each = self.size.checked_div(length).filter(|each| each * length == self.size);
            let (element, each) = match (words.as_slice(), each) {
                (["char"], _) => ("char", 1),
                (_, Some(each @ (1 | 2 | 4 | 8))) => (integer(each, self.is_signed())?, each),
                _ => ("unsigned char", 1),
            };
            return Some((format!("{element} {name}[{}]", self.size / each), each));
        }
        if self.size == 8 && self.declared.ends_with('*') {
            let pointee = match words.as_slice() {
                [kind @ ("struct" | "union"), tag, "*"] if is_identifier(tag) => format!("{kind} {tag}"),
                [basic @ ("char" | "void"), "*"] => (*basic).to_owned(),
                _ => "void".to_owned(),
            };
            let constant = if self.declared.starts_with("const ") { "const " } else { "" };
            return Some((format!("{constant}{pointee} *{name}"), 8));
        }
        if words == ["bool"] && self.size == 1 {
            return Some((format!("_Bool {name}"), 1));
        }
        match integer(self.size, self.is_signed()) {
            Some(integer) => Some((format!("{integer} {name}"), self.size)),
            None => Some((format!("unsigned char {name}[{}]", self.size), 1)),
        }
    }

    /// Whether its numbers have a sign. The arguments of system calls are wider than their types, and the kernel does
    /// not say there that an `int` has one.
    pub fn is_signed(&self) -> bool {
        const SIGNED: &[&str] = &[
            "int", "short", "long", "signed", "pid_t", "ssize_t", "loff_t", "off_t", "s8", "s16", "s32", "s64", "__s8",
            "__s16", "__s32", "__s64", "int8_t", "int16_t", "int32_t", "int64_t",
        ];
        let words = self.plain_words();
        self.signed || (words.iter().any(|word| SIGNED.contains(word)) && !words.contains(&"unsigned"))
    }
}

/// A C integer of a size in bytes.
fn integer(size: u32, signed: bool) -> Option<&'static str> {
    Some(match (size, signed) {
        (1, false) => "unsigned char",
        (1, true) => "signed char",
        (2, false) => "unsigned short",
        (2, true) => "short",
        (4, false) => "unsigned int",
        (4, true) => "int",
        (8, false) => "unsigned long long",
        (8, true) => "long long",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
