//! What of a place's values an event can hold, and how each is read.

use crate::prototype::c::{self, comment, declare};
use crate::prototype::{Argument, Class, KnownFrom, Owner, Prototype, Where, most_bound};

use super::place::Place;

/// How much is kept of a text of which no length is known: what the name `TEXT` stands for.
pub(super) const TEXT: u64 = 128;
/// Larger arrays are left to who wants them.
const MAX_ARRAY: u64 = 64;
/// What every event begins with; arguments of these names get others.
const HEADER: &[&str] = &["pid", "tid", "comm", "elapsed_ns", "ret"];

/// A field of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// `u32 command`, `char packet[TEXT]`
    pub(super) declaration: String,
    /// What is to be known of it.
    pub(super) comment: Option<String>,
    /// In bytes.
    pub(super) size: u64,
    /// The statement that fills it; `@` stands for the event and the `.` or `->` behind it.
    pub(super) read: String,
}

/// What an event holds of a place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) fields: Vec<Field>,
    /// What cannot be read, by reason.
    pub(super) unread: Vec<Unread>,
}

/// What cannot be read for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unread {
    /// The reason, a sentence without its end.
    pub(super) why: String,
    /// What it is, and where it is likely to be.
    pub(super) what: Vec<String>,
}

/// Why an argument cannot be read.
struct Why {
    reason: String,
    /// Where it is likely to be.
    perhaps: Option<String>,
}

impl From<String> for Why {
    fn from(reason: String) -> Self {
        Self { reason, perhaps: None }
    }
}

impl Fields {
    /// Whether one has the length `TEXT`.
    pub(super) fn has_text(&self) -> bool {
        self.fields.iter().any(|field| field.declaration.ends_with("[TEXT]"))
    }

    /// In bytes, without holes.
    pub(super) fn size(&self) -> u64 {
        self.fields.iter().map(|field| field.size.next_multiple_of(8)).sum()
    }

    fn add(&mut self, argument: &Argument, name: &str, read: Result<Vec<Field>, Why>) {
        let Why { reason: why, perhaps } = match read {
            Ok(fields) => return self.fields.extend(fields),
            Err(why) => why,
        };
        let perhaps = perhaps.map(|perhaps| format!(": {perhaps}")).unwrap_or_default();
        let what = format!("{name} ({}){perhaps}", comment(&argument.ty));
        match self.unread.last_mut().filter(|last| last.why == why) {
            Some(last) => last.what.push(what),
            None => self.unread.push(Unread { why, what: vec![what] }),
        }
    }
}

/// The arguments at a place.
pub(super) fn arguments(place: &Place) -> Fields {
    let mut found = Fields::default();
    let Ok(prototype) = &place.prototype else { return found };
    let (most, mut bound) = (most_bound(place.kind), 0);
    // The number of a system call is in the tracepoint's name.
    let is_wanted = |argument: &Argument| argument.name.as_deref() != Some("__syscall_nr");
    for (index, (argument, name)) in prototype.arguments.iter().zip(c::names(prototype)).enumerate() {
        if !is_wanted(argument) {
            continue;
        }
        let value = c::c_type(argument, prototype.known_from)
            .ok_or_else(|| of_class(argument))
            .and_then(|(ty, _)| value(argument, &name, &ty, most, &mut bound))
            .or_else(|why| in_record(argument).ok_or(why))
            .map_err(|why| if argument.place == Where::Unknown { guess(place, prototype, index) } else { why.into() });
        let read = value.and_then(|value| Ok(read(argument, prototype.known_from, &name, &value)?));
        found.add(argument, &name, read);
    }
    found
}

