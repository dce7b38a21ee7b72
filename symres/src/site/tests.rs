//! Encodings as the manual of the processor has them; what kernels do with them, natively, is a test of dbcc's.

use super::*;

const OLDEST: KernelVersion = KernelVersion::OLDEST;
const V6_16: KernelVersion = KernelVersion { major: 6, minor: 16 };
const V7: KernelVersion = KernelVersion { major: 7, minor: 2 };

const START: VirtAddr = VirtAddr(0x1000);

const ENDBR64: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa];
const PUSH_RBP: &[u8] = &[0x55];
const RET: &[u8] = &[0xc3];

fn one(bytes: &[u8], kernel: KernelVersion) -> Handling {
    inside(Code { addr: START, bytes }, START, kernel).entry
}

fn function(parts: &[&[u8]]) -> Site {
    of_function(Code { addr: START, bytes: &parts.concat() }, Ok(()), &[], &|_, _| Ok(()), OLDEST)
}

/// Bytes behind the entry, the instruction, and what was taken from the stack.
#[track_caller]
fn best(parts: &[&[u8]]) -> (u64, String, u64) {
    let site = function(parts);
    let best = site.best.unwrap_or_else(|| panic!("{:?}", site.reason));
    (best.offset.0, best.instruction, best.stack_delta)
}

#[track_caller]
fn reason(parts: &[&[u8]]) -> NoSite {
    let site = function(parts);
    site.reason.unwrap_or_else(|| panic!("{:?}", site.best))
}

#[test]
fn what_all_kernels_emulate() {
    for (bytes, text) in [
        (&[0x55][..], "push rbp"),
        (&[0x41, 0x57], "push r15"),
        (&[0x54], "push rsp"),
        (&[0xe8, 1, 2, 3, 4], "call"),
        (&[0xe9, 1, 2, 3, 4], "jmp"),
        (&[0xeb, 5], "jmp"),
        (&[0x74, 5], "je"),
        (&[0x0f, 0x85, 1, 2, 3, 4], "jne"),
        (&[0x90], "nop"),
        (&[0x66, 0x90], "nop"),
    ] {
        let site = inside(Code { addr: START, bytes }, START, OLDEST);
        assert_eq!(site.entry, Handling::Emulated, "{bytes:x?}");
        assert!(site.instruction.contains(text), "{}", site.instruction);
        assert_eq!(one(bytes, V7), Handling::Emulated, "{bytes:x?}");
    }
}

#[test]
fn what_all_kernels_step() {
    for bytes in [
        ENDBR64,
        &[0x48, 0x89, 0xe5],                   // mov rbp, rsp
        &[0x48, 0x83, 0xec, 0x18],             // sub rsp, 24
        &[0x48, 0x8d, 0x05, 0, 0, 0, 0],       // lea rax, [rip]
        &[0x31, 0xc0],                         // xor eax, eax
        &[0xff, 0xe0],                         // jmp rax
        &[0xc3],                               // ret
        &[0x48, 0x57],                         // push rdi with a needless prefix
        &[0x6a, 0x01],                         // push 1
        &[0x66, 0x50],                         // push ax
        &[0xe3, 0x05],                         // jrcxz
        &[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8], // movabs
        &[0xc5, 0xf8, 0x57, 0xc0],             // vxorps xmm0, xmm0, xmm0
        &[0xf2, 0x0f, 0x10, 0x07],             // movsd xmm0, [rdi]
    ] {
        assert_eq!(one(bytes, OLDEST), Handling::SingleStepped, "{bytes:x?}");
        assert_eq!(one(bytes, V7), Handling::SingleStepped, "{bytes:x?}");
    }
}

#[test]
fn what_newer_kernels_emulate() {
    let nop5 = &[0x0f, 0x1f, 0x44, 0x00, 0x00];
    let odd_nop = &[0x0f, 0x1f, 0x47, 0x08];
    let itself = &[0x48, 0x89, 0xff]; // mov rdi, rdi
    let shorter = &[0x89, 0xff]; // mov edi, edi: clears the upper half
    let pause = &[0xf3, 0x90];
    let by_kernel = |bytes: &[u8]| [OLDEST, V6_16, V7].map(|kernel| one(bytes, kernel) == Handling::Emulated);
    assert_eq!(by_kernel(nop5), [false, true, true]);
    assert_eq!(by_kernel(odd_nop), [false, false, true]);
    assert_eq!(by_kernel(itself), [false, false, true]);
    assert_eq!(by_kernel(shorter), [false, false, false]);
    assert_eq!(by_kernel(pause), [true, true, false]);
}

