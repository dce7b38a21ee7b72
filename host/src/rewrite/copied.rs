//! Structs of the kernel that a probe holds as a whole: in variables, and in fields of its own structs.
//!
//! CO-RE places fields where the running kernel has them; how large such a variable is stays as it was compiled.

use std::collections::BTreeSet;

use super::tree::Tree;
use crate::clang::{CursorKind, Type, TypeKind};

/// How deeply structs in structs are looked into.
const MAX_DEPTH: u32 = 16;

/// Their tags.
pub(super) fn find(tree: &Tree<'_>) -> Vec<String> {
    let mut found = BTreeSet::new();
    for decl in &tree.decls {
        visit(decl.ty, &mut found, 0);
    }
    found.into_iter().collect()
}

fn visit(ty: Type<'_>, found: &mut BTreeSet<String>, depth: u32) {
    let ty = ty.canonical();
    if depth > MAX_DEPTH {
        return;
    }
    if let Some(element) = ty.element() {
        return visit(element, found, depth + 1);
    }
    if ty.kind() != TypeKind::Record {
        return;
    }
    let Some(declaration) = ty.declaration() else { return };
    // Headers declare the kernel's, and some that only dbcc has, which no kernel knows.
    if declaration.span().is_none() && !declaration.is_anonymous() {
        let spelling = ty.unqualified().spelling();
        found.extend(["struct ", "union "].iter().find_map(|tag| spelling.strip_prefix(tag)).map(str::to_owned));
        return;
    }
    let fields = declaration.children().into_iter().filter(|child| child.kind() == CursorKind::FieldDecl);
    fields.for_each(|field| visit(field.ty(), found, depth + 1));
}
