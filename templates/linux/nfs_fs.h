// NFS: members of types of include/linux/nfs_fs.h and include/linux/nfs_xdr.h that probes read, Linux 6.1. These are
// types of a module: its BTF places the members when the probe is loaded, and the kernel's own BTF, where it has the
// type, gives all of them.
#ifndef DBCC_LINUX_NFS_FS_H
#define DBCC_LINUX_NFS_FS_H

#ifndef DBCC_KERNEL_HAS_nfs_open_context
struct nfs_open_context {
    struct dentry *dentry;
    const struct cred *cred;
    fmode_t mode;
    unsigned long flags;
    int error;
} __attribute__((preserve_access_index));
#endif

#ifndef DBCC_KERNEL_HAS_nfs_commitargs
struct nfs_commitargs {
    __u64 offset;
    __u32 count;
} __attribute__((preserve_access_index));
#endif

#ifndef DBCC_KERNEL_HAS_nfs_commit_data
struct nfs_commit_data {
    struct inode *inode;
    const struct cred *cred;
    struct nfs_commitargs args;
    struct nfs_open_context *context;
    loff_t lwb;
    unsigned long flags;
} __attribute__((preserve_access_index));
#endif

#ifndef DBCC_KERNEL_HAS_nfs_pgio_args
struct nfs_pgio_args {
    struct nfs_open_context *context;
    __u64 offset;
    __u32 count;
} __attribute__((preserve_access_index));
#endif

#ifndef DBCC_KERNEL_HAS_nfs_pgio_header
struct nfs_pgio_header {
    struct inode *inode;
    struct nfs_pgio_args args;
    loff_t io_start;
    int error;
} __attribute__((preserve_access_index));
#endif

#endif