#[test]
fn what_kernels_refuse() {
    for (bytes, said) in [
        (&[0xcc][..], "int3"),
        (&[0xcd, 0x80], "int"),
        (&[0xf4], "hlt"),
        (&[0x48, 0xcf], "iretq"),
        (&[0xec], "in"),
        (&[0xfa], "cli"),
        (&[0xf1], "int1"),
        (&[0x8e, 0xd0], "mov ss"),
        (&[0xf0, 0xff, 0x07], "`lock`"),
        (&[0x3e, 0xff, 0xe0], "`ds`"),
        (&[0x2e, 0x0f, 0x1f, 0x00], "`cs`"),
        (&[0x66, 0xe8, 1, 2, 3, 4], "`data16`"),
        (&[0x66, 0x0f, 0x84, 1, 2, 3, 4], "`data16`"),
        // The kernel looks for a VEX-encoded opcode among those of one byte, where 6f is `outs` and ef is `out`.
        (&[0xc5, 0xfe, 0x6f, 0x07], "vmovdqu"),
        (&[0xc5, 0xf9, 0xef, 0xc0], "vpxor"),
        // XOP: vpcmov xmm0, xmm1, xmm2, xmm3
        (&[0x8f, 0xe8, 0x70, 0xa2, 0xc2, 0x30], "vpcmov"),
        (&[0x06], "no valid instruction"),
        (&[0x0f], "no valid instruction"),
        (&[], "no valid instruction"),
        // A REX prefix in front of another prefix, which processors ignore and the kernel does not understand.
        (&[0x48, 0x66, 0x90], "`nop`"),
    ] {
        for kernel in [OLDEST, V7] {
            let Handling::Refused(refusal) = one(bytes, kernel) else { panic!("{bytes:x?} is not refused") };
            assert!(refusal.to_string().contains(said), "{bytes:x?}: {refusal}");
        }
    }
}

#[test]
fn what_kernels_do_not_execute_as_it_is() {
    for (bytes, how, newer) in [
        (&[0xc5, 0xf8, 0x77][..], "a jump", true), // vzeroupper: opcode 77, as `ja`
        (&[0xc5, 0xf9, 0x70, 0xc0, 0x10], "a jump", true), // vpshufd
        (&[0xc5, 0xf9, 0xeb, 0xc1], "a jump", true), // vpor
        (&[0xc5, 0xf9, 0xe8, 0xc1], "a call", true), // vpsubsb
        (&[0x62, 0xf1, 0x7d, 0x48, 0xeb, 0xc1], "a jump", true), // vpord
        (&[0x49, 0x90], "leaves it out", false),   // xchg r8, rax
        (&[0xc4, 0xe2, 0x69, 0x90, 0x04, 0x0f], "leaves", false), // vpgatherdd
        (&[0x0f, 0x05], "wrong address", true),    // syscall
        (&[0xf3, 0xaa], "each of its rounds", true), // rep stosb
        (&[0xf2, 0xae], "each of its rounds", true), // repne scasb
    ] {
        let refusal = |kernel| match one(bytes, kernel) {
            Handling::Refused(refusal @ Refusal::Misexecuted { .. }) => Some(refusal.to_string()),
            _ => None,
        };
        assert!(refusal(OLDEST).is_some_and(|said| said.contains(how)), "{bytes:x?}");
        assert_eq!(refusal(V7).is_some(), newer, "{bytes:x?}");
    }
    // No string instruction: a prefix for other purposes.
    assert_eq!(one(&[0xf3, 0xc3], OLDEST), Handling::SingleStepped);
    assert_eq!(one(&[0xaa], OLDEST), Handling::SingleStepped);
}

