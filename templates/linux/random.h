// Flags of getrandom: include/uapi/linux/random.h, Linux 6.1.
#ifndef DBCC_LINUX_RANDOM_H
#define DBCC_LINUX_RANDOM_H

#define GRND_NONBLOCK 0x1
#define GRND_RANDOM 0x2
#define GRND_INSECURE 0x4

#endif
