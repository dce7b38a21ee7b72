//! Names taken apart, compared component by component.

use super::parts::NameParts;
use super::rust::RustPattern;
use super::split_clones;
use crate::demangle::RawName;
use crate::glob::{Glob, Item, list_matches};
use crate::name::{ANONYMOUS, Component, Name, parse};
use crate::types::{Author, SHORT_NAMES};

/// A name as a person wrote it.
#[derive(Clone, Debug)]
pub(super) struct NamePattern {
    rooted: bool,
    pub(super) components: Vec<ComponentPattern>,
    pub(super) params: Option<Vec<Item>>,
    pub(super) qualifiers: Vec<String>,
    /// Suffix that was asked for: `.part.0`.
    pub(super) suffix: Option<Glob>,
    pub(super) prefix: Option<&'static str>,
    /// The same text read as a Rust path; none where it cannot be one.
    rust: Option<RustPattern>,
}

/// What stands between two `::`.
#[derive(Clone, Debug)]
pub(super) struct ComponentPattern {
    pub(super) name: Glob,
    args: Option<Vec<Item>>,
    scope_params: Option<Vec<Item>>,
}

impl NamePattern {
    pub(super) fn new(text: &str) -> Result<Self, &'static str> {
        let (text, clone) = split_clones(text);
        let plain = text.find(['(', '<']).is_none().then(|| RawName::new(text));
        // `foo.part.0` as the symbol table writes it, `foo [clone .part.0]` as demanglers do.
        let (text, dotted) = match plain {
            Some(raw) if !raw.suffix.is_empty() => (raw.base, Some(raw.suffix.to_owned())),
            _ => (text, None),
        };
        let suffix = clone.or(dotted).map(|s| Glob::new(&s, "*"));
        let (cpp, rust) = (parse(text, Author::Person), RustPattern::new(text));
        let cpp = match (cpp, &rust) {
            (Ok(name), _) => Self::of_name(name),
            // What only Rust has: `<Vec<T> as Iterator>::next`, `drop_in_place::<u8>`.
            (Err(_), Ok(_)) if text.starts_with('<') || text.contains("::<") => Self::of_name(Name::default()),
            (Err(why), _) => return Err(why),
        };
        Ok(Self { suffix, rust: rust.ok(), ..cpp })
    }

    /// The one name that a C++ symbol demangles to; none where it does not, as with wildcards in it. Rust's functions have
    /// their symbol in the debug information.
    pub(super) fn of_symbol(raw: RawName<'_>) -> Option<Self> {
        let name = Name::of(raw).filter(|name| raw.is_mangled() && !name.rust)?;
        let suffix = Some(raw.suffix).filter(|suffix| !suffix.is_empty()).map(|suffix| Glob::new(suffix, "\0"));
        Some(Self { rooted: true, suffix, ..Self::of_name(name) })
    }

    fn of_name(name: Name) -> Self {
        Self {
            rooted: name.rooted,
            components: name.components.into_iter().map(ComponentPattern::new).collect(),
            params: name.params.map(items),
            qualifiers: name.qualifiers,
            suffix: None,
            prefix: name.prefix,
            rust: None,
        }
    }

    /// The names of its components, the last one first.
    pub(super) fn names(&self) -> Vec<&Glob> {
        match &self.rust {
            Some(rust) if self.components.is_empty() => rust.parts.iter().rev().map(|part| &part.name).collect(),
            _ => self.components.iter().rev().map(|component| &component.name).collect(),
        }
    }

    /// What the last component must be in debug information, template arguments apart; none where that is not one text.
    pub(super) fn debug_word(&self) -> Option<&str> {
        let word = self.names().first()?.exact()?;
        // Conversions and literals are spelled in many ways.
        let spelled = word.strip_prefix("operator").is_some_and(|rest| rest.starts_with([' ', '"']));
        let allocation = matches!(word, "operator new" | "operator delete" | "operator new[]" | "operator delete[]");
        // Lambdas and unnamed types have no name there.
        let unnamed = word.starts_with(['{', '(', '\'']) && !word.starts_with("{closure#");
        (!word.is_empty() && !unnamed && (!spelled || allocation)).then_some(word)
    }

    /// The function that debug information names so fits.
    pub(super) fn matches_parts(&self, parts: &NameParts<'_>) -> bool {
        let typed = parts.parameters.is_some();
        let name = parts.to_name();
        if self.prefix.is_some() || self.suffix.is_some() || !self.path_matches(&name.components) {
            return false;
        }
        !typed || self.type_matches(&name, parts.qualifiers.is_some())
    }

    pub(super) fn matches(&self, name: &Name, typed: bool, suffix: &str) -> bool {
        if self.prefix.is_some() && self.prefix != name.prefix {
            return false;
        }
        if self.suffix.as_ref().is_some_and(|glob| !glob.matches(suffix)) {
            return false;
        }
        if name.rust {
            return self.rust.as_ref().is_some_and(|rust| rust.matches(name));
        }
        if !self.path_matches(&name.components) {
            return false;
        }
        !typed || self.type_matches(name, true)
    }

    fn type_matches(&self, name: &Name, qualified: bool) -> bool {
        if qualified && !self.qualifiers.is_empty() && self.qualifiers != name.qualifiers {
            return false;
        }
        match (&self.params, &name.params) {
            (Some(pattern), Some(params)) => list_matches(pattern, params),
            (Some(pattern), None) => pattern.iter().all(|item| *item == Item::Rest),
            (None, _) => true,
        }
    }

    fn path_matches(&self, components: &[Component]) -> bool {
        if self.components.is_empty() {
            return false;
        }
        let mut at = components.len();
        for (from_end, pattern) in self.components.iter().rev().enumerate() {
            loop {
                let Some(component) = at.checked_sub(1).and_then(|at| components.get(at)) else { return false };
                at -= 1;
                let scope = at.checked_sub(1).and_then(|at| components.get(at));
                if pattern.matches(component, scope) {
                    break;
                }
                // A lambda stands for the call of it.
                let call = from_end == 0
                    && at + 1 == components.len()
                    && component.name == "operator()"
                    && scope.is_some_and(|scope| scope.name.starts_with("{lambda"));
                if !call && !may_be_left_out(&component.name) {
                    return false;
                }
            }
        }
        !self.rooted || components.iter().take(at).all(|c| may_be_left_out(&c.name))
    }
}

