// What <linux/security.h> includes.
#ifndef DBCC_LINUX_SECURITY_H
#define DBCC_LINUX_SECURITY_H

#include <linux/capability.h>

#endif
