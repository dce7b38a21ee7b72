// The arguments of mkdir(2), bound and by hand.
BPF_HASH(calls, u32, u64);

int kprobe____x64_sys_mkdir(struct pt_regs *ctx, const char __user *path, int mode)
{
    if ((bpf_get_current_pid_tgid() >> 32) == PID && mode == 0751 && path[0] == '/')
        calls.atomic_increment(1);
    return 0;
}

//@ attach kprobe:__x64_sys_mkdir = by_hand
int by_hand(struct pt_regs *ctx)
{
    struct pt_regs *caller = PT_REGS_SYSCALL_CTX(ctx);

    if ((bpf_get_current_pid_tgid() >> 32) == PID && (int)PT_REGS_PARM2_SYSCALL(caller) == 0751)
        calls.atomic_increment(2);
    return 0;
}
