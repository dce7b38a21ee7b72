// Ticks: include/asm-generic/param.h, include/linux/jiffies.h, Linux 6.1; CONFIG_HZ is that of the running kernel.
#ifndef DBCC_ASM_PARAM_H
#define DBCC_ASM_PARAM_H

#define HZ CONFIG_HZ
#define USER_HZ 100

#endif