impl ComponentPattern {
    fn new(component: Component) -> Self {
        Self {
            name: match component.name.as_str() {
                // Any of them, whatever its parameters and number.
                "{lambda}" => Glob::new("{lambda*}", "*"),
                name if is_operator(name) => Glob::new(name, "\0"),
                name => Glob::new(name, "*"),
            },
            args: component.args.map(items),
            scope_params: component.scope_params.map(items),
        }
    }

    /// `scope`: what `component` is in.
    fn matches(&self, component: &Component, scope: Option<&Component>) -> bool {
        if fits(&self.scope_params, &component.scope_params) && args_fit(&self.args, &component.args) {
            // The module that it is in may be left out: `area@shapes.round`.
            let bare = component.name.split('@').next().unwrap_or_default();
            if self.name.matches(&component.name) || self.name.matches(bare) {
                return true;
            }
        }
        self.matches_short_name(component, scope)
    }

    /// `std::string` for `std::basic_string<char>`, and the other way round.
    fn matches_short_name(&self, component: &Component, scope: Option<&Component>) -> bool {
        let Some(asked) = self.name.exact() else { return false };
        let (tilde, asked) = asked.strip_prefix('~').map_or(("", asked), |asked| ("~", asked));
        let Some(name) = component.name.strip_prefix(tilde) else { return false };
        let letter_of = |component: &Component| component.args.as_ref().and_then(|args| args.first()).cloned();
        SHORT_NAMES.iter().any(|(short, long, letter)| {
            if asked == *short && name == *long {
                // A constructor is called as the template, without its arguments.
                let letters = letter_of(component).or_else(|| scope.filter(|s| s.name == name).and_then(letter_of));
                return letters.as_deref() == Some(letter) || scope.is_some_and(|scope| scope.name == *short);
            }
            // As an abbreviation in the mangled name has it.
            asked == *long
                && name == *short
                && match &self.args {
                    None => true,
                    Some(args) => matches!(args.first(), Some(Item::One(glob)) if glob.matches(letter)),
                }
        })
    }
}

/// A list that was given fits.
fn fits(pattern: &Option<Vec<Item>>, list: &Option<Vec<String>>) -> bool {
    match (pattern, list) {
        (None, _) => true,
        (Some(pattern), Some(list)) => list_matches(pattern, list),
        (Some(_), None) => false,
    }
}

/// The same for template arguments, the last of which may be defaults that the source does not have.
fn args_fit(pattern: &Option<Vec<Item>>, list: &Option<Vec<String>>) -> bool {
    fits(pattern, list)
        || match (pattern, list) {
            (Some(pattern), Some(list)) => {
                !pattern.is_empty() && list.get(..pattern.len()).is_some_and(|front| list_matches(pattern, front))
            }
            _ => false,
        }
}

/// A function's name that may hold `*` as itself.
fn is_operator(name: &str) -> bool {
    name.strip_prefix("operator").is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// `...` among parameters stands for any number of them, as does a lone `*`; inside a type it stands for any text.
fn items(list: Vec<String>) -> Vec<Item> {
    list.into_iter()
        .map(|item| match item.as_str() {
            "..." | "*" => Item::Rest,
            text => Item::One(Glob::new(text, "...")),
        })
        .collect()
}

fn may_be_left_out(component: &str) -> bool {
    matches!(component, ANONYMOUS | "__cxx11" | "__1")
}
