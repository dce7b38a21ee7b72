//! Functions as debug information names them: by scopes, name and parameters.

use crate::name::{ANONYMOUS, Component, Name, component};
use crate::types::{Author, canonical};

/// A function as debug information names it where it gives no linkage name: statics of older compilers, C, and what was
/// only inlined.
#[derive(Clone, Copy, Debug, Default)]
pub struct NameParts<'a> {
    /// The namespaces, classes and functions that it is in, outermost first: `DW_AT_name` of each, with template arguments
    /// where that has them. Empty text stands for an anonymous namespace.
    pub scopes: &'a [&'a str],
    /// Its `DW_AT_name`: `push`, `twice<int>`, `operator()`, `~THD`.
    pub name: &'a str,
    /// The types of its parameters as in C++, without those that the compiler added (`this`), and with each `typedef`
    /// resolved as far as a mangled name would. None where they are not known; they are not compared then, as are those of
    /// C functions.
    pub parameters: Option<&'a [String]>,
    /// `const`, `volatile`, `&` and `&&` behind the parameters, in this order; none where they are not known.
    pub qualifiers: Option<&'a [&'a str]>,
}

impl NameParts<'_> {
    /// The name as a demangler would write it: `ns::THD::send(int) const`.
    pub fn display(&self) -> String {
        let mut text = String::new();
        for scope in self.scopes {
            text.push_str(if scope.is_empty() { ANONYMOUS } else { scope });
            text.push_str("::");
        }
        text.push_str(self.name);
        if let Some(parameters) = self.parameters {
            text.push('(');
            text.push_str(&parameters.join(", "));
            text.push(')');
            for qualifier in self.qualifiers.unwrap_or_default() {
                text.push(' ');
                text.push_str(qualifier);
            }
        }
        text
    }

    /// As a demangled name is taken apart.
    pub(super) fn to_name(self) -> Name {
        let mut components: Vec<Component> = self
            .scopes
            .iter()
            .map(|scope| component(if scope.is_empty() { ANONYMOUS } else { scope }, Author::DebugInfo))
            .collect();
        components.push(component(self.name, Author::DebugInfo));
        Name {
            components,
            params: self.parameters.map(|list| list.iter().map(|p| canonical(p, Author::DebugInfo)).collect()),
            qualifiers: self.qualifiers.unwrap_or_default().iter().map(|q| (*q).to_owned()).collect(),
            ..Name::default()
        }
    }
}
