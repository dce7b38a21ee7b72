// What <linux/jiffies.h> includes.
#ifndef DBCC_LINUX_JIFFIES_H
#define DBCC_LINUX_JIFFIES_H

#include <asm/param.h>
#include <linux/time64.h>

#endif
