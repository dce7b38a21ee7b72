// Names of directory entries: include/linux/dcache.h.
#ifndef DBCC_LINUX_DCACHE_H
#define DBCC_LINUX_DCACHE_H

// The length depends on the kernel's version and configuration, so it is that of the member: a plain array, since 6.14
// the bytes of a union.
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
#define DNAME_INLINE_LEN ((int)sizeof(((struct dentry *)0)->d_shortname.string))
#else
#define DNAME_INLINE_LEN ((int)sizeof(((struct dentry *)0)->d_iname))
#endif

#define IS_ROOT(dentry) ((dentry) == (dentry)->d_parent)

#endif
