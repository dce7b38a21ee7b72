// Stands before every probe.
#ifndef DBCC_PREAMBLE_H
#define DBCC_PREAMBLE_H

// The kernel's names of registers in libbpf's bpf_tracing.h, and no second copy of the kernel types from a vmlinux.h.
#define __VMLINUX_H__

#include <dbcc/host.h>         // generated: architecture, version, what the kernel offers
#include <dbcc/types.h>
#include <dbcc/kernel_types.h> // generated: the slice of the kernel's types
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>
#include <dbcc/tracepoints.h>  // generated: the records of the tracepoints that the probe names
#include <dbcc/api.h>          // generated: the headers that define what the probe uses, and those that it includes
#include <dbcc/helpers.h>
#include <dbcc/filter.h>
#include <dbcc/rewriter.h>     // generated: what the rewriter needs
#include <dbcc/probe.h>        // generated: names that the probe declares itself, and -D

#endif