/// What is returned at a place that is the return of a function.
pub(super) fn returned(place: &Place) -> Fields {
    let mut found = Fields::default();
    let prototype = place.prototype.as_ref().ok();
    let Some(known) = prototype.and_then(|prototype| prototype.returns.as_ref()) else {
        found.fields.push(Field {
            declaration: "u64 ret".to_owned(),
            comment: Some("of no known type: the register as it is".to_owned()),
            size: 8,
            read: "@ret = PT_REGS_RC(ctx);".to_owned(),
        });
        return found;
    };
    if known.class == Class::Void {
        return found;
    }
    let known_from = prototype.map_or(KnownFrom::Btf, |prototype| prototype.known_from);
    let taken = prototype.is_some_and(|prototype| c::names(prototype).iter().any(|name| name == "ret"));
    let value = match (place.kind, &known.place, c::c_type(known, known_from)) {
        ("fexit", _, Some(_)) => Ok(if taken { "ret_".to_owned() } else { "ret".to_owned() }),
        (_, Where::Return, Some((ty, _))) => Ok(match known.class {
            Class::Boolean => "(u8)PT_REGS_RC(ctx)".to_owned(),
            _ => format!("({ty})PT_REGS_RC(ctx)"),
        }),
        _ => Err(of_class(known)),
    };
    let read = value.and_then(|value| read(known, known_from, "ret", &value)).map_err(Why::from);
    found.add(known, "what it returns", read);
    for field in &mut found.fields {
        // It is the one field of that name.
        field.declaration = field.declaration.replace("args_ret", "ret");
        field.read = field.read.replace("@args_ret", "@ret");
    }
    found
}

/// The C expression for the value of an argument.
fn value(argument: &Argument, name: &str, ty: &str, most: usize, bound: &mut usize) -> Result<String, String> {
    match &argument.place {
        Where::Argument(number) | Where::Usdt(number) if number + argument.class.registers() - 1 > most => {
            Err(format!("only the first {most} arguments are handed to a probe"))
        }
        // It is bound to a parameter, or out of their order.
        Where::Argument(number) | Where::Usdt(number) if *number > *bound => {
            *bound = number + argument.class.registers() - 1;
            Ok(name.to_owned())
        }
        Where::Argument(number) => Ok(format!("({ty})PT_REGS_PARM{number}(ctx)")),
        Where::Stack(_) if matches!(argument.class, Class::Aggregate(_)) => {
            Err("it is in memory, on the stack".to_owned())
        }
        Where::Stack(offset) => Ok(format!("*({})(PT_REGS_SP(ctx) + {offset})", declare(ty, "*"))),
        Where::Field { name, .. } => Ok(format!("args->{name}")),
        Where::Elsewhere(_) => Err(of_class(argument)),
        Where::OptimizedOut => Err("the compiler keeps it nowhere that a probe finds".to_owned()),
        _ => Err("nothing tells where it is".to_owned()),
    }
}

/// What of a record has no type of a variable.
fn in_record(argument: &Argument) -> Option<String> {
    let Where::Field { name, .. } = &argument.place else { return None };
    matches!(argument.class, Class::TextArray(_) | Class::TextBehind | Class::Aggregate(Some(_)))
        .then(|| format!("args->{name}"))
}

