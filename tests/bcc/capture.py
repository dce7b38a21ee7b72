#!/usr/bin/python3
"""Captures the C texts that the tools of Debian's bpfcc-tools hand to BCC.

usage: capture.py VMLINUX MODULES OUT

Each tool runs with the stand-in of BCC's module in stub/: with the arguments of runs.json, and beside the first
of them with each of its options in turn, as argparse tells them. What differs in text, flags or attach calls is kept: OUT/NNN.json for each, with the
command line, and OUT/index.json. What tools ask about the kernel is answered for the kernel whose VMLINUX (with BTF) and
MODULES folder are given, so that the captures do not depend on the machine.
"""

import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOOLS = "/usr/sbin"
SUFFIX = "-bpfcc"
SECONDS = 60
# In texts, in place of the process that tools were told: a capture must not depend on the day.
PID = "4242"
# Modules whose functions tools look for before they attach.
FILE_SYSTEMS = ["ext4", "btrfs", "xfs", "nfs"]


def kernel(vmlinux, modules):
    """What tools ask about a kernel: its functions, its structs' members, its tracepoints."""
    known = {"functions": set(), "structs": {}, "tracepoints": set(), "data": set()}
    dump = subprocess.run(["bpftool", "btf", "dump", "file", vmlinux], check=True, capture_output=True, text=True).stdout
    members = None
    for line in dump.splitlines():
        if line.startswith("\t"):
            if members is not None:
                members.append(line.split("'")[1] if "'" in line else "")
            continue
        members = None
        found = re.match(r"\[\d+\] (\w+) '([^']*)'", line)
        if not found:
            continue
        kind, name = found.groups()
        if kind == "FUNC":
            known["functions"].add(name)
        elif kind in ("STRUCT", "UNION"):
            members = known["structs"].setdefault(name, [])
        elif kind == "TYPEDEF" and name.startswith("btf_trace_"):
            known["tracepoints"].add(name[len("btf_trace_"):])
    for name in FILE_SYSTEMS:
        for path in glob.glob(f"{modules}/kernel/fs/{name}/{name}.ko"):
            symbols = subprocess.run(["nm", "--defined-only", path], check=True, capture_output=True, text=True).stdout
            for line in symbols.splitlines():
                _, kind, name = line.split()
                known["functions" if kind in "tT" else "data"].add(name)
    return {key: value if isinstance(value, dict) else sorted(value) for key, value in known.items()}


def run(tool, arguments, settings, environment):
    """The records of one run, and what it said."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "capture")
        environment = {
            **os.environ, **environment, "PYTHONPATH": os.path.join(HERE, "stub"), "PYTHONDONTWRITEBYTECODE": "1",
            "DBCC_CAPTURE_KERNEL": settings["kernel"], "DBCC_CAPTURE": out,
        }
        command = [sys.executable, program(tool), *arguments]
        try:
            done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  errors="replace", timeout=SECONDS, cwd=folder)
        except subprocess.TimeoutExpired:
            return {"records": [], "asked": [], "options": []}, f"did not end within {SECONDS} s"
        try:
            with open(out, encoding="utf-8") as file:
                return json.load(file), done.stderr
        except FileNotFoundError:
            return {"records": [], "asked": [], "options": []}, done.stderr


def values(option, samples):
    """Values to try for an option that takes one."""
    if option["choices"]:
        return option["choices"]
    for key in (option["flag"], option["dest"]):
        if key in samples:
            return samples[key]
    return ["1"]


def runs_of(tool, told, settings):
    """All runs of a tool that hand over different texts: (arguments, environment, records), and what failed."""
    kept, failed, seen = [], [], set()

    def attempt(arguments, environment=None):
        arguments = [settings["pid"] if word == "PID" else word for word in arguments]
        answer, said = run(tool, arguments, settings, environment or {})
        records = [record for record in answer["records"] if record["text"].strip()]
        if not records:
            failed.append({"tool": tool, "arguments": arguments, "said": said.strip().splitlines()[-1:]})
        for record in records:
            key = json.dumps(record, sort_keys=True)
            if key not in seen:
                seen.add(key)
                kept.append({"tool": tool, "arguments": arguments, "environment": environment or {}, **record})
        return answer

    entry = told["tools"].get(tool, {})
    own = {**told["values"], **entry.get("values", {})}
    for number, base in enumerate(entry.get("runs", [[]])):
        answer = attempt(base)
        for feature in ("kfunc", "raw_tracepoint"):
            if feature in answer["asked"]:
                attempt(base, {"DBCC_CAPTURE_WITHOUT": feature})
        for option in answer["options"] if number == 0 and entry.get("options", True) else []:
            if option["flag"] in base or option["flag"] in told["skip"]:
                continue
            for value in values(option, own) if option["takes"] else [None]:
                given = [option["flag"]] if value is None else [option["flag"], value]
                # Positional arguments come last: some tools take any number of them.
                attempt(given + base)
    return kept, failed


def main():
    vmlinux, modules, out = sys.argv[1:]
    with open(os.path.join(HERE, "runs.json"), encoding="utf-8") as file:
        told = json.load(file)
    os.makedirs(out, exist_ok=True)
    settings = {"kernel": os.path.join(out, "kernel.json")}
    with open(settings["kernel"], "w", encoding="utf-8") as file:
        json.dump(kernel(vmlinux, modules), file)
    # Tools that are told a process look for it; this one ends with its standard input.
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        settings["pid"] = str(process.pid)
        python = [tool for tool in tools() if tool not in told["without"]]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            jobs = [pool.submit(runs_of, tool, told, settings) for tool in python]
            found = [job.result() for job in jobs]
        process.stdin.close()
    captures = [capture for kept, _ in found for capture in kept]
    failed = [failure for _, failures in found for failure in failures]
    for old in glob.glob(f"{out}/[0-9]*.json"):
        os.remove(old)
    for number, capture in enumerate(captures):
        capture["arguments"] = ["PID" if word == settings["pid"] else word for word in capture["arguments"]]
        text = re.sub(rf"\b{settings['pid']}\b", PID, json.dumps(capture, indent=1))
        capture = json.loads(text)
        with open(f"{out}/{number:03}.json", "w", encoding="utf-8") as file:
            file.write(text)
        with open(f"{out}/{number:03}.c", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(capture["text"])
    with open(f"{out}/index.json", "w", encoding="utf-8") as file:
        json.dump({"captures": len(captures), "tools": len(python), "nothing": failed}, file, indent=1)
    print(f"{len(captures)} captures of {len(python)} tools; {len(failed)} runs gave no text")


def program(tool):
    path = os.path.join(TOOLS, tool)
    return path if os.path.exists(path) else path + SUFFIX


def tools():
    """The Python programs of the package; the others call them."""
    files = subprocess.run(["dpkg", "-L", "bpfcc-tools"], check=True, capture_output=True, text=True).stdout.split()
    for path in sorted(files):
        if os.path.dirname(path) == TOOLS and os.path.isfile(path):
            with open(path, "rb") as file:
                if b"python" in file.readline():
                    yield os.path.basename(path).removesuffix(SUFFIX)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main()
