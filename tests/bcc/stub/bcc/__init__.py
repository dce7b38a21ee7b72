"""A stand-in for BCC's Python module: records what a tool asks of BCC, and loads nothing.

capture.py runs BCC's tools with this module in front of the real one. What a tool hands over (C text, compiler flags, USDT
probes, attach calls) is written as JSON to the file that DBCC_CAPTURE names; the first call that would wait for results
ends the tool. What tools ask about the kernel is answered from the file that DBCC_CAPTURE_KERNEL names, so that a capture
does not depend on the machine that it is made on.

The modules of the real package that need no kernel (containers, utils, syscall, tcp) are the real ones.
"""

import atexit
import os
import re
import sys
import time

from sitecustomize import ASKED, KERNEL, RECORDS, end, finish

REAL = "/usr/lib/python3/dist-packages/bcc"
__path__ = [os.path.dirname(__file__), REAL]
__version__ = "0"

_FUNCTIONS = set(KERNEL["functions"])
_LACKS = set(os.environ.get("DBCC_CAPTURE_WITHOUT", "").split())


def _text(value):
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


atexit.register(finish)

from .utils import ArgString, StrcmpRewrite, printb
from .perf import PerfType, PerfHWConfig, PerfSWConfig, Perf
from .usdt import USDT, USDTException


class Table:
    """A table of which nothing is known: it is empty, and takes what it is given."""

    Key = Leaf = staticmethod(lambda *values: values[0] if values else 0)

    def __getattr__(self, name):
        if name.startswith("open_"):
            return lambda *arguments, **options: None
        return lambda *arguments, **options: []

    def __getitem__(self, key):
        return Table()

    def __setitem__(self, key, value):
        pass

    def __delitem__(self, key):
        pass

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0

    def __contains__(self, key):
        return False

    @property
    def value(self):
        return 0


class _Function:
    def __init__(self, name):
        self.name, self.fd = name, 3


class _Types(type):
    """BPF.XDP and the like: the name is all that is recorded of a program type."""

    TYPES = """SOCKET_FILTER KPROBE SCHED_CLS SCHED_ACT TRACEPOINT XDP PERF_EVENT CGROUP_SKB CGROUP_SOCK LWT_IN LWT_OUT
        LWT_XMIT SOCK_OPS SK_SKB CGROUP_DEVICE SK_MSG RAW_TRACEPOINT CGROUP_SOCK_ADDR CGROUP_SOCKOPT TRACING LSM""".split()

    def __getattr__(cls, name):
        if name in _Types.TYPES:
            return name
        # Flags and return codes of XDP, attach types of cgroups.
        if name.isupper():
            return 0
        raise AttributeError(name)


