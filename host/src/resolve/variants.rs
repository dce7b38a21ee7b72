//! Variants of a constructor or destructor that call each other: each call of one is to be seen once.
//!
//! The variant for a whole object (`C1`, `D1`) may be a function of its own that calls the one for a base (`C2`, `D2`), as
//! clang makes it. No other call of the base's variant leads from there: a class is no base of itself.

use std::borrow::Cow;

use symres::{Binary, Error, Function, Place, PlaceKind, VirtAddr};

use super::places::are_variants;

/// The matches, without the bodies that go on to another variant among them.
///
/// # Errors
///
/// When the code cannot be read.
pub(super) fn once<'f>(binary: &Binary, matches: &'f [Function]) -> Result<Cow<'f, [Function]>, Error> {
    without_callers(matches, |body| Ok(binary.callees(body)?.into_iter().map(|call| call.addr).collect()))
}

fn without_callers(
    matches: &[Function],
    callees: impl Fn(&Place) -> Result<Vec<VirtAddr>, Error>,
) -> Result<Cow<'_, [Function]>, Error> {
    let mut kept = Cow::Borrowed(matches);
    for (index, function) in matches.iter().enumerate() {
        let Some(body) = function.body() else { continue };
        let is_variant = |other: &&Function| are_variants(&function.mangled, &other.mangled);
        let others: Vec<VirtAddr> =
            matches.iter().filter(is_variant).filter_map(|other| Some(other.body()?.addr)).collect();
        if !others.is_empty()
            && callees(body)?.iter().any(|callee| others.contains(callee))
            && let Some(function) = kept.to_mut().get_mut(index)
        {
            function.places.retain(|place| matches!(place.kind, PlaceKind::Inlined(_)));
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use symres::{ByteSpan, FileOffset, Role, Table};

    use super::*;

    fn function(mangled: &str, at: u64) -> Function {
        let place = Place {
            addr: VirtAddr(at),
            offset: FileOffset(at),
            size: ByteSpan(0x20),
            kind: PlaceKind::Body,
            entry: Vec::new(),
            arguments: Vec::new(),
        };
        Function {
            name: "A::A(int)".to_owned(),
            mangled: mangled.to_owned(),
            tables: vec![Table::Symtab],
            role: Role::Whole,
            aliases: Vec::new(),
            signature: None,
            declared: None,
            places: vec![place],
        }
    }

    #[test]
    fn what_calls_another_variant_is_left_out() {
        let variants = [function("_ZN1AC1Ei", 0x100), function("_ZN1AC2Ei", 0x200), function("_ZN1AC1El", 0x300)];
        let left = |callees: &dyn Fn(u64) -> Vec<u64>| {
            let callees = |body: &Place| Ok(callees(body.addr.0).into_iter().map(VirtAddr).collect());
            let kept = without_callers(&variants, callees).unwrap();
            kept.iter().map(|function| function.places.len()).collect::<Vec<_>>()
        };
        assert_eq!(left(&|_| vec![]), [1, 1, 1]);
        assert_eq!(left(&|at| if at == 0x100 { vec![0x50, 0x200] } else { vec![] }), [0, 1, 1]);
        // Another constructor that delegates to it is a function of its own.
        assert_eq!(left(&|at| if at == 0x300 { vec![0x100] } else { vec![] }), [1, 1, 1]);
    }
}
