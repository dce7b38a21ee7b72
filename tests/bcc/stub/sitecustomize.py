"""Python runs this before a tool: waiting ends the tool, options are noted, and files of the kernel are made up.

A tool may take `sleep` from `time` before it imports BCC's module, so that has to be replaced here.
"""

import argparse
import builtins
import curses
import io
import json
import os
import subprocess
import sys
import time

# Data of the kernel that tools look for, beside its functions.
DATA = ["_stext", "vm_zone_stat", "vm_node_stat", "vm_stat"]

RECORDS, ASKED, OPTIONS = [], set(), []
with open(os.environ["DBCC_CAPTURE_KERNEL"], encoding="utf-8") as _file:
    KERNEL = json.load(_file)


def finish():
    with _open(os.environ["DBCC_CAPTURE"], "w") as file:
        json.dump({"records": RECORDS, "asked": sorted(ASKED), "options": OPTIONS}, file)


def end(*_arguments, **_options):
    """Ends the tool: it would wait for results now."""
    finish()
    sys.stdout.flush()
    os._exit(0)


def _options_of(parse):
    def parse_args(self, *arguments, **options):
        for action in self._actions:
            if action.option_strings and not isinstance(action, (argparse._HelpAction, argparse._VersionAction)):
                OPTIONS.append({
                    "flag": action.option_strings[-1],
                    "dest": action.dest,
                    "takes": action.nargs != 0,
                    "choices": [str(choice) for choice in action.choices or []],
                })
        return parse(self, *arguments, **options)

    return parse_args


def _symbols():
    names = KERNEL["functions"] + KERNEL["data"] + DATA
    return "".join(f"{0xffffffff81000000 + number * 16:x} T {name}\n" for number, name in enumerate(names))


_FILES = {
    "/proc/kallsyms": _symbols,
    "/proc/partitions": lambda: "major minor  #blocks  name\n\n   8        0  500107608 sda\n   8        1     524288 sda1\n",
    "/sys/kernel/debug/kprobes/blacklist": str,
}
_open = builtins.open


def _made_up(name, mode="r", *arguments, **options):
    made = _FILES.get(name if isinstance(name, str) else "")
    if made is None:
        return _open(name, mode, *arguments, **options)
    return io.BytesIO(made().encode()) if "b" in mode else io.StringIO(made())


def _disk(path, *arguments, **options):
    return _stat("/dev/null" if path in ("/dev/sda", b"/dev/sda") else path, *arguments, **options)


def _output(command, *arguments, **options):
    """A server that a tool looks for is this process's parent."""
    if command and command[0] == "pidof":
        return str(os.getppid()).encode()
    return _check_output(command, *arguments, **options)


_stat, os.stat = os.stat, _disk
_check_output, subprocess.check_output = subprocess.check_output, _output
time.sleep = end
curses.wrapper = lambda function, *arguments, **options: function(_Screen(), *arguments, **options)
argparse.ArgumentParser.parse_args = _options_of(argparse.ArgumentParser.parse_args)
builtins.open = _made_up


class _Screen:
    """A terminal on which a tool draws."""

    def __getattr__(self, name):
        if name == "getmaxyx":
            return lambda: (24, 80)
        return end if name in ("getch", "timeout") else lambda *arguments, **options: None
