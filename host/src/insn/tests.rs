use super::*;

/// Instructions by code, registers (source, destination), offset and constant, with their text.
fn check(code: u8, registers: u8, off: i16, imm: i32, expect: &str) {
    let mut bytes = vec![code, registers];
    bytes.extend(off.to_ne_bytes());
    bytes.extend(imm.to_ne_bytes());
    let all = decode(&bytes);
    let found: Vec<String> = all.iter().map(|one| text(one, &NoNames)).collect();
    assert_eq!(found, [expect], "{code:#x}");
}

#[test]
fn each_form_is_written_as_the_kernel_writes_it() {
    check(0xbf, 0x16, 0, 0, "r6 = r1");
    check(0xb4, 0x01, 0, -1, "w1 = -1");
    check(0x07, 0x02, 0, -8, "r2 += -8");
    check(0x3f, 0x21, 0, 0, "r1 /= r2");
    check(0x3f, 0x21, 1, 0, "r1 s/= r2");
    check(0x94, 0x01, 1, 7, "w1 s%= 7");
    check(0xbf, 0x21, 32, 0, "r1 = (s32)r2");
    check(0xbc, 0x21, 8, 0, "w1 = (s8)w2");
    check(0xbf, 0x21, 1, 0x0001_0000, "r1 = addr_space_cast(r2, 1, 0)");
    check(0xbf, 0x21, -1, 0, "r1 = &(void __percpu *)(r2)");
    check(0xdc, 0x01, 0, 16, "r1 = be16 r1");
    check(0xd4, 0x01, 0, 64, "r1 = le64 r1");
    check(0xd7, 0x01, 0, 32, "r1 = bswap32 r1");
    check(0x87, 0x01, 0, 0, "r1 = -r1");
    check(0x84, 0x01, 0, 0, "w1 = -w1");
    check(0xc7, 0x01, 0, 3, "r1 s>>= 3");
    check(0x79, 0x12, 16, 0, "r2 = *(u64 *)(r1 +16)");
    check(0x91, 0x12, -1, 0, "r2 = *(s8 *)(r1 -1)");
    check(0x7b, 0x1a, -8, 0, "*(u64 *)(r10 -8) = r1");
    check(0x62, 0x0a, -4, 5, "*(u32 *)(r10 -4) = 5");
    check(0xdb, 0x21, 0, 0, "lock *(u64 *)(r1 +0) += r2");
    check(0xc3, 0x21, 4, 0x51, "r2 = atomic_fetch_and((u32 *)(r1 +4), r2)");
    check(0xdb, 0x21, 0, 0xe1, "r2 = atomic64_xchg((u64 *)(r1 +0), r2)");
    check(0xdb, 0x21, 0, 0xf1, "r0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r2)");
    check(0xdb, 0x21, 0, 0x100, "r1 = load_acquire((u64 *)(r2 +0))");
    check(0xd3, 0x21, 0, 0x110, "store_release((u8 *)(r1 +0), r2)");
    check(0xc2, 0x00, 0, 0, "nospec");
    check(0x20, 0x00, 0, 12, "r0 = *(u32 *)skb[12]");
    check(0x48, 0x10, 0, 2, "r0 = *(u16 *)skb[r1 + 2]");
    check(0x05, 0x00, -3, 0, "goto pc-3");
    check(0x06, 0x00, 0, 70000, "gotol pc+70000");
    check(0x0d, 0x01, 0, 0, "gotox r1");
    check(0xe5, 0x00, 4, 0, "may_goto pc+4");
    check(0x15, 0x01, 5, -1, "if r1 == 0xffffffff goto pc+5");
    check(0xce, 0x21, 1, 0, "if w1 s< w2 goto pc+1");
    check(0x85, 0x00, 0, 14, "call unknown#14");
    check(0x85, 0x10, 0, 9, "call pc+9");
    check(0x85, 0x20, 0, 99, "call kernel-function#99");
    check(0x95, 0x00, 0, 0, "exit");
}

#[test]
fn what_is_no_instruction_is_said_to_be_none() {
    for code in [0xef_u8, 0xff, 0xf5, 0x01, 0xe2, 0x00, 0xdb] {
        let bytes = [code, 0, 0, 0, 0x77, 0, 0, 0];
        let all = decode(&bytes);
        let text = text(all.first().unwrap(), &NoNames);
        assert!(text.starts_with("not an instruction: code 0x"), "{code:#x}: {text}");
    }
}

#[test]
fn constants_of_64_bits_take_two_places() {
    let bytes = [0x18, 1, 0, 0, 0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0, 1, 2];
    let all = decode(&bytes);
    let found: Vec<(usize, String)> = all.iter().map(|one| (one.at, text(one, &NoNames))).collect();
    assert_eq!(found, [(0, "r1 = 0x112345678".to_owned()), (2, "exit".to_owned())]);
    assert_eq!(decode(&bytes[..8]).len(), 1, "a constant that is cut off");
}
