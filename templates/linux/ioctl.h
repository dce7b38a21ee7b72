// Numbers of requests: include/uapi/asm-generic/ioctl.h, Linux 6.1.
#ifndef DBCC_LINUX_IOCTL_H
#define DBCC_LINUX_IOCTL_H

#define _IOC_NRBITS 8
#define _IOC_TYPEBITS 8
#define _IOC_SIZEBITS 14
#define _IOC_DIRBITS 2
#define _IOC_NRMASK ((1 << _IOC_NRBITS) - 1)
#define _IOC_TYPEMASK ((1 << _IOC_TYPEBITS) - 1)
#define _IOC_SIZEMASK ((1 << _IOC_SIZEBITS) - 1)
#define _IOC_DIRMASK ((1 << _IOC_DIRBITS) - 1)
#define _IOC_NRSHIFT 0
#define _IOC_TYPESHIFT (_IOC_NRSHIFT + _IOC_NRBITS)
#define _IOC_SIZESHIFT (_IOC_TYPESHIFT + _IOC_TYPEBITS)
#define _IOC_DIRSHIFT (_IOC_SIZESHIFT + _IOC_SIZEBITS)
#define _IOC_NONE 0U
#define _IOC_WRITE 1U
#define _IOC_READ 2U
#define _IOC(direction, type, number, size)                                                        \
    (((direction) << _IOC_DIRSHIFT) | ((type) << _IOC_TYPESHIFT) | ((number) << _IOC_NRSHIFT) |    \
     ((size) << _IOC_SIZESHIFT))
#define _IO(type, number) _IOC(_IOC_NONE, (type), (number), 0)
#define _IOR(type, number, size) _IOC(_IOC_READ, (type), (number), sizeof(size))
#define _IOW(type, number, size) _IOC(_IOC_WRITE, (type), (number), sizeof(size))
#define _IOWR(type, number, size) _IOC(_IOC_READ | _IOC_WRITE, (type), (number), sizeof(size))
#define _IOC_DIR(number) (((number) >> _IOC_DIRSHIFT) & _IOC_DIRMASK)
#define _IOC_TYPE(number) (((number) >> _IOC_TYPESHIFT) & _IOC_TYPEMASK)
#define _IOC_NR(number) (((number) >> _IOC_NRSHIFT) & _IOC_NRMASK)
#define _IOC_SIZE(number) (((number) >> _IOC_SIZESHIFT) & _IOC_SIZEMASK)

#endif
