//! Types as text, in the spelling of c++filt: `char const*`, `std::vector<int, std::allocator<int> > const&`.

use std::ops::ControlFlow;

use gimli::{AttributeValue, DwTag, Reader};

use super::die::{Context, Die, Entry, Found, Language, flag, number};
use super::scope;
use super::types;
use crate::demangle::{self, RawName};
use crate::signature::TypeClass;
use crate::types::{Author, canonical};

/// Types nest some ten levels deep.
const MAX_DEPTH: usize = 40;
/// Longer texts are cut short by `...`. libstdc++'s longest are about 1,000 bytes.
const MAX_TEXT: usize = 4 << 10;
/// What stands for a type that is nested too deeply, is too long, or damaged.
const ELLIPSIS: &str = "...";

/// A type around the name that a declaration would put into it: `void (*` and `)(int)`.
struct Spelling {
    left: String,
    right: String,
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    /// With a blank before its parentheses, unless what it returns is itself written around it.
    Function {
        blank: bool,
    },
    Array,
}

impl Spelling {
    fn plain(text: impl Into<String>) -> Self {
        Self { left: text.into(), right: String::new(), shape: Shape::Plain }
    }

    /// A pointer or reference to this.
    fn wrap(mut self, sign: &str) -> Self {
        if self.shape != Shape::Plain {
            if self.shape != (Shape::Function { blank: false }) {
                self.left.push(' ');
            }
            self.left.push('(');
            self.right.insert(0, ')');
            self.shape = Shape::Plain;
        }
        self.left.push_str(sign);
        self
    }

    fn qualify(mut self, word: &str) -> Self {
        if let Shape::Function { .. } = self.shape {
            self.right.push_str(word);
        } else {
            self.left.push_str(word);
        }
        self
    }

    fn finish(self) -> String {
        let blank = if self.shape == (Shape::Function { blank: true }) { " " } else { "" };
        cut(format!("{}{blank}{}", self.left, self.right))
    }
}

fn cut(text: String) -> String {
    if text.len() > MAX_TEXT { ELLIPSIS.to_owned() } else { text }
}

/// The text of a type; without an entry it is `void`.
pub(in crate::dwarf) fn text<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: Option<&Die<R>>,
    language: Language,
) -> String {
    of(context, die, language, 0)
}

fn of<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: Option<&Die<R>>,
    language: Language,
    depth: usize,
) -> String {
    spell(context, die, language, depth).finish()
}

fn spell<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: Option<&Die<R>>,
    language: Language,
    depth: usize,
) -> Spelling {
    let Some(die) = die else {
        return Spelling::plain(if language == Language::Rust { "()" } else { "void" });
    };
    if depth > MAX_DEPTH {
        return Spelling::plain(ELLIPSIS);
    }
    let Some(entry) = context.entry(die) else { return Spelling::plain(ELLIPSIS) };
    let inner = || {
        let target = context.follow(die, &entry, gimli::DW_AT_type);
        let mut spelling = spell(context, target.as_ref(), language, depth + 1);
        if spelling.left.len() + spelling.right.len() > MAX_TEXT {
            spelling = Spelling::plain(ELLIPSIS);
        }
        spelling
    };
    let named = |entry: &Entry<R>| entry.has_attr(gimli::DW_AT_name);
    match entry.tag() {
        // Rust gives names to its pointers: `&str`, `*mut u8`.
        gimli::DW_TAG_pointer_type if language == Language::Rust && named(&entry) => {
            Spelling::plain(context.text(die, &entry, gimli::DW_AT_name).unwrap_or_default())
        }
        gimli::DW_TAG_pointer_type => inner().wrap("*"),
        gimli::DW_TAG_reference_type => inner().wrap("&"),
        gimli::DW_TAG_rvalue_reference_type => inner().wrap("&&"),
        gimli::DW_TAG_const_type => inner().qualify(" const"),
        gimli::DW_TAG_volatile_type => inner().qualify(" volatile"),
        gimli::DW_TAG_restrict_type => inner().qualify(" restrict"),
        gimli::DW_TAG_atomic_type => inner().qualify(" _Atomic"),
        gimli::DW_TAG_packed_type | gimli::DW_TAG_shared_type | gimli::DW_TAG_immutable_type => inner(),
        gimli::DW_TAG_array_type => array(context, die, &entry, language, depth),
        gimli::DW_TAG_subroutine_type => function(context, die, &entry, language, depth, false),
        gimli::DW_TAG_ptr_to_member_type => pointer_to_member(context, die, &entry, language, depth),
        gimli::DW_TAG_subrange_type if !named(&entry) => inner(),
        _ => Spelling::plain(name(context, die, &entry, language, depth)),
    }
}

