// Red-black trees: include/linux/rbtree.h, include/linux/rbtree_types.h, Linux 6.1.
#ifndef DBCC_LINUX_RBTREE_H
#define DBCC_LINUX_RBTREE_H

#define rb_entry(pointer, type, member) container_of(pointer, type, member)
#define rb_parent(node) ((struct rb_node *)((node)->__rb_parent_color & ~3))

#endif
