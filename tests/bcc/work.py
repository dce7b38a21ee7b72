"""Calls Python functions known numbers of times, on a line on standard input: for tools on Python's own USDT probes."""

import gc
import sys


def inner(number):
    return number + 1


def outer(times):
    total = 0
    for _ in range(times):
        total = inner(total)
    return total


gc.disable()
print("ready", flush=True)
for line in sys.stdin:
    for times in (3, 5, 7):
        outer(times)
    for _ in range(4):
        gc.collect()
    print("done " + line.strip(), flush=True)
