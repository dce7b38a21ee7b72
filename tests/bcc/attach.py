#!/usr/bin/python3
"""Has BCC itself run one capture of capture.py, and tells what it recorded.

usage: attach.py CAPTURE.json

Attaches what the tool would attach, prints `attached`, and collects events until a line comes on standard input. Then it prints
one JSON object: `maps` (for each its entries, `key` and `value`), `events` (of each buffer, in the order in which they came),
and how many were `lost`. Values are written as `dbcc --json` writes them: see docs/json.md.
"""

import ctypes
import json
import os
import select
import sys

import bcc
from bcc import BPF, USDT
from bcc.libbcc import lib
from bcc.table import PerfEventArray, RingBuf, StackTrace

# Pages of each perf buffer: the workload's events of one CPU must fit, since Python is slow to read them.
PAGES = 256
MAP_TYPES_WITHOUT_ENTRIES = (PerfEventArray, RingBuf, StackTrace)

lib.bpf_table_name.restype = ctypes.c_char_p
lib.bpf_table_name.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
# BCC 0.26 leaves out the last argument (a semaphore's offset), which is then whatever is on the stack: attaching fails at
# times (https://github.com/iovisor/bcc/pull/5269).
attach_uprobe = lib.bpf_attach_uprobe
attach_uprobe.argtypes = [*attach_uprobe.argtypes[:6], ctypes.c_uint32]
lib.bpf_attach_uprobe = lambda *arguments: attach_uprobe(*arguments[:6], 0)


class Signed128(ctypes.c_int64 * 2):
    pass


class Unsigned128(ctypes.c_uint64 * 2):
    pass


BPF.str2ctype.update({"__int128": Signed128, "unsigned __int128": Unsigned128})


def text(data):
    """Bytes up to the first NUL; those that are no UTF-8 as `\\xNN`."""
    return data.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def wide(data, signed):
    """A number of 128 bits."""
    number = int.from_bytes(data, "little", signed=signed)
    return number if -1 << 63 <= number < 1 << 64 else str(number)


def plain(value):
    """A decoded value of ctypes as plain data."""
    if isinstance(value, (Signed128, Unsigned128)):
        return wide(bytes(value), isinstance(value, Signed128))
    if isinstance(value, (ctypes.Structure, ctypes.Union)):
        # BCC makes members of its own out of padding.
        fields = [field for field in value._fields_ if not field[0].startswith("__pad_")]
        return {field[0]: member(value, field[0], field[1]) for field in fields}
    if isinstance(value, ctypes.Array):
        # `value` of a char array ends at its first NUL, as text does.
        return text(value.raw) if value._type_ is ctypes.c_char else [plain(element) for element in value]
    if isinstance(value, bytes):
        return int.from_bytes(value, "little", signed=True)
    if isinstance(value, ctypes._SimpleCData):
        return plain(value.value)
    return 0 if value is None else value


def member(struct, name, kind):
    """ctypes gives a char array as bytes, like a single char."""
    if isinstance(kind, type) and issubclass(kind, ctypes.Array) and kind._type_ is ctypes.c_char:
        return text(getattr(struct, name))
    return plain(getattr(struct, name))


def event(table, data):
    """An event; BCC gives numbers of 128 bits as arrays, as which they cannot be told from arrays."""
    value = table.event(data)
    fields = plain(value)
    for number in range(lib.bpf_perf_event_fields(table.bpf.module, table._name)):
        name, kind = lib.bpf_perf_event_field(table.bpf.module, table._name, number).decode().split("#")
        if kind.endswith("__int128"):
            fields[name] = wide(bytes(getattr(value, name)), kind == "__int128")
    return fields


def entries(table):
    """What a map holds; None for one that holds no entries to show."""
    if isinstance(table, MAP_TYPES_WITHOUT_ENTRIES):
        return None
    found = []
    for key, value in table.items():
        found.append({"key": plain(key), "value": plain(value)})
    return found


def names(bpf):
    return [lib.bpf_table_name(bpf.module, number) for number in range(lib.bpf_num_tables(bpf.module))]


def load(capture):
    contexts = {}
    for probe in capture["usdt"]:
        place = {key: value for key, value in (("pid", probe["pid"]), ("path", probe["path"])) if value and value != -1}
        context = contexts.setdefault(tuple(place.items()), USDT(**place) if place else None)
        name = f"{probe['provider']}:{probe['probe']}" if probe["provider"] else probe["probe"]
        context.enable_probe(name, probe["function"])
    contexts = list(contexts.values())
    text = capture["text"].encode("utf-8", "surrogateescape")
    return BPF(text=text, cflags=capture["cflags"], usdt_contexts=contexts), contexts


def attach(bpf, capture):
    for entry in capture["attach"]:
        kind, function = entry["kind"], entry["function"]
        target, pattern = entry.get("target", ""), entry.get("pattern", "")
        if kind in ("kprobe", "kretprobe"):
            place = {"event_re": pattern} if pattern else {"event": target}
        elif kind in ("uprobe", "uretprobe"):
            place = {"name": entry["path"], "pid": entry["pid"]}
            place.update({"sym_re": pattern} if pattern else {"sym": target})
        elif kind in ("tracepoint", "raw_tracepoint"):
            place = {"tp": target}
        elif kind == "perf_event":
            place = {"ev_type": entry["type"], "ev_config": entry["config"], "sample_period": entry["period"],
                     "sample_freq": entry["frequency"]}
        elif kind in ("kfunc", "kretfunc", "lsm"):
            place = {}
        else:
            sys.exit(f"attach.py does not attach as {kind} yet")
        getattr(bpf, f"attach_{kind}")(fn_name=function, **place)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        capture = json.load(file)
    # Contexts count in the semaphores of their probes as long as they exist.
    bpf, contexts = load(capture)
    events, lost, rings = {}, [], False
    for name in names(bpf):
        table = bpf[name]
        if isinstance(table, PerfEventArray):
            seen = events.setdefault(name.decode(), [])

            def take(_cpu, data, _size, table=table, seen=seen):
                seen.append(event(table, data))

            table.open_perf_buffer(take, page_cnt=PAGES, lost_cb=lost.append)
        elif isinstance(table, RingBuf):
            seen, rings = events.setdefault(name.decode(), []), True
            table.open_ring_buffer(lambda _context, data, _size, table=table, seen=seen: seen.append(event(table, data)))
    attach(bpf, capture)
    # What the compiler took.
    bpf.free_bcc_memory()
    print("attached", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        if bpf.perf_buffers:
            bpf.perf_buffer_poll(timeout=100)
        elif rings:
            bpf.ring_buffer_poll(timeout=100)
        else:
            select.select([sys.stdin], [], [])
    if bpf.perf_buffers:
        bpf.perf_buffer_consume()
    if rings:
        bpf.ring_buffer_consume()
    maps = {name.decode(): entries(bpf[name]) for name in names(bpf)}
    print(json.dumps({
        "version": bcc.__version__, "maps": {name: found for name, found in maps.items() if found is not None},
        "events": events, "lost": sum(lost),
    }), flush=True)
    bpf.cleanup()
    contexts.clear()
    # Python would drop the buffers in an order of which BCC complains.
    os._exit(0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