fn array<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    entry: &Entry<R>,
    language: Language,
    depth: usize,
) -> Spelling {
    let element = context.follow(die, entry, gimli::DW_AT_type);
    let mut spelling = spell(context, element.as_ref(), language, depth + 1);
    let counts = types::dimensions(context, die);
    let shown = |count: &Option<u64>| count.map_or_else(String::new, |count| count.to_string());
    if flag(entry, gimli::DW_AT_GNU_vector) {
        let count = counts.first().map(shown).unwrap_or_default();
        spelling.left.push_str(&format!(" __vector({count})"));
    } else if language == Language::Rust {
        for count in counts.iter().rev() {
            spelling = Spelling::plain(format!("[{}; {}]", spelling.finish(), shown(count)));
        }
    } else {
        let dimensions: String = counts.iter().map(|count| format!("[{}]", shown(count))).collect();
        // The dimensions of an array's elements follow its own.
        let inner = spelling.right.strip_prefix(' ').unwrap_or(&spelling.right);
        spelling.right = format!(" {dimensions}{inner}");
        spelling.shape = Shape::Array;
    }
    spelling
}

fn function<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    entry: &Entry<R>,
    language: Language,
    depth: usize,
    member: bool,
) -> Spelling {
    let returned = context.follow(die, entry, gimli::DW_AT_type);
    let mut spelling = spell(context, returned.as_ref(), language, depth + 1);
    let mut constant = false;
    let list = parameter_list(context, die, language, depth, |object| {
        // The hidden object of a member function is not written; what it points to may be const.
        let this = member.then(|| types::pointee(context, object)).flatten();
        constant |= this.is_some_and(|this| context.entry(&this).is_some_and(|e| e.tag() == gimli::DW_TAG_const_type));
        member
    });
    let qualifier = if constant { " const" } else { "" };
    let blank = spelling.right.is_empty();
    if spelling.shape != Shape::Plain {
        // A function cannot return a function or an array: damaged.
        return Spelling::plain(ELLIPSIS);
    }
    spelling.right = format!("({list}){qualifier}{}", spelling.right);
    spelling.shape = Shape::Function { blank };
    spelling
}

/// The types of a function's parameters. The first artificial one is left out where `hide` says so of its type.
fn parameter_list<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    language: Language,
    depth: usize,
    mut hide: impl FnMut(&Die<R>) -> bool,
) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut first = true;
    let mut length = 0;
    context.children(die, |child, entry| {
        match entry.tag() {
            gimli::DW_TAG_formal_parameter => {
                let ty = context.follow(child, entry, gimli::DW_AT_type);
                let hidden = first && flag(entry, gimli::DW_AT_artificial) && ty.as_ref().is_some_and(&mut hide);
                first = false;
                if !hidden {
                    texts.push(of(context, ty.as_ref(), language, depth + 1));
                }
            }
            gimli::DW_TAG_unspecified_parameters => texts.push("...".to_owned()),
            _ => {}
        }
        length += texts.last().map_or(0, String::len);
        if length > MAX_TEXT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    cut(texts.join(", "))
}

fn pointer_to_member<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    entry: &Entry<R>,
    language: Language,
    depth: usize,
) -> Spelling {
    let class = context.follow(die, entry, gimli::DW_AT_containing_type);
    let class = class.map_or_else(|| ELLIPSIS.to_owned(), |class| of(context, Some(&class), language, depth + 1));
    let target = context.follow(die, entry, gimli::DW_AT_type);
    let function_entry = target.as_ref().and_then(|target| Some((target, context.entry(target)?)));
    match function_entry {
        Some((target, entry)) if entry.tag() == gimli::DW_TAG_subroutine_type => {
            function(context, target, &entry, language, depth + 1, true).wrap(&format!("{class}::*"))
        }
        _ => {
            let mut spelling = spell(context, target.as_ref(), language, depth + 1);
            if spelling.shape == Shape::Plain {
                spelling.left.push(' ');
            }
            spelling.wrap(&format!("{class}::*"))
        }
    }
}

