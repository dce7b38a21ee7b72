// Priorities and handles of traffic control: include/uapi/linux/pkt_sched.h, Linux 6.1.
#ifndef DBCC_LINUX_PKT_SCHED_H
#define DBCC_LINUX_PKT_SCHED_H

#define TC_PRIO_BESTEFFORT 0
#define TC_PRIO_FILLER 1
#define TC_PRIO_BULK 2
#define TC_PRIO_INTERACTIVE_BULK 4
#define TC_PRIO_INTERACTIVE 6
#define TC_PRIO_CONTROL 7
#define TC_PRIO_MAX 15
#define TC_H_MAJ_MASK 0xffff0000U
#define TC_H_MIN_MASK 0xffffU
#define TC_H_UNSPEC 0U
#define TC_H_ROOT 0xffffffffU
#define TC_H_INGRESS 0xfffffff1U
#define TC_H_CLSACT 0xfffffff1U
#define TC_H_MIN_PRIORITY 0xffe0U
#define TC_H_MIN_INGRESS 0xfff2U
#define TC_H_MIN_EGRESS 0xfff3U
#define TC_LINKLAYER_MASK 0xf
#define TC_RTAB_SIZE 1024
#define TC_RED_ECN 1
#define TC_RED_HARDDROP 2
#define TC_RED_ADAPTATIVE 4
#define TC_RED_NODROP 8
#define TC_RED_HISTORIC_FLAGS 7
#define TC_HTB_NUMPRIO 8
#define TC_HTB_MAXDEPTH 8
#define TC_HTB_PROTOVER 3
#define TC_CBQ_MAXPRIO 8
#define TC_CBQ_MAXLEVEL 8
#define TC_CBQ_DEF_EWMA 5
#define TC_CBQ_OVL_CLASSIC 0
#define TC_CBQ_OVL_DELAY 1
#define TC_CBQ_OVL_LOWPRIO 2
#define TC_CBQ_OVL_DROP 3
#define TC_CBQ_OVL_RCLASSIC 4
#define TC_QOPT_BITMASK 15
#define TC_QOPT_MAX_QUEUE 16
#define TC_MQPRIO_HW_OFFLOAD_MAX 1
#define TC_MQPRIO_F_MODE 0x1
#define TC_MQPRIO_F_SHAPER 0x2
#define TC_MQPRIO_F_MIN_RATE 0x4
#define TC_MQPRIO_F_MAX_RATE 0x8
#define TC_ETF_DEADLINE_MODE_ON 1UL
#define TC_ETF_OFFLOAD_ON 2UL
#define TC_ETF_SKIP_SOCK_CHECK 4UL
#define TC_CAKE_MAX_TINS 8

#endif
