// What <linux/compiler_types.h> includes.
#ifndef DBCC_LINUX_COMPILER_TYPES_H
#define DBCC_LINUX_COMPILER_TYPES_H

#include <linux/compiler.h>

#endif
