// System V message queues: include/uapi/linux/msg.h, Linux 6.1.
#ifndef DBCC_LINUX_MSG_H
#define DBCC_LINUX_MSG_H

#define MSG_STAT 11
#define MSG_INFO 12
#define MSG_STAT_ANY 13
#define MSG_NOERROR 010000
#define MSG_EXCEPT 020000
#define MSG_COPY 040000

#endif
