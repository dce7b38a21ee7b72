// Tests of the configuration: include/linux/kconfig.h, Linux 6.1.
#ifndef DBCC_LINUX_KCONFIG_H
#define DBCC_LINUX_KCONFIG_H

#define DBCC_SECOND(first, second, ...) second
#define DBCC_CHOSEN(prefixed) DBCC_SECOND(prefixed 1, 0)
#define DBCC_IS_SET(value) DBCC_IS_SET_(value)
#define DBCC_IS_SET_(value) DBCC_CHOSEN(DBCC_SET_##value)
#define DBCC_SET_1 0,
#define IS_BUILTIN(option) DBCC_IS_SET(option)
#define IS_MODULE(option) DBCC_IS_SET(option##_MODULE)
#define IS_ENABLED(option) (IS_BUILTIN(option) || IS_MODULE(option))

#endif