/// The fields that hold a value, and how they are filled.
fn read(argument: &Argument, known_from: KnownFrom, name: &str, value: &str) -> Result<Vec<Field>, String> {
    let field = if HEADER.contains(&name) { format!("args_{name}") } else { name.to_owned() };
    let text = |length: &str, size: u64, read: String| {
        vec![Field { declaration: format!("char {field}[{length}]"), comment: None, size, read }]
    };
    match argument.class {
        Class::Text(owner) => {
            let reader = reader(owner);
            Ok(text("TEXT", TEXT, format!("{reader}(@{field}, sizeof(@{field}), {value});")))
        }
        Class::TextArray(size) => {
            let read = format!("bpf_probe_read_kernel_str(@{field}, sizeof(@{field}), {value});");
            Ok(text(&size.to_string(), size, read))
        }
        Class::TextBehind => match value.strip_prefix("args->data_loc_") {
            Some(own) => Ok(text("TEXT", TEXT, format!("TP_DATA_LOC_READ_STR(@{field}, {own}, sizeof(@{field}));"))),
            None => Err("its place is counted from its own field".to_owned()),
        },
        Class::Aggregate(Some(size)) if matches!(argument.place, Where::Field { .. }) => {
            let is_bytes = ["u8[", "__u8[", "unsigned char[", "uint8_t["].iter().any(|ty| argument.ty.starts_with(ty));
            if !is_bytes || size > MAX_ARRAY {
                return Err(format!("an array; read {value}[i] where it is wanted"));
            }
            let read = format!("bpf_probe_read_kernel(@{field}, sizeof(@{field}), {value});");
            Ok(vec![Field { declaration: format!("u8 {field}[{size}]"), comment: None, size, read }])
        }
        class => {
            let (ty, differs) = c::c_type(argument, known_from).ok_or_else(|| of_class(argument))?;
            let own = differs.then(|| comment(&argument.ty));
            let one = |field: &str, value: &str| Field {
                declaration: declare(&ty, field),
                comment: own.clone(),
                size: match class {
                    Class::Integer { size, .. } => size,
                    Class::Boolean => 1,
                    _ => 8,
                },
                read: match ty.as_str() {
                    // Without the `const` that it may have.
                    "void *" if value.starts_with("args->") => format!("@{field} = (void *){value};"),
                    _ => format!("@{field} = {value};"),
                },
            };
            Ok(match (class, class.registers()) {
                (Class::Aggregate(_), 2) => ["low", "high"]
                    .iter()
                    .map(|half| one(&format!("{field}_{half}"), &format!("{value}_{half}")))
                    .collect(),
                (Class::Word, _) => {
                    let declaration = format!("char {field}_text[TEXT]");
                    let read =
                        format!("bpf_probe_read_user_str(@{field}_text, sizeof(@{field}_text), (void *){value});");
                    let note = Some(format!("what {field} points to, if that is a text"));
                    vec![one(&field, value), Field { declaration, comment: note, size: TEXT, read }]
                }
                _ => vec![one(&field, value)],
            })
        }
    }
}

fn reader(owner: Owner) -> &'static str {
    match owner {
        Owner::Kernel => "bpf_probe_read_kernel_str",
        Owner::Process => "bpf_probe_read_user_str",
        // The address tells.
        Owner::Either => "bpf_probe_read_str",
    }
}

/// That a value is where no probe of a file's functions reads it.
fn elsewhere(at: &str) -> String {
    match at.parse::<i128>() {
        Ok(always) => format!("it is always {always}"),
        Err(_) => format!("it is in {}", comment(at)),
    }
}

/// Why no variable of a probe can hold a value.
fn of_class(argument: &Argument) -> String {
    match (argument.class, &argument.place) {
        (Class::Float, Where::Elsewhere(at)) => {
            format!("it is in {}, and the kernel hands no floating point registers to probes", comment(at))
        }
        (Class::Float, _) => "the kernel hands no floating point registers to probes".to_owned(),
        (Class::Aggregate(_), Where::Elsewhere(at)) => format!("an object by value, in {}", comment(at)),
        (Class::Aggregate(_), _) => "an object by value, in memory".to_owned(),
        (Class::Unknown, Where::Argument(number)) => {
            format!("nothing tells how large it is; it is in the register PT_REGS_PARM{number}(ctx)")
        }
        (_, Where::Elsewhere(at)) => elsewhere(at),
        _ => "nothing is known of its type".to_owned(),
    }
}

/// What is said of an argument whose place a mangled name does not tell: where it is likely to be.
fn guess(place: &Place, prototype: &Prototype, index: usize) -> Why {
    if prototype.known_from != KnownFrom::DemangledName {
        return "nothing tells where it is".to_owned().into();
    }
    let unknown = prototype.arguments.iter().take(index + 1).find(|argument| argument.class == Class::Unknown);
    let floats = prototype.arguments.iter().take(index).filter(|argument| argument.class == Class::Float).count();
    let number = index + 1 - floats;
    match unknown {
        Some(unknown) => Why {
            reason: format!(
                "the mangled name does not tell whether {} is a class. If it is an enumeration, these are",
                comment(&unknown.ty)
            ),
            perhaps: Some(format!("PT_REGS_PARM{number}(ctx)")),
        },
        None if place.title.contains("::") => Why {
            reason: "the mangled name does not tell whether this is a method, whose object comes first. These are"
                .to_owned(),
            perhaps: Some(format!("PT_REGS_PARM{}(ctx) of a method, else PT_REGS_PARM{number}(ctx)", number + 1)),
        },
        None => "the mangled name does not tell where it is".to_owned().into(),
    }
}
