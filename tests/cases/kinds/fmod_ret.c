// One process may not make folders of one mode.
BPF_HASH(calls, u32, u64);

KMOD_RET(__x64_sys_mkdir, struct pt_regs *regs, int ret)
{
    if ((bpf_get_current_pid_tgid() >> 32) != PID || (int)PT_REGS_PARM2_SYSCALL(regs) != 0751)
        return 0;
    calls.atomic_increment(1);
    return -EPERM;
}
