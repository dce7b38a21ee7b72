#!/usr/bin/python3
"""Captures the C text of one run of one of BCC's tools: see capture.py.

usage: capture_one.py VMLINUX KERNEL.json
       capture_one.py KERNEL.json OUT.json TOOL [ARGUMENT…]

The first form writes down what tools ask about a kernel, for the second. The second writes the only text that the tool hands over,
with its flags and attach calls.
"""

import json
import sys

import capture


def main():
    if len(sys.argv) == 3:
        vmlinux, out = sys.argv[1:]
        found = capture.kernel(vmlinux, "/nonexistent")
    else:
        kernel, out, tool, *arguments = sys.argv[1:]
        answer, said = capture.run(tool, arguments, {"kernel": kernel}, {})
        records = [record for record in answer["records"] if record["text"].strip()]
        if len(records) != 1:
            sys.exit(f"{tool} {arguments} handed over {len(records)} texts\n{said}")
        found = records[0]
    with open(out, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main()