/// The name of a class, an enumeration, a `typedef`, a basic type, with its scopes.
fn name<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    entry: &Entry<R>,
    language: Language,
    depth: usize,
) -> String {
    if entry.tag() == gimli::DW_TAG_base_type {
        let name = context.text(die, entry, gimli::DW_AT_name).unwrap_or_else(|| ELLIPSIS.to_owned());
        // GCC and clang have names of their own for these.
        if matches!(
            entry.attr_value(gimli::DW_AT_encoding),
            Some(AttributeValue::Encoding(gimli::DW_ATE_complex_float))
        ) {
            match number(entry, gimli::DW_AT_byte_size) {
                Some(8) => return "float _Complex".to_owned(),
                Some(16) => return "double _Complex".to_owned(),
                Some(32) => return "long double _Complex".to_owned(),
                _ => {}
            }
        }
        // GCC says `long unsigned int`.
        return if matches!(language, Language::C | Language::Cpp) { integer(&name) } else { name };
    }
    let chain = declarations(context, (die.clone(), entry.clone()));
    let own = match own_name(context, &chain, language, depth) {
        OwnName::Whole(text) => return text,
        OwnName::Scoped(text) => text,
    };
    // The declaration is in the scope.
    let die = chain.last().map_or(die, |(die, _)| die);
    if matches!(language, Language::C) {
        return own;
    }
    let mut text = String::new();
    for (offset, tag) in scope::parents(context, die).iter() {
        let scope = die.sibling(*offset);
        if let Some(part) = scope_name(context, &scope, *tag, language, depth + 1) {
            text.push_str(&part);
            text.push_str("::");
        }
    }
    text.push_str(&own);
    cut(text)
}

/// The entry and what it completes: of a class that is defined outside of its scope, the declaration in the scope; of one in
/// a type unit, that.
fn declarations<R: Reader<Offset = usize>>(context: &Context<'_, R>, first: Found<R>) -> Vec<Found<R>> {
    let mut chain = vec![first];
    while chain.len() < 4
        && let Some((die, entry)) = chain.last()
        && let Some(other) = context
            .follow(die, entry, gimli::DW_AT_specification)
            .or_else(|| context.follow(die, entry, gimli::DW_AT_signature))
        && let Some(entry) = context.entry(&other)
    {
        chain.push((other, entry));
    }
    chain
}

/// How a scope is written before what is in it; none for those that have no name in C++.
fn scope_name<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    tag: DwTag,
    language: Language,
    depth: usize,
) -> Option<String> {
    if depth > MAX_DEPTH {
        return Some(ELLIPSIS.to_owned());
    }
    match tag {
        gimli::DW_TAG_namespace | gimli::DW_TAG_module => {
            let mut chain = context.chain(die);
            // A namespace that is continued may refer to its first part.
            if let Some(extended) =
                chain.first().and_then(|(die, entry)| context.follow(die, entry, gimli::DW_AT_extension))
            {
                chain.extend(context.chain(&extended));
            }
            let name = chain.iter().find_map(|(die, entry)| context.text(die, entry, gimli::DW_AT_name));
            Some(name.unwrap_or_else(|| "(anonymous namespace)".to_owned()))
        }
        gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type | gimli::DW_TAG_union_type => {
            let entry = context.entry(die)?;
            let chain = declarations(context, (die.clone(), entry));
            Some(match own_name(context, &chain, language, depth) {
                OwnName::Whole(text) | OwnName::Scoped(text) => text,
            })
        }
        gimli::DW_TAG_subprogram => function_name(context, die, language, depth),
        _ => None,
    }
}

/// A function as a scope: `f(int)`.
fn function_name<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    language: Language,
    depth: usize,
) -> Option<String> {
    let chain = context.chain(die);
    let find = |at| chain.iter().find_map(|(die, entry)| context.text(die, entry, at));
    let linkage = find(gimli::DW_AT_linkage_name).or_else(|| find(gimli::DW_AT_MIPS_linkage_name));
    if let Some(demangled) = linkage.and_then(|linkage| demangle::display(RawName::new(&linkage))) {
        return Some(demangled);
    }
    let name = find(gimli::DW_AT_name)?;
    Some(match language {
        Language::Cpp => {
            format!("{name}({})", parameter_list(context, die, language, depth + 1, |_| true))
        }
        _ => name,
    })
}

