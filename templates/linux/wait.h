// Flags of waiting: include/uapi/linux/wait.h, Linux 6.1.
#ifndef DBCC_LINUX_WAIT_H
#define DBCC_LINUX_WAIT_H

#define WNOHANG 0x1
#define WUNTRACED 0x2
#define WSTOPPED 2
#define WEXITED 0x4
#define WCONTINUED 0x8
#define WNOWAIT 0x1000000
#define __WNOTHREAD 0x20000000
#define __WALL 0x40000000
#define __WCLONE 0x80000000U
#define P_ALL 0
#define P_PID 1
#define P_PGID 2
#define P_PIDFD 3

#endif
