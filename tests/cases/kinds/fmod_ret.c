// One process may not make folders of one mode.
BPF_HASH(calls, u32, u64);

KMOD_RET(security_inode_mkdir, struct inode *dir, struct dentry *dentry, umode_t mode, int ret)
{
    if (ret || (bpf_get_current_pid_tgid() >> 32) != PID || (mode & 07777) != 0751)
        return ret;
    calls.atomic_increment(1);
    return -EPERM;
}