/// The name of a class without its scopes.
enum OwnName {
    /// The scopes are in it already.
    Whole(String),
    Scoped(String),
}

fn own_name<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    chain: &[Found<R>],
    language: Language,
    depth: usize,
) -> OwnName {
    let given = chain.iter().find_map(|(die, entry)| context.text(die, entry, gimli::DW_AT_name));
    let tag = chain.first().map_or(gimli::DW_TAG_null, |(_, entry)| entry.tag());
    let class = matches!(tag, gimli::DW_TAG_class_type | gimli::DW_TAG_structure_type);
    if class
        && language == Language::Cpp
        && given.as_ref().is_none_or(|name| name.starts_with("<lambda"))
        && let Some(text) = chain.iter().find_map(|(die, _)| lambda_name(context, die))
    {
        return OwnName::Whole(text);
    }
    let Some(given) = given else { return OwnName::Scoped(anonymous(tag).to_owned()) };
    if let Some(parameters) = given.strip_prefix("<lambda").and_then(|rest| rest.strip_suffix('>')) {
        return OwnName::Scoped(format!("{{lambda{parameters}}}"));
    }
    // GCC before 4.6: `._12`, `<anonymous struct>`.
    if given.starts_with("._") || given.starts_with("<anonymous") || given.starts_with("<unnamed") {
        return OwnName::Scoped(anonymous(tag).to_owned());
    }
    let has_arguments = given.ends_with('>');
    let simple = || chain.iter().any(|(die, _)| die.unit.simple_names());
    if language != Language::Cpp || !(has_arguments || simple()) {
        return OwnName::Scoped(given);
    }
    let base = if has_arguments { given.split('<').next().unwrap_or(&given) } else { &given };
    let arguments =
        chain.iter().find_map(|(die, _)| template_arguments(context, die, depth).filter(|arguments| arguments.listed));
    OwnName::Scoped(match arguments {
        Some(arguments) => with_arguments(base, &arguments.texts),
        _ if has_arguments => respell(&given),
        _ => given,
    })
}

fn anonymous(tag: DwTag) -> &'static str {
    match tag {
        gimli::DW_TAG_structure_type => "(anonymous struct)",
        gimli::DW_TAG_class_type => "(anonymous class)",
        gimli::DW_TAG_union_type => "(anonymous union)",
        gimli::DW_TAG_enumeration_type => "(anonymous enum)",
        _ => "(anonymous)",
    }
}

