// Priorities: include/linux/sched/prio.h, Linux 6.1.
#ifndef DBCC_LINUX_SCHED_PRIO_H
#define DBCC_LINUX_SCHED_PRIO_H

#define MAX_NICE 19
#define MIN_NICE (-20)
#define NICE_WIDTH (MAX_NICE - MIN_NICE + 1)
#define MAX_RT_PRIO 100
#define MAX_PRIO (MAX_RT_PRIO + NICE_WIDTH)
#define DEFAULT_PRIO (MAX_RT_PRIO + NICE_WIDTH / 2)
#define NICE_TO_PRIO(nice) ((nice) + DEFAULT_PRIO)
#define PRIO_TO_NICE(prio) ((prio) - DEFAULT_PRIO)

// include/linux/sched.h
#define task_nice(task) PRIO_TO_NICE((task)->static_prio)

#endif