class BPF(metaclass=_Types):
    """What tools call BPF."""

    def __init__(self, src_file=b"", hdr_file=b"", text=None, debug=0, cflags=(), usdt_contexts=(), **_options):
        if text is None and src_file:
            with open(_find(_text(src_file)), encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
        self.record = {
            "text": _text(text or ""),
            "cflags": [_text(flag) for flag in cflags],
            "usdt": [probe for context in usdt_contexts for probe in context.enabled],
            "attach": [],
        }
        self.tables = {}
        self.probes = 0
        self.debug = debug
        RECORDS.append(self.record)

    def _attach(self, kind, function, **target):
        entry = {"kind": kind, "function": _text(function)}
        entry.update({key: _text(value) if isinstance(value, bytes) else value for key, value in target.items()})
        self.record["attach"].append(entry)
        self.probes += 1

    def attach_kprobe(self, event=b"", event_off=0, fn_name=b"", event_re=b""):
        self._kernel("kprobe", event, event_re, fn_name, event_off)

    def attach_kretprobe(self, event=b"", fn_name=b"", event_re=b"", maxactive=0):
        self._kernel("kretprobe", event, event_re, fn_name, 0)

    def _kernel(self, kind, event, pattern, function, offset):
        if pattern:
            found = [name for name in KERNEL["functions"] if re.match(_text(pattern), name)]
            self._attach(kind, function, pattern=pattern, count=len(found))
        else:
            self._attach(kind, function, target=event, offset=offset)

    def attach_uprobe(self, name=b"", sym=b"", sym_re=b"", addr=None, fn_name=b"", pid=-1, sym_off=0):
        self._attach("uprobe", fn_name, path=name, target=sym, pattern=sym_re, address=addr, pid=pid, offset=sym_off)

    def attach_uretprobe(self, name=b"", sym=b"", sym_re=b"", addr=None, fn_name=b"", pid=-1):
        self._attach("uretprobe", fn_name, path=name, target=sym, pattern=sym_re, address=addr, pid=pid)

    def attach_tracepoint(self, tp=b"", tp_re=b"", fn_name=b""):
        self._attach("tracepoint", fn_name, target=tp, pattern=tp_re)

    def attach_raw_tracepoint(self, tp=b"", fn_name=b""):
        self._attach("raw_tracepoint", fn_name, target=tp)

    def attach_kfunc(self, fn_name=b""):
        self._attach("kfunc", fn_name)

    def attach_kretfunc(self, fn_name=b""):
        self._attach("kretfunc", fn_name)

    def attach_lsm(self, fn_name=b""):
        self._attach("lsm", fn_name)

    def attach_perf_event(self, ev_type=-1, ev_config=-1, fn_name=b"", sample_period=0, sample_freq=0, pid=-1, cpu=-1, group_fd=-1):
        self._attach("perf_event", fn_name, type=int(ev_type), config=int(ev_config), period=sample_period, frequency=sample_freq)

    def attach_perf_event_raw(self, attr=None, fn_name=b"", pid=-1, cpu=-1, group_fd=-1):
        self._attach("perf_event", fn_name)

    def load_func(self, func_name, prog_type, device=None, attach_type=-1):
        self._attach("load", func_name, type=prog_type)
        return _Function(func_name)

    def load_funcs(self, prog_type="KPROBE"):
        self._attach("load_all", "", type=prog_type)
        return []

    def __getattr__(self, name):
        if name.startswith(("detach", "attach", "remove")):
            return lambda *arguments, **options: None
        raise AttributeError(name)

    @staticmethod
    def attach_raw_socket(function, device):
        pass

    @staticmethod
    def attach_xdp(device, function, flags=0):
        pass

    @staticmethod
    def attach_func(function, *arguments, **options):
        pass

    def get_table(self, name, *_arguments, **_options):
        return self.tables.setdefault(_text(name), Table())

    def __getitem__(self, name):
        return self.get_table(name)

    def __setitem__(self, name, value):
        pass

    def num_open_kprobes(self):
        return self.probes

    num_open_uprobes = num_open_tracepoints = num_open_kprobes

    def get_syscall_prefix(self):
        return b"__x64_sys_"

    def get_syscall_fnname(self, name):
        return b"__x64_sys_" + (name if isinstance(name, bytes) else name.encode())

    def fix_syscall_fnname(self, name):
        name = name if isinstance(name, bytes) else name.encode()
        for prefix in (b"sys_", b"__x64_sys_", b"__x32_compat_sys_", b"__ia32_compat_sys_", b"__arm64_sys_"):
            if name.startswith(prefix):
                return self.get_syscall_fnname(name[len(prefix):])
        return name

    def cleanup(self):
        pass

    close = free_bcc_memory = cleanup
    perf_buffer_poll = perf_buffer_consume = kprobe_poll = end
    ring_buffer_poll = ring_buffer_consume = end
    trace_open = trace_fields = trace_print = trace_readline = end

    # What tools ask about the machine.

    @staticmethod
    def get_kprobe_functions(pattern):
        ASKED.add("function " + _text(pattern))
        return {name.encode() for name in KERNEL["functions"] if re.match(_text(pattern), name)}

    @staticmethod
    def get_probe_limit():
        return 1000

    @staticmethod
    def get_user_functions(name, pattern):
        return [b"function"]

    @staticmethod
    def get_user_addresses(name, pattern):
        return [0x1000]

    @staticmethod
    def get_user_functions_and_addresses(name, pattern):
        return [(b"function", 0x1000)]

    @staticmethod
    def get_tracepoints(pattern):
        # The category is not in BTF; for those that tools ask for, it is how the name begins.
        names = (f"{name.partition('_')[0]}:{name}" for name in KERNEL["tracepoints"])
        return [name.encode() for name in names if re.match(_text(pattern), name)]

    @staticmethod
    def tracepoint_exists(category, event):
        category, event = _text(category), _text(event)
        ASKED.add(f"tracepoint {category}:{event}")
        if category == "syscalls":
            return "__x64_sys_" + re.sub("^sys_(enter|exit)_", "", event) in _FUNCTIONS
        return event in KERNEL["tracepoints"]

    @staticmethod
    def kernel_struct_has_field(record, field):
        record, field = _text(record), _text(field)
        ASKED.add(f"field {record}.{field}")
        return 1 if field in KERNEL["structs"].get(record, ()) else -1

    @staticmethod
    def support_kfunc():
        ASKED.add("kfunc")
        return "kfunc" not in _LACKS

    support_lsm = support_kfunc

    @staticmethod
    def support_raw_tracepoint():
        ASKED.add("raw_tracepoint")
        return "raw_tracepoint" not in _LACKS

    support_raw_tracepoint_in_module = support_raw_tracepoint

    @staticmethod
    def ksymname(name):
        name = _text(name)
        ASKED.add("symbol " + name)
        return 0xffffffff81000000 if name in _FUNCTIONS or name.startswith("_") else -1

    @staticmethod
    def ksym(address, show_module=False, show_offset=False):
        return b"[unknown]"

    @staticmethod
    def sym(address, pid, show_module=False, show_offset=False, demangle=True):
        return b"[unknown]"

    @staticmethod
    def find_exe(name):
        return name if isinstance(name, bytes) else name.encode()

    @staticmethod
    def find_library(name):
        name = _text(name)
        known = {"c": "/lib/x86_64-linux-gnu/libc.so.6", "pthread": "/lib/x86_64-linux-gnu/libpthread.so.0"}
        return known.get(name, f"/usr/lib/x86_64-linux-gnu/lib{name}.so").encode()

    @staticmethod
    def monotonic_time():
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    @staticmethod
    def generate_auto_includes(words):
        headers = {
            "linux/time.h": ["time"], "linux/fs.h": ["fs", "file"], "linux/blkdev.h": ["bio", "request"],
            "linux/slab.h": ["alloc"], "linux/netdevice.h": ["sk_buff", "net_device"],
        }
        used = {header for header, keys in headers.items() for key in keys for word in words if key in word}
        return "".join(f"#include <{header}>\n" for header in sorted(used))

    @staticmethod
    def add_module(name):
        pass


def _find(name):
    """BCC looks beside the tool too."""
    for path in (name, os.path.join(os.path.dirname(os.path.realpath(sys.argv[0])), name)):
        if os.path.exists(path):
            return path
    raise FileNotFoundError(name)
