// Lists: include/linux/list.h, Linux 6.1. Without those that write, and without loops.
#ifndef DBCC_LINUX_LIST_H
#define DBCC_LINUX_LIST_H

#define list_entry(pointer, type, member) container_of(pointer, type, member)
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_last_entry(head, type, member) list_entry((head)->prev, type, member)
#define list_next_entry(position, member) list_entry((position)->member.next, typeof(*(position)), member)
#define list_prev_entry(position, member) list_entry((position)->member.prev, typeof(*(position)), member)
#define list_empty(head) ((int)((head)->next == (head)))
#define list_is_head(list, head) ((int)((list) == (head)))
#define list_is_last(list, head) ((int)((list)->next == (head)))
#define hlist_entry(pointer, type, member) container_of(pointer, type, member)
#define hlist_empty(head) ((int)!(head)->first)
#define hlist_unhashed(node) ((int)!(node)->pprev)

#endif
