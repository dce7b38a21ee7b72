#!/usr/bin/python3
"""Has BCC itself compile and load one capture of capture.py, without attaching anything.

usage: peer.py CAPTURE.json

Prints one JSON object: whether it compiled and in how many seconds, and for each program whether the kernel took it.
What BCC and the kernel say goes to standard error.
"""

import json
import sys
import time

import bcc
from bcc import BPF
from bcc.libbcc import lib

# Names of functions that BCC loads by itself, and as what.
PREFIXES = [
    ("kprobe__", BPF.KPROBE), ("kretprobe__", BPF.KPROBE), ("tracepoint__", BPF.TRACEPOINT),
    ("raw_tracepoint__", BPF.RAW_TRACEPOINT), ("kfunc__", BPF.TRACING), ("kretfunc__", BPF.TRACING),
    ("kmod_ret__", BPF.TRACING), ("lsm__", BPF.LSM), ("bpf_iter__", BPF.TRACING),
]
KINDS = {
    "kprobe": BPF.KPROBE, "kretprobe": BPF.KPROBE, "uprobe": BPF.KPROBE, "uretprobe": BPF.KPROBE,
    "tracepoint": BPF.TRACEPOINT, "raw_tracepoint": BPF.RAW_TRACEPOINT, "perf_event": BPF.PERF_EVENT,
    "kfunc": BPF.TRACING, "kretfunc": BPF.TRACING, "lsm": BPF.LSM,
}


class Probe(BPF):
    """BCC without attaching what names tell it to."""

    def _trace_autoload(self):
        pass


def read_argument(function, number):
    """What BCC generates for an argument of a USDT probe: here without a binary, from a register."""
    return (f"static __always_inline int _bpf_readarg_{function}_{number}(struct pt_regs *ctx, void *to, size_t size) {{\n"
            "  if (size != sizeof(unsigned long)) return -1;\n"
            "  *(unsigned long *)to = ctx->di;\n  return 0;\n}\n")


def programs(capture, bpf):
    """The functions that the tool attaches or loads, and as what."""
    types = {entry["function"]: KINDS[entry["kind"]] for entry in capture["attach"] if entry["kind"] in KINDS}
    types.update({probe["function"]: BPF.KPROBE for probe in capture["usdt"]})
    for entry in capture["attach"]:
        if entry["kind"] == "load":
            types[entry["function"]] = getattr(BPF, entry["type"])
    for index in range(lib.bpf_num_functions(bpf.module)):
        name = lib.bpf_function_name(bpf.module, index).decode()
        for prefix, kind in PREFIXES:
            if name.startswith(prefix):
                types.setdefault(name, kind)
        if any(entry["kind"] == "load_all" for entry in capture["attach"]):
            types.setdefault(name, BPF.KPROBE)
    return types


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        capture = json.load(file)
    text = capture["text"]
    functions = {probe["function"] for probe in capture["usdt"]}
    if functions:
        generated = "".join(read_argument(function, number) for function in sorted(functions) for number in range(1, 7))
        text = "#include <uapi/linux/ptrace.h>\n" + generated + text
    answer = {"version": bcc.__version__, "compiled": False, "seconds": 0.0, "programs": {}}
    start = time.monotonic()
    try:
        bpf = Probe(text=text.encode("utf-8", "surrogateescape"), cflags=capture["cflags"])
        answer["compiled"] = True
    except Exception as error:
        print(error, file=sys.stderr)
    answer["seconds"] = time.monotonic() - start
    if answer["compiled"]:
        for name, kind in programs(capture, bpf).items():
            try:
                bpf.load_func(name, kind)
                answer["programs"][name] = True
            except Exception as error:
                print(f"{name}: {error}", file=sys.stderr)
                answer["programs"][name] = False
    print(json.dumps(answer))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