#[test]
fn versions_are_read_from_releases() {
    let version = |major, minor| Some(KernelVersion { major, minor });
    assert_eq!(KernelVersion::of_release("6.1.0-25-amd64"), version(6, 1));
    assert_eq!(KernelVersion::of_release("5.10"), version(5, 10));
    assert_eq!(KernelVersion::of_release("6.18-rc1"), version(6, 18));
    assert_eq!(KernelVersion::of_release("x"), None);
    assert!(version(5, 10) < version(6, 1) && version(6, 9) < version(6, 16));
}

#[test]
fn the_push_behind_endbr64() {
    assert_eq!(best(&[ENDBR64, PUSH_RBP, RET]), (4, "push rbp".to_owned(), 0));
    let best = function(&[ENDBR64, PUSH_RBP, RET]).best.unwrap();
    assert_eq!((best.skipped, best.same_registers), (vec!["endbr64".to_owned()], true));
    assert_eq!(function(&[PUSH_RBP, RET]).reason, Some(NoSite::Cheap));
}

#[test]
fn the_push_behind_what_changes_no_argument() {
    // mov eax, [rip+0x10]; push rbx
    assert_eq!(best(&[&[0x8b, 0x05, 0x10, 0, 0, 0], &[0x53], RET]), (6, "push rbx".to_owned(), 0));
    // mov r11, fs:0x28; push rbx
    let tls = &[0x64, 0x4c, 0x8b, 0x1c, 0x25, 0x28, 0, 0, 0];
    assert_eq!(best(&[tls, &[0x53], RET]), (9, "push rbx".to_owned(), 0));
    // The eleventh vector register carries no argument: movaps xmm10, xmm0
    assert_eq!(best(&[&[0x44, 0x0f, 0x28, 0xd0], &[0x53], RET]), (4, "push rbx".to_owned(), 0));
    let site = function(&[ENDBR64, &[0x31, 0xc0], &[0x53], RET]).best.unwrap();
    assert!(!site.same_registers, "eax was changed");
}

#[test]
fn the_stack_pointer_is_followed() {
    // sub rsp, 24; test edi, edi; je
    let sub = &[0x48, 0x83, 0xec, 0x18];
    let test = &[0x85, 0xff];
    let je = &[0x74, 0x01];
    assert_eq!(best(&[sub, test, je, &[0x90], RET]).2, 24);
    // sub rsp, 0x988; add rsp, -128
    let long = &[0x48, 0x81, 0xec, 0x88, 0x09, 0, 0];
    let add = &[0x48, 0x83, 0xc4, 0x80];
    assert_eq!(best(&[long, add, test, je, &[0x90], RET]).2, 0x988 + 128);
    // and rsp, -16: who knows
    assert!(matches!(reason(&[&[0x48, 0x83, 0xe4, 0xf0], PUSH_RBP, RET]), NoSite::Changes { .. }));
    // add rsp, 8: what is above is the return address
    assert!(matches!(reason(&[&[0x48, 0x83, 0xc4, 0x08], PUSH_RBP, RET]), NoSite::Changes { .. }));
    // sub rsp, rax
    assert!(matches!(reason(&[&[0x48, 0x29, 0xc4], PUSH_RBP, RET]), NoSite::Changes { .. }));
    // pop rax: the return address is gone
    assert!(matches!(reason(&[&[0x58], PUSH_RBP, RET]), NoSite::Changes { .. }));
}

