#!/usr/bin/python3
"""Captures the texts of BCC's tools, has BCC and dbcc compile and load them, and asks a guest about what this kernel refuses.

usage: corpus.py REPOSITORY WORK GUEST DBCC GUEST_DBCC

WORK/bcc/captures gets the captures, WORK/bcc/results.json what came out, for report.py and for the test that judges it.
GUEST is a folder of ci/vm/make-guest, with the kernel that tools are told about.
"""

import glob
import json
import os
import platform
import shlex
import subprocess
import sys

# Modules whose types and functions tools ask for, and which a guest does not load by itself.
MODULES = ["nfs"]
# More than a hundred texts in an emulated processor; an ordinary run takes a quarter of it.
GUEST_SECONDS = 1200


def is_worse(result):
    """Whether this kernel leaves something open that another one may answer."""
    return not result["dbcc"]["compiled"] or result["dbcc"]["loaded"] is False


def in_guest(repository, guest, root, captures, dbcc, numbers, share):
    """dbcc's answers in the guest, by number."""
    os.makedirs(share, exist_ok=True)
    compare = os.path.join(repository, "tests/bcc/compare.py")
    command = [sys.executable, compare, captures, dbcc, "/share/answers.json", "--dbcc-only", "--numbers", ",".join(numbers)]
    with open(os.path.join(share, "job.sh"), "w", encoding="utf-8") as file:
        for module in MODULES:
            file.write(f"modprobe -C /var/empty -d {shlex.quote(root)} {module}\n")
        file.write(f"export PYTHONDONTWRITEBYTECODE=1\nexec {shlex.join(command)}\n")
    subprocess.run([os.path.join(repository, "ci/vm/run"), guest, str(GUEST_SECONDS), share], check=True)
    with open(os.path.join(share, "answers.json"), encoding="utf-8") as file:
        return {answer["number"]: answer["dbcc"] for answer in json.load(file)}


def main():
    repository, work, guest, dbcc, guest_dbcc = sys.argv[1:]
    here = os.path.join(repository, "tests/bcc")
    folder = os.path.join(work, "bcc")
    captures, results_file = os.path.join(folder, "captures"), os.path.join(folder, "results.json")
    modules = sorted(glob.glob(os.path.join(work, "kernels/6.1/root/lib/modules/*")))
    if not modules:
        sys.exit(f"corpus.py: no modules of kernel 6.1 in {work}: run ci/setup")
    run = [sys.executable]
    subprocess.run([*run, os.path.join(here, "capture.py"), os.path.join(guest, "vmlinux"), modules[-1], captures], check=True)
    subprocess.run([*run, os.path.join(here, "compare.py"), captures, dbcc, results_file, "--cache", os.path.join(folder, "bcc.json")], check=True)
    with open(results_file, encoding="utf-8") as file:
        results = json.load(file)
    open_ones = [result["number"] for result in results if is_worse(result)]
    if open_ones:
        print(f"{len(open_ones)} texts are tried in the guest", flush=True)
        answers = in_guest(repository, guest, os.path.join(work, "kernels/6.1/root"), captures, guest_dbcc, open_ones, os.path.join(folder, "share"))
        for result in results:
            result["guest"] = answers.get(result["number"])
    with open(os.path.join(captures, "index.json"), encoding="utf-8") as file:
        nothing = json.load(file)["nothing"]
    version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "bpfcc-tools"], check=True, capture_output=True, text=True)
    kernel = ".".join(platform.release().split(".")[:2])
    with open(results_file, "w", encoding="utf-8") as file:
        json.dump({"version": version.stdout, "kernel": kernel, "results": results, "nothing": nothing}, file, indent=1)


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main()
