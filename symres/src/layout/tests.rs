use super::*;

/// Types by hand: 1 is a pointer of 8 bytes to `void`, 2 to 5 integers of 1, 2, 4 and 8 bytes, the others records.
struct ByHand(Vec<Record>);

const CHAR: TypeNumber = TypeNumber(2);
const INT: TypeNumber = TypeNumber(4);
const LONG: TypeNumber = TypeNumber(5);
const FIRST_RECORD: u64 = 10;

impl Types for ByHand {
    fn shape(&self, ty: TypeNumber) -> Shape {
        match ty.0 {
            1 => Shape::Pointer { sign: "*", to: TypeNumber::VOID, size: 8 },
            number @ 2..=5 => Shape::Scalar { name: format!("u{}", 8 << (number - 2)), size: Some(1 << (number - 2)) },
            6 => Shape::Function { returns: INT, parameters: vec![TypeNumber(1)], variadic: true },
            7 => Shape::Pointer { sign: "*", to: TypeNumber(6), size: 8 },
            8 => Shape::Array { of: TypeNumber(7), lengths: vec![Some(3), None] },
            9 => Shape::Qualified { word: "const", of: TypeNumber(1) },
            _ => self.record(ty).map_or(Shape::Void, |record| Shape::Record {
                kind: record.kind,
                name: record.name,
                size: Some(record.size),
            }),
        }
    }

    fn record(&self, ty: TypeNumber) -> Option<Record> {
        self.0.get(usize::try_from(ty.0.checked_sub(FIRST_RECORD)?).ok()?).cloned()
    }

    fn enumerators(&self, _: TypeNumber) -> Vec<(String, i128)> {
        Vec::new()
    }

    fn has_tags(&self) -> bool {
        true
    }
}

fn field(ty: TypeNumber, bit_offset: u64, bit_width: Option<u64>) -> Member {
    Member { name: Some("m".into()), ty, role: Role::Field, bit_offset: Some(bit_offset), bit_width }
}

fn base(number: u64, bit_offset: u64) -> Member {
    Member { name: None, role: Role::Base, ..field(TypeNumber(FIRST_RECORD + number), bit_offset, None) }
}

fn record(kind: TypeKind, size: u64, members: Vec<Member>) -> Record {
    Record { kind, name: Some("r".into()), size, members, statics: Vec::new(), declared: None, notes: Vec::new() }
}

/// Gaps as `bits/bytes` before each member, and at the end.
fn check(others: Vec<Record>, kind: TypeKind, size: u64, members: Vec<Member>, expect: &str) {
    let found = gaps(&ByHand(others), &record(kind, size, members));
    let all: Vec<String> =
        found.before.iter().chain([&found.end]).map(|gap| format!("{}/{}", gap.bits, gap.bytes)).collect();
    assert_eq!(all.join(" "), expect);
}

#[test]
fn room_between_members_is_told_in_bytes_and_beside_bit_fields_in_bits() {
    let whole = |ty, offset: u64| field(ty, offset * 8, None);
    let plain = vec![whole(CHAR, 0), whole(INT, 4), whole(LONG, 8), whole(CHAR, 16)];
    check(vec![], TypeKind::Struct, 24, plain, "0/0 0/3 0/0 0/0 0/7");
    let bits = vec![field(INT, 0, Some(3)), field(INT, 3, Some(5)), whole(LONG, 8)];
    check(vec![], TypeKind::Struct, 16, bits, "0/0 0/0 24/4 0/0");
    let in_a_new_unit = vec![field(CHAR, 0, Some(3)), field(CHAR, 8, Some(8)), field(INT, 32, Some(1))];
    check(vec![], TypeKind::Struct, 8, in_a_new_unit, "0/0 5/0 0/2 31/0");
    check(vec![], TypeKind::Union, 8, vec![whole(CHAR, 0), whole(INT, 0)], "0/0 0/0 0/4");
}

#[test]
fn base_classes_may_be_empty_or_lend_their_padding() {
    let empty = record(TypeKind::Class, 1, vec![]);
    let padded = record(TypeKind::Class, 16, vec![field(LONG, 0, None), field(CHAR, 64, None)]);
    let members = vec![base(0, 0), base(1, 0), field(INT, 12 * 8, None)];
    check(vec![empty, padded], TypeKind::Class, 16, members, "0/0 0/0 0/0 0/0");
    let virtually = Member { role: Role::VirtualBase, bit_offset: None, ..base(0, 0) };
    check(vec![], TypeKind::Class, 16, vec![virtually, field(LONG, 64, None)], "0/0 0/8 0/0");
}

#[test]
fn declarations_are_written_around_their_names() {
    let spelt = |ty, name| spell(&ByHand(vec![]), TypeNumber(ty), name);
    assert_eq!(spelt(1, "p"), Spelt { ty: "void *".into(), declarator: "p".into() });
    assert_eq!(spelt(7, "f"), Spelt { ty: "u32".into(), declarator: "(*f)(void *, ...)".into() });
    assert_eq!(spelt(8, "a").to_string(), "u32 (*a[3][])(void *, ...)");
    assert_eq!(spelt(9, "c").to_string(), "void *const c");
    assert_eq!(spelt(1, "").to_string(), "void *");
}

#[test]
fn names_fit_by_whole_components() {
    let check = |wanted: &str, name: &str, expect: Option<Fit>| {
        assert_eq!(wanted.parse::<TypeName>().unwrap().fits(name), expect, "{wanted} {name}");
    };
    check("THD", "THD", Some(Fit::Whole));
    check("THD", "binlog::THD", Some(Fit::Tail));
    check("HD", "THD", None);
    check("a::B", "x::a::B", Some(Fit::Tail));
    check("a::B", "B", None);
    check("List", "List<Item>", Some(Fit::Instance));
    check("List<const Item*>", "List<Item const*>", Some(Fit::Whole));
    check("List<Item>", "List<int>", None);
    check("Item_*", "Item_func", Some(Fit::Whole));
    check("Item_*", "XItem_func", None);
    check("List<Item*>", "List<Item *>", Some(Fit::Whole));
    check("::THD", "THD", Some(Fit::Whole));
    for (text, error) in [("", "no type is named"), ("a::::b", "a name is missing")] {
        assert!(text.parse::<TypeName>().unwrap_err().to_string().contains(error), "{text}");
    }
    assert_eq!("struct sock".parse::<TypeName>().unwrap().as_str(), "sock");
    assert!(!"union sock".parse::<TypeName>().unwrap().allows(TypeKind::Struct));
    assert!("struct THD".parse::<TypeName>().unwrap().allows(TypeKind::Class));
}