#[test]
fn what_a_probe_could_see_is_not_changed() {
    for (bytes, what) in [
        (&[0x48, 0x89, 0xc7][..], "the register of argument 1"), // mov rdi, rax
        (&[0x31, 0xf6], "the register of argument 2"),           // xor esi, esi
        (&[0xb2, 0x01], "the register of argument 3"),           // mov dl, 1
        (&[0x48, 0xff, 0xc1], "the register of argument 4"),     // inc rcx
        (&[0x4d, 0x89, 0xc8], "the register of argument 5"),     // mov r8, r9
        (&[0x49, 0x87, 0xc1], "the register of argument 6"),     // xchg r9, rax
        (&[0x4d, 0x89, 0xda], "the register of the static chain"), // mov r10, r11
        (&[0x48, 0x89, 0xe5], "the frame pointer"),              // mov rbp, rsp
        (&[0x0f, 0x57, 0xc0], "a vector register, which may carry an argument"), // xorps xmm0, xmm0
        (&[0xc5, 0xf8, 0x57, 0xff], "a vector register, which may carry an argument"), // vxorps xmm7, ...
        (&[0x48, 0x89, 0x7c, 0x24, 0xf8], "memory"),             // mov [rsp-8], rdi
        (&[0x89, 0x37], "memory"),                               // mov [rdi], esi
    ] {
        match reason(&[bytes, PUSH_RBP, RET]) {
            NoSite::Changes { what: found, .. } => assert_eq!(found, what, "{bytes:x?}"),
            other => panic!("{bytes:x?}: {other}"),
        }
    }
    // mov rax, [rdi]: a null pointer ends the process before the push.
    assert!(matches!(reason(&[&[0x48, 0x8b, 0x07], PUSH_RBP, RET]), NoSite::MayFault(_)));
    // mov rax, [rsp+8] and mov rax, fs:0x28 do not fault.
    assert_eq!(best(&[&[0x48, 0x8b, 0x44, 0x24, 0x08], PUSH_RBP, RET]).0, 5);
}

#[test]
fn the_line_ends_at_branches_and_calls() {
    assert!(matches!(reason(&[ENDBR64, RET, PUSH_RBP]), NoSite::Ends(text) if text == "ret"));
    assert!(
        matches!(reason(&[ENDBR64, &[0xe8, 0, 0, 0, 0], PUSH_RBP]), NoSite::Ends(text) if text.starts_with("call"))
    );
    assert!(matches!(reason(&[ENDBR64, &[0x0f, 0x05], PUSH_RBP]), NoSite::Ends(_)), "syscall");
    assert!(matches!(reason(&[ENDBR64, &[0xff, 0xe0], PUSH_RBP]), NoSite::Ends(_)), "jmp rax");
    assert!(matches!(reason(&[ENDBR64, &[0xff, 0xd0], PUSH_RBP]), NoSite::Ends(_)), "call rax");
    // A conditional branch is a site itself, for it has not been taken yet.
    assert_eq!(best(&[ENDBR64, &[0x85, 0xff], &[0x74, 0x00], RET]), (6, "je 0x1008".to_owned(), 0));
}

#[test]
fn nothing_branches_there() {
    let push_rbx = &[0x53];
    // jmp back to the push, to the endbr64's end, and to the entry
    let to_push = |from: u8| [0xeb, 4_u8.wrapping_sub(from + 2)];
    let loops = reason(&[ENDBR64, push_rbx, &[0x90], &to_push(6), RET]);
    assert_eq!(loops, NoSite::BranchedTo { from: VirtAddr(0x1006), to: VirtAddr(0x1004) });
    // A branch to the entry itself is a call as any other: both instructions are passed.
    let to_entry = [0xeb, 0_u8.wrapping_sub(6 + 2)];
    assert_eq!(best(&[ENDBR64, push_rbx, &[0x90], &to_entry, RET]).0, 4);
    // lea rax, [rip-12]: its address is taken.
    let lea = &[0x48, 0x8d, 0x05, 0xf8, 0xff, 0xff, 0xff];
    assert!(matches!(reason(&[ENDBR64, push_rbx, lea, RET]), NoSite::BranchedTo { .. }));
    // A conditional branch, with four bytes of distance.
    let jne = &[0x0f, 0x85, 0xf9, 0xff, 0xff, 0xff];
    assert!(matches!(reason(&[ENDBR64, push_rbx, jne, RET]), NoSite::BranchedTo { .. }));
}

