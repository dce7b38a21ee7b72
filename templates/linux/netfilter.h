// Verdicts and hooks of netfilter: include/uapi/linux/netfilter.h, Linux 6.1.
#ifndef DBCC_LINUX_NETFILTER_H
#define DBCC_LINUX_NETFILTER_H

#define NF_DROP 0
#define NF_ACCEPT 1
#define NF_STOLEN 2
#define NF_QUEUE 3
#define NF_REPEAT 4
#define NF_STOP 5
#define NF_VERDICT_MASK 0xff
#define NF_VERDICT_FLAG_QUEUE_BYPASS 0x8000
#define NF_VERDICT_QMASK 0xffff0000U
#define NF_VERDICT_QBITS 16

#endif
