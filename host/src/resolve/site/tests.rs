use super::*;

fn sites(reads: RegisterReads) -> Sites {
    Sites { at_entry: false, reads, returns: false, kernel: KernelVersion::OLDEST }
}

fn site(stack_delta: u64, same_registers: bool) -> Site {
    let best = BestSite {
        addr: symres::VirtAddr(0x1004),
        offset: symres::ByteSpan(4),
        instruction: "push rbp".to_owned(),
        stack_delta,
        skipped: vec!["endbr64".to_owned()],
        same_registers,
    };
    Site { instruction: "endbr64".to_owned(), entry: Handling::SingleStepped, best: Some(best), reason: None }
}

/// Why it stays at the entry; none where it does not.
#[track_caller]
fn stays(sites: Sites, site: Site) -> Option<String> {
    match sites.decide(site) {
        Choice::Entry(why) => Some(why.expect("there is a better one")),
        Choice::Behind(best, _) => {
            assert_eq!(best.offset.0, 4);
            None
        }
        Choice::Refused(why) => panic!("{why}"),
    }
}

#[test]
fn arguments_are_the_same_at_the_site() {
    let reads = RegisterReads { arguments: 0b11, ..RegisterReads::default() };
    assert_eq!(stays(sites(reads), site(0, true)), None);
    assert_eq!(stays(sites(reads), site(24, false)), None);
    assert_eq!(stays(sites(RegisterReads::default()), site(0, true)), None);
}

#[test]
fn what_differs_keeps_a_program_at_the_entry() {
    let none = RegisterReads::default();
    let why = |reads, site| stays(sites(reads), site).unwrap_or_default();
    assert_eq!(why(RegisterReads { ip: true, ..none }, site(0, true)), "the program reads the instruction pointer");
    assert_eq!(why(RegisterReads { stack: true, ..none }, site(0, true)), "the program reads the stack");
    assert_eq!(why(RegisterReads::EVERYTHING, site(0, true)), "the program reads all registers");
    let sp = RegisterReads { sp: true, ..none };
    assert_eq!(stays(sites(sp), site(0, true)), None);
    assert!(why(sp, site(8, true)).contains("the stack pointer"));
    for reads in [RegisterReads { others: true, ..none }, RegisterReads { return_value: true, ..none }] {
        assert_eq!(stays(sites(reads), site(0, true)), None);
        assert!(why(reads, site(0, false)).contains("registers that carry no arguments"));
    }
}

#[test]
fn the_user_may_want_the_entry() {
    let sites = Sites { at_entry: true, ..sites(RegisterReads::default()) };
    assert!(matches!(sites.decide(site(0, true)), Choice::Entry(_)));
}

#[test]
fn a_return_is_found_by_the_stack_pointer_at_the_entry() {
    let returns = |reads| Sites { returns: true, ..sites(reads) };
    let reads = RegisterReads { return_value: true, sp: true, others: true, stack: true, ..RegisterReads::default() };
    assert_eq!(stays(returns(reads), site(0, false)), None, "the registers are those at the return");
    assert!(stays(returns(reads), site(8, true)).is_some_and(|why| why.contains("return address")));
    let ip = RegisterReads { ip: true, ..RegisterReads::default() };
    assert!(stays(returns(ip), site(0, true)).is_some_and(|why| why.contains("instruction pointer")));
}

#[test]
fn what_the_kernel_refuses_is_told() {
    let refused = Site {
        instruction: "int3".to_owned(),
        entry: Handling::Refused(Refusal::Instruction("int3".to_owned())),
        best: None,
        reason: Some(symres::NoSite::NoEntry),
    };
    assert!(matches!(sites(RegisterReads::default()).decide(refused.clone()), Choice::Refused(_)));
    let best = site(0, true).best;
    let behind = Site { best, reason: None, ..refused.clone() };
    assert!(matches!(sites(RegisterReads::default()).decide(behind.clone()), Choice::Behind(..)));
    let at_entry = Sites { at_entry: true, ..sites(RegisterReads::default()) };
    assert!(matches!(at_entry.decide(behind), Choice::Refused(_)));
    let cheap = Site { entry: Handling::Emulated, reason: Some(symres::NoSite::Cheap), ..refused };
    assert!(matches!(sites(RegisterReads::default()).decide(cheap), Choice::Entry(None)));
}
