// What <linux/bitops.h> includes.
#ifndef DBCC_LINUX_BITOPS_H
#define DBCC_LINUX_BITOPS_H

#include <linux/bits.h>

#endif
