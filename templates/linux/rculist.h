// What <linux/rculist.h> includes.
#ifndef DBCC_LINUX_RCULIST_H
#define DBCC_LINUX_RCULIST_H

#include <linux/list.h>

#endif