/// The class of a lambda has no name; its call operator has one that tells the lambda's scope and number.
fn lambda_name<R: Reader<Offset = usize>>(context: &Context<'_, R>, die: &Die<R>) -> Option<String> {
    let mut found = None;
    context.children(die, |child, entry| {
        if entry.tag() == gimli::DW_TAG_subprogram
            && context.text(child, entry, gimli::DW_AT_name).is_some_and(|name| name.starts_with("operator()"))
        {
            let linkage = [gimli::DW_AT_linkage_name, gimli::DW_AT_MIPS_linkage_name];
            found = linkage.into_iter().find_map(|at| context.text(child, entry, at));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    let demangled = demangle::display(RawName::new(&found?))?;
    let class = demangled.get(..demangled.rfind("::operator()")?)?;
    // `auto` in a generic lambda makes a template of the operator, with what it returns in front.
    class.ends_with('}').then(|| class.to_owned())
}

/// The arguments of a template.
#[derive(Default)]
struct Arguments {
    texts: Vec<String>,
    /// There are entries for them, if only for an empty pack.
    listed: bool,
}

/// None when they cannot all be written.
fn template_arguments<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    depth: usize,
) -> Option<Arguments> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut arguments = Some(Arguments::default());
    let mut length = 0;
    context.children(die, |child, entry| {
        let found = match entry.tag() {
            gimli::DW_TAG_template_type_parameter => {
                let ty = context.follow(child, entry, gimli::DW_AT_type);
                Some(vec![of(context, ty.as_ref(), Language::Cpp, depth + 1)])
            }
            gimli::DW_TAG_template_value_parameter => value(context, child, entry, depth).map(|text| vec![text]),
            gimli::DW_TAG_GNU_template_template_param => {
                context.text(child, entry, gimli::DW_AT_GNU_template_name).map(|text| vec![text])
            }
            gimli::DW_TAG_GNU_template_parameter_pack => {
                template_arguments(context, child, depth + 1).map(|pack| pack.texts)
            }
            _ => return ControlFlow::Continue(()),
        };
        match (&mut arguments, found) {
            (Some(list), Some(found)) => {
                length += found.iter().map(String::len).sum::<usize>();
                list.texts.extend(found);
                list.listed = true;
            }
            (arguments, _) => *arguments = None,
        }
        if arguments.is_none() || length > MAX_TEXT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    arguments
}

/// A template argument that is a value, as c++filt writes it: `4u`, `true`, `(Colour)1`.
fn value<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    entry: &Entry<R>,
    depth: usize,
) -> Option<String> {
    let ty = context.follow(die, entry, gimli::DW_AT_type)?;
    let constant = entry.attr(gimli::DW_AT_const_value)?;
    let kind = types::shape(context, Some(&ty));
    let bits = constant.sdata_value().or_else(|| constant.udata_value().map(u64::cast_signed))?;
    let number = match (kind.class, kind.size) {
        // The bytes of a value without sign may be kept with one.
        (TypeClass::Unsigned | TypeClass::Boolean, Some(size @ 1..8)) => {
            i128::from(bits.cast_unsigned() & ((1 << (8 * size)) - 1))
        }
        (TypeClass::Unsigned, _) => i128::from(bits.cast_unsigned()),
        _ => i128::from(bits),
    };
    let name = of(context, Some(&ty), Language::Cpp, depth + 1);
    Some(match name.as_str() {
        "bool" => if number == 0 { "false" } else { "true" }.to_owned(),
        "int" => number.to_string(),
        "unsigned int" => format!("{number}u"),
        "long" => format!("{number}l"),
        "unsigned long" => format!("{number}ul"),
        "long long" => format!("{number}ll"),
        "unsigned long long" => format!("{number}ull"),
        _ => {
            // `typedef`s are not in mangled names.
            match (kind.class, types::base_name(context, &ty)) {
                (TypeClass::Pointer | TypeClass::CString | TypeClass::Aggregate | TypeClass::Float, _) => return None,
                (_, Some(base)) if base != name => return value_of(&base, number),
                _ => format!("({name}){number}"),
            }
        }
    })
}

fn value_of(base: &str, number: i128) -> Option<String> {
    let suffix = match base {
        "int" => "",
        "unsigned int" => "u",
        "long" => "l",
        "unsigned long" => "ul",
        "long long" => "ll",
        "unsigned long long" => "ull",
        _ => return Some(format!("({base}){number}")),
    };
    Some(format!("{number}{suffix}"))
}

fn with_arguments(base: &str, arguments: &[String]) -> String {
    let list = arguments.join(", ");
    let blank = if list.ends_with('>') { " " } else { "" };
    cut(format!("{base}<{list}{blank}>"))
}

/// `long unsigned int` -> `unsigned long`.
pub(super) fn integer(name: &str) -> String {
    if name.contains(' ') { canonical(name, Author::Demangler) } else { name.to_owned() }
}

/// A template's name as the compiler wrote it, in c++filt's spelling: `List<const Item*>` -> `List<Item const*>`.
fn respell(name: &str) -> String {
    let compact = canonical(name, Author::Demangler);
    let mut out = String::with_capacity(compact.len() + 16);
    for letter in compact.chars() {
        if letter == '>' && out.ends_with('>') {
            out.push(' ');
        }
        out.push(letter);
        if letter == ',' {
            out.push(' ');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_templates_are_respelt() {
        assert_eq!(respell("List<const Item*>"), "List<Item const*>");
        assert_eq!(respell("A<B<long unsigned int>,C<char> >"), "A<B<unsigned long>, C<char> >");
        assert_eq!(integer("long long unsigned int"), "unsigned long long");
        assert_eq!(integer("short int"), "short");
    }
}
