"""Commands that do the same, measured beside each other.

Every contender is a new process in each round, and rounds are interleaved. Times are medians, from the start of the process to
its end; memory is the largest resident set of all rounds. What a contender prints is checked in each round: one that did not
print what is asked for is no contender.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time


def holds(output, text):
    """Whether a file holds a text. It is read a piece at a time: what this process once had counts as its children's memory."""
    output.seek(0)
    before = b""
    while piece := output.read(1 << 16):
        if text in before + piece:
            output.seek(0, os.SEEK_END)
            return True
        before = piece[-len(text) :]
    return False


class Contender:
    """A command, and what its output must contain; `before` runs ahead of it and is not measured."""

    def __init__(self, name, command, expect, before=None, shell=False):
        self.name = name
        self.command = ["sh", "-c", command] if shell else command
        self.expect = expect
        self.before = before
        self.seconds = []
        self.kib = 0
        self.why = None

    def run(self, keep):
        if self.why:
            return
        if self.before:
            self.before()
        with tempfile.TemporaryFile() as output:
            start = time.perf_counter()
            try:
                child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            except FileNotFoundError:
                self.why = "not installed"
                return
            # wait4 tells the memory of this child alone, with those that it waited for itself.
            _, status, usage = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - start
            child.returncode = os.waitstatus_to_exitcode(status)
            if not holds(output, self.expect.encode()):
                output.seek(-min(200, output.tell()), os.SEEK_CUR)
                self.why = f"did not print {self.expect}: {output.read().decode(errors='replace').strip()!r}"
                return
        if keep:
            self.seconds.append(seconds)
            self.kib = max(self.kib, usage.ru_maxrss)

    def row(self):
        if self.why:
            return f"| {self.name} | {self.why} | |"
        return f"| {self.name} | {statistics.median(self.seconds) * 1000:.1f} ms | {self.kib / 1024:.0f} MiB |"


def measure(title, contenders, rounds):
    # The first round fills the page cache and is not counted.
    for round_ in range(rounds + 1):
        for contender in contenders:
            contender.run(keep=round_ > 0)
    print(f"\n{title}:\n\n| | time | memory |\n|---|---:|---:|")
    for contender in contenders:
        print(contender.row())
    sys.stdout.flush()


def machine(rounds):
    """Says what it was measured on."""
    model = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    print(f"{model}, {os.cpu_count()} processors, Linux {platform.release()}, medians of {rounds} rounds")
