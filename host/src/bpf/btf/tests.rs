use super::*;

/// One type of each kind.
fn sample() -> Vec<u8> {
    let mut writer = Writer::new();
    let int = writer.int("int", 4, 1 << 24 | 32);
    writer.plain("", Kind::Pointer, false, 1);
    let array = writer.array(Array { element: TypeId(7), index: int, length: 3 });
    let fields = [("a".to_owned(), int, 0), ("b".to_owned(), int, 3 << 24 | 32), (String::new(), array, 64)];
    writer.record("s", Kind::Struct, true, 20, &fields);
    writer.enumeration("e", Kind::Enum, true, 4, &[("MINUS".to_owned(), u64::MAX), ("ONE".to_owned(), 1)]);
    writer.enumeration("e64", Kind::Enum64, false, 8, &[("BIG".to_owned(), u64::MAX)]);
    writer.plain("t", Kind::Typedef, false, 8);
    writer.plain("", Kind::Const, false, 1);
    writer.prototype(int, &[("x".to_owned(), int), (String::new(), TypeId::VOID)]);
    writer.plain("f", Kind::Function, false, 9);
    writer.plain("double", Kind::Float, false, 8);
    writer.plain("u", Kind::Forward, true, 0);
    writer.finish()
}

#[test]
fn types_read_as_they_were_written() {
    let btf = Btf::parse(sample()).unwrap();
    assert_eq!(btf.len(), 12);
    let record = btf.get(TypeId(4));
    let fields: Vec<_> = record.members().map(|m| (btf.string(m.name).to_vec(), m.bit_offset, m.bit_width)).collect();
    assert_eq!(fields, [(b"a".to_vec(), 0, 0), (b"b".to_vec(), 32, 3), (Vec::new(), 64, 0)]);
    let values = |id| btf.get(TypeId(id)).enumerators().map(|(_, value)| value).collect::<Vec<_>>();
    assert_eq!(values(5), [-1, 1]);
    assert_eq!(values(6), [i128::from(u64::MAX)]);
    assert_eq!(btf.underlying(TypeId(7)).id(), TypeId(1));
    assert_eq!(btf.size_of(TypeId(3)), Some(12));
    assert_eq!(btf.size_of(TypeId(2)), Some(8));
    assert_eq!(btf.size_of(TypeId(12)), None);
    assert_eq!(btf.get(TypeId(9)).parameters().count(), 2);
    assert_eq!(btf.find_name("e64"), Some(btf.get(TypeId(6)).name_offset()));
    assert_eq!(btf.get(TypeId(0)).kind(), Kind::Void);
    assert_eq!(btf.get(TypeId(99)).kind(), Kind::Void);
    assert_eq!(btf.get(TypeId(1)).int().map(|int| (int.signed, int.bits)), Some((true, 32)));
    let text = dump_c(&sample(), &[], &[TypeId(4), TypeId(6)]).unwrap();
    assert!(
        text.contains("struct s {\n\tint a;\n\tint b: 3;") && text.contains("BIG = 18446744073709551615ULL"),
        "{text}"
    );
}

/// Everything that can be asked of BTF, to see that nothing panics or hangs.
fn ask_all(btf: &Btf) {
    for found in btf.types() {
        let _ = (found.name(), found.size(), found.members().count(), found.enumerators().count(), found.array());
        let _ = (found.parameters().count(), found.variables().count(), found.int(), btf.size_of(found.id()));
        let _ = (btf.underlying(found.id()), btf.unqualified(found.id()));
    }
    assert!(btf.strings().count() <= btf.strings_len() + 1);
}

#[test]
fn damaged_bytes_are_an_error_or_harmless() {
    let whole = sample();
    for length in 0..whole.len() {
        assert!(Btf::parse(whole[..length].to_vec()).is_err(), "{length}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            if let Ok(btf) = Btf::parse(bytes) {
                ask_all(&btf);
            }
        }
    }
    assert_eq!(Btf::parse(b"\x7fELF and so on, long enough".to_vec()).unwrap_err(), BtfError::NoHeader);
}

#[test]
fn a_type_ends_in_its_section() {
    let mut bytes = sample();
    // The length of the type section; four bytes fewer cut off the last type.
    let length = u32::from_ne_bytes(bytes[12..16].try_into().unwrap());
    bytes[12..16].copy_from_slice(&(length - 4).to_ne_bytes());
    assert_eq!(Btf::parse(bytes).unwrap_err(), BtfError::Truncated { id: 12 });
}

#[test]
fn an_unknown_kind_is_named() {
    let mut bytes = sample();
    bytes[24 + 7] = 31;
    let error = Btf::parse(bytes).unwrap_err();
    assert_eq!(error, BtfError::UnknownKind { id: 1, kind: 31 });
    assert_eq!(error.to_string(), "BTF type 1 is of kind 31, which this version of dbcc does not know");
}

#[test]
fn what_libbpf_refuses_is_an_error() {
    assert!(matches!(dump_c(b"nothing", &[], &[]), Err(DumpError::Refused(_))));
    assert!(matches!(dump_c(&sample(), &[], &[TypeId(99)]), Err(DumpError::Type { id: 99, .. })));
}
