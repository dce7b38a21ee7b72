//! Whether security modules of the kernel ask programs: a program can be attached to their hooks in kernels that never call it.

use std::os::fd::{AsRawFd as _, OwnedFd};

use libbpf_sys as sys;

use crate::bpf::errno::{Error, check};
use crate::bpf::program::ProgramType;
use crate::bpf::switch::make_map;

/// Attaches a program that agrees to a hook of the security modules, does what asks it, and takes it away again. Says whether it
/// was asked. `hook` is the number of `bpf_lsm_…` in the kernel's BTF.
///
/// # Errors
/// The kernel's, with the verifier's words as far as it gave any.
pub fn decides(hook: u32, occasion: impl FnOnce()) -> Result<bool, Error> {
    let made = make_map(sys::BPF_MAP_TYPE_ARRAY, c"dbcc_trial", 4, 1, None);
    let asked = made.map_err(|error| Error::from_io("make a map", &error))?;
    let (program_type, attach_type) = ProgramType::Lsm.raw();
    let what = || "load a trial program".to_owned();
    let program = super::load_code(what, program_type, attach_type, hook, &noting(&asked))?;
    let attached = super::attach_traced(&program)?;
    occasion();
    drop(attached);
    let (key, mut value) = (0_u32, 0_u32);
    check(
        || "read a map".to_owned(),
        // SAFETY: the map is open; key and value are as long as its keys and values.
        || unsafe { sys::bpf_map_lookup_elem(asked.as_raw_fd(), (&raw const key).cast(), (&raw mut value).cast()) },
    )?;
    Ok(value != 0)
}

/// `r1 = the map's value (two); *(u32 *)r1 = 1; r0 = 0; exit`
/// (Documentation/bpf/standardization/instruction-set.rst).
fn noting(map: &OwnedFd) -> [sys::bpf_insn; 5] {
    let mut instructions = [sys::bpf_insn::default(); 5];
    let [address, _, store, set, exit] = &mut instructions;
    (address.code, address.imm) = (0x18, map.as_raw_fd());
    address.set_dst_reg(1);
    // BPF_PSEUDO_MAP_VALUE of include/uapi/linux/bpf.h.
    address.set_src_reg(2);
    (store.code, store.imm) = (0x62, 1);
    store.set_dst_reg(1);
    set.code = 0xb7;
    exit.code = 0x95;
    instructions
}
