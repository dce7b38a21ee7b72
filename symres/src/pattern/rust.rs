//! Rust paths compared as people write them: paths of types may lack their front, and generic arguments may be left out.

use crate::glob::Glob;
use crate::name::{Component, Name, rust};
use crate::types::Author;

/// Types nest some ten levels deep; what is deeper is compared as text.
const MAX_DEPTH: usize = 32;

/// A path as a person wrote it.
#[derive(Clone, Debug)]
pub(super) struct RustPattern {
    rooted: bool,
    pub(super) parts: Vec<PartPattern>,
    hash: Option<String>,
}

/// What stands between two `::`.
#[derive(Clone, Debug)]
pub(super) struct PartPattern {
    pub(super) name: Glob,
    args: Option<Vec<Type>>,
    owner: Option<OwnerPattern>,
}

#[derive(Clone, Debug)]
struct OwnerPattern {
    of: Type,
    implemented: Option<Type>,
}

impl RustPattern {
    pub(super) fn new(text: &str) -> Result<Self, &'static str> {
        let name = rust::parse(text, Author::Person)?;
        let parts = name.components.iter().map(PartPattern::new).collect();
        Ok(Self { rooted: name.rooted, parts, hash: name.hash })
    }

    pub(super) fn matches(&self, name: &Name) -> bool {
        if self.hash.is_some() && self.hash != name.hash {
            return false;
        }
        let all: Vec<&Component> = name.components.iter().collect();
        if self.path_matches(&all) {
            return true;
        }
        // `Iterator::next` and `Vec::next` for `<Vec<T> as Iterator>::next`.
        let Some((at, owner)) = name.components.iter().enumerate().find_map(|(at, c)| Some((at, c.owner.as_ref()?)))
        else {
            return false;
        };
        let behind = name.components.get(at + 1..).unwrap_or_default();
        [&owner.implemented_path, &owner.of_path]
            .into_iter()
            .any(|path| !path.is_empty() && self.path_matches(&path.iter().chain(behind).collect::<Vec<_>>()))
    }

    fn path_matches(&self, components: &[&Component]) -> bool {
        let mut rest = components.iter().rev();
        for pattern in self.parts.iter().rev() {
            loop {
                let Some(component) = rest.next() else { return false };
                if pattern.matches(component) {
                    break;
                }
                // The module that has the implementation: `slice::sort` for `alloc::slice::<impl [T]>::sort`.
                if !component.owner.as_ref().is_some_and(|owner| owner.inherent_in_place) {
                    return false;
                }
            }
        }
        !self.rooted || rest.next().is_none()
    }
}

impl PartPattern {
    fn new(component: &Component) -> Self {
        Self {
            name: Glob::new(&component.name, "*"),
            args: component.args.as_ref().map(|args| args.iter().map(|arg| Type::new(arg)).collect()),
            owner: component.owner.as_ref().map(|owner| OwnerPattern {
                of: Type::new(&owner.of),
                implemented: owner.implemented.as_deref().map(Type::new),
            }),
        }
    }

    fn matches(&self, component: &Component) -> bool {
        if let Some(owner) = &self.owner {
            return component.owner.as_ref().is_some_and(|of| {
                owner.of.matches(&Type::new(&of.of))
                    && match (&owner.implemented, &of.implemented) {
                        (Some(pattern), Some(implemented)) => pattern.matches(&Type::new(implemented)),
                        (None, implemented) => implemented.is_none(),
                        (Some(_), None) => false,
                    }
            });
        }
        self.name_matches(&component.name)
            && match (&self.args, &component.args) {
                (None, _) => true,
                (Some(pattern), Some(args)) => {
                    pattern.len() <= args.len() && pattern.iter().zip(args).all(|(p, arg)| p.matches(&Type::new(arg)))
                }
                (Some(_), None) => false,
            }
    }

    /// Closures have a number, but not in the legacy mangling, and not always in what people write.
    fn name_matches(&self, name: &str) -> bool {
        let numbered = |text: &str| text.starts_with("{closure#") && text.ends_with('}');
        match self.name.exact() {
            Some("{closure}") => name == "{closure}" || numbered(name),
            Some(pattern) if numbered(pattern) => name == pattern || name == "{closure}",
            _ => self.name.matches(name),
        }
    }
}

/// A type in the form in which it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Type(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Names joined by `::`.
    Path(String),
    /// A list in brackets: each item is a type.
    List(Vec<Type>),
    /// Anything else.
    Other(char),
}

impl Type {
    fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        let read = read(&chars, &mut at, 0);
        match read.filter(|_| at == chars.len()) {
            Some(ty) => ty,
            None => Self(text.chars().map(Token::Other).collect()),
        }
    }

    /// `self` is what a person wrote.
    fn matches(&self, name: &Self) -> bool {
        // A generic parameter, as the source has it, where the name may have what it stands for.
        if let [Token::Path(only)] = self.0.as_slice()
            && only.len() == 1
            && only.starts_with(|c: char| c.is_ascii_uppercase() || matches!(c, '_' | '*'))
        {
            return true;
        }
        let mut rest = name.0.iter().peekable();
        for token in &self.0 {
            let Some(mut found) = rest.next() else { return false };
            // Generic arguments that the pattern leaves out.
            while matches!(found, Token::List(_)) && !matches!(token, Token::List(_)) {
                match rest.next() {
                    Some(next) => found = next,
                    None => return false,
                }
            }
            let same = match (token, found) {
                (Token::Path(asked), Token::Path(found)) => {
                    asked == found || found.strip_suffix(asked.as_str()).is_some_and(|front| front.ends_with("::"))
                }
                (Token::List(asked), Token::List(found)) => {
                    asked.len() <= found.len() && asked.iter().zip(found).all(|(a, f)| a.matches(f))
                }
                (asked, found) => asked == found,
            };
            if !same {
                return false;
            }
        }
        rest.all(|token| matches!(token, Token::List(_)))
    }
}

/// Reads one type, as far as a comma or a closing angle bracket.
fn read(chars: &[char], at: &mut usize, depth: usize) -> Option<Type> {
    let mut tokens = Vec::new();
    while let Some(&c) = chars.get(*at) {
        if c == ' ' {
            *at += 1;
        } else if c == '>' && matches!(tokens.last(), Some(Token::Other('-'))) {
            *at += 1;
            tokens.push(Token::Other(c));
        } else if c == ',' && depth > 0 || c == '>' {
            break;
        } else if c == '<' {
            if depth == MAX_DEPTH {
                return None;
            }
            // A path goes on behind its arguments where those are of a function: `f::<u8>::{closure#0}`.
            let mut items = Vec::new();
            while chars.get(*at).is_some_and(|c| matches!(c, '<' | ',')) {
                *at += 1;
                items.push(read(chars, at, depth + 1)?);
            }
            (chars.get(*at) == Some(&'>')).then_some(())?;
            *at += 1;
            tokens.push(Token::List(items));
        } else if is_word(c) {
            let begin = *at;
            loop {
                while chars.get(*at).is_some_and(|c| is_word(*c)) {
                    *at += 1;
                }
                let joined = chars.get(*at) == Some(&':')
                    && chars.get(*at + 1) == Some(&':')
                    && chars.get(*at + 2).is_some_and(|c| is_word(*c));
                if !joined {
                    break;
                }
                *at += 2;
            }
            tokens.push(Token::Path(chars.get(begin..*at)?.iter().collect()));
        } else {
            *at += 1;
            tokens.push(Token::Other(c));
        }
    }
    Some(Type(tokens))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '*')
}