#[test]
fn parts_elsewhere_and_other_entries_count() {
    let body = [ENDBR64, PUSH_RBP, RET].concat();
    let body = Code { addr: START, bytes: &body };
    // jmp from 0x2000 to 0x1004
    let cold = [0xe9, 0xff, 0xef, 0xff, 0xff];
    let cold = Code { addr: VirtAddr(0x2000), bytes: &cold };
    let site = of_function(body, Ok(()), &[cold], &|_, _| Ok(()), OLDEST);
    assert_eq!(site.reason, Some(NoSite::BranchedTo { from: VirtAddr(0x2000), to: VirtAddr(0x1004) }));
    let entries = |first: VirtAddr, last: VirtAddr| {
        assert_eq!((first, last), (VirtAddr(0x1001), VirtAddr(0x1004)));
        Err(NoSite::OtherEntry(VirtAddr(0x1004)))
    };
    let site = of_function(body, Ok(()), &[], &entries, OLDEST);
    assert_eq!(site.reason, Some(NoSite::OtherEntry(VirtAddr(0x1004))));
    let site = of_function(body, Err(NoSite::UnknownSize), &[], &|_, _| Ok(()), OLDEST);
    assert_eq!(site.reason, Some(NoSite::UnknownSize));
}

#[test]
fn the_code_beside_a_function_counts() {
    let layout = Layout::default();
    // ret; jmp to 0x1004, from before the function and from behind it
    for (addr, jump) in [(0xff0, [0xc3, 0xeb, 0x11]), (0x1010, [0xc3, 0xeb, 0xf1])] {
        let code = Code { addr: VirtAddr(addr), bytes: &jump };
        let found = neighbours(code, &layout, VirtAddr(0x1001), VirtAddr(0x1004));
        assert_eq!(found, Err(NoSite::BranchedTo { from: VirtAddr(addr + 1), to: VirtAddr(0x1004) }));
        assert_eq!(neighbours(code, &layout, VirtAddr(0x1001), VirtAddr(0x1003)), Ok(()));
    }
    // What is no instruction is passed over.
    let code = Code { addr: VirtAddr(0xfff), bytes: &[0x06] };
    assert_eq!(neighbours(code, &layout, VirtAddr(0x1001), VirtAddr(0x1004)), Ok(()));
}

#[test]
fn a_table_may_lead_anywhere_but_before_a_push() {
    let notrack = &[0x3e, 0xff, 0xe0];
    let by_table = &[0xff, 0x24, 0xc5, 0, 0, 0x40, 0]; // jmp [rax*8+0x400000]
    let by_object = &[0xff, 0x60, 0x18]; // jmp [rax+0x18]
    let je = &[0x85, 0xff, 0x74, 0x00];
    assert!(matches!(reason(&[ENDBR64, je, notrack]), NoSite::TableJump { .. }));
    assert!(matches!(reason(&[ENDBR64, je, by_table]), NoSite::TableJump { .. }));
    assert_eq!(best(&[ENDBR64, je, by_object]).0, 6);
    assert_eq!(best(&[ENDBR64, PUSH_RBP, notrack]).0, 4);
}

#[test]
fn a_place_inside_of_an_instruction_is_refused() {
    let bytes = [ENDBR64, PUSH_RBP, &[0x48, 0x89, 0xe5], RET].concat();
    let code = Code { addr: START, bytes: &bytes };
    let at = |offset: u64| inside(code, VirtAddr(START.0 + offset), OLDEST).entry;
    assert_eq!(at(4), Handling::Emulated);
    assert_eq!(at(5), Handling::SingleStepped);
    let Handling::Refused(refusal) = at(6) else { panic!("+6 is inside of the mov") };
    assert_eq!(refusal.to_string(), "the place is inside of an instruction: `mov rbp, rsp` starts 1 bytes before it");
    assert!(matches!(at(2), Handling::Refused(Refusal::Middle { into: 2, .. })));
    assert!(matches!(at(90), Handling::Refused(Refusal::NoInstruction)));
}

#[test]
fn any_bytes_are_taken() {
    // Deterministic noise: no panic, and an answer that keeps its promises.
    let mut state = 0x1234_5678_9abc_def0_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    for _ in 0..20_000 {
        let bytes = [next(), next(), next(), next()].concat();
        let site = function(&[ENDBR64, &bytes]);
        assert_eq!(site.best.is_some(), site.reason.is_none());
        if let Some(best) = site.best {
            assert!(best.offset.0 >= 4 && best.offset.0 < 36);
        }
        one(&bytes, V7);
    }
    // At the end of the address space.
    let code = Code { addr: VirtAddr(u64::MAX - 2), bytes: ENDBR64 };
    of_function(code, Ok(()), &[], &|_, _| Ok(()), OLDEST);
}
