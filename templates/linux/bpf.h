// BPF: include/uapi/linux/bpf.h, Linux 6.1.
#ifndef DBCC_LINUX_BPF_H
#define DBCC_LINUX_BPF_H

#define BPF_JMP32 0x6
#define BPF_ALU64 0x7
#define BPF_DW 0x18
#define BPF_ATOMIC 0xc0
#define BPF_XADD 0xc0
#define BPF_MOV 0xb0
#define BPF_ARSH 0xc0
#define BPF_END 0xd0
#define BPF_TO_LE 0x0
#define BPF_TO_BE 0x8
#define BPF_FROM_LE 0
#define BPF_FROM_BE 8
#define BPF_JNE 0x50
#define BPF_JLT 0xa0
#define BPF_JLE 0xb0
#define BPF_JSGT 0x60
#define BPF_JSGE 0x70
#define BPF_JSLT 0xc0
#define BPF_JSLE 0xd0
#define BPF_CALL 0x80
#define BPF_EXIT 0x90
#define BPF_FETCH 0x1
#define BPF_XCHG 0xe1
#define BPF_CMPXCHG 0xf1
#define BPF_PSEUDO_MAP_FD 1
#define BPF_PSEUDO_MAP_IDX 5
#define BPF_PSEUDO_MAP_VALUE 2
#define BPF_PSEUDO_MAP_IDX_VALUE 6
#define BPF_PSEUDO_BTF_ID 3
#define BPF_PSEUDO_FUNC 4
#define BPF_PSEUDO_CALL 1
#define BPF_PSEUDO_KFUNC_CALL 2
#define BPF_BUILD_ID_SIZE 20
#define BPF_OBJ_NAME_LEN 16U
#define BPF_TAG_SIZE 8

#include <linux/bpf_common.h>

#endif
