#!/usr/bin/python3
"""Writes what compare.py found as docs/bcc-compatibility.md.

usage: report.py RESULTS REASONS > FILE

REASONS (reasons.json) says why a text fails where what was printed does not say it well.
"""

import collections
import json
import sys

INTRODUCTION = """# BCC's tools with dbcc

Every C text that the tools of Debian's `bpfcc-tools` {version} hand to BCC, captured by `tests/bcc/capture.py` for their
usual arguments and for each option that changes the text: {total} texts of {tools} tools. Each is compiled and loaded by
BCC (with the headers of Debian's kernel 6.1) and by dbcc (`dbcc check --load`, without headers), on the same machine
(kernel {kernel}). What that kernel cannot load or does not have (fentry programs are refused on it) is tried with dbcc
in a virtual machine with Debian's kernel 6.1 too. `ci/test` does all this again and fails where a text that BCC compiles
or loads is not compiled or loaded by dbcc. This file is written by `ci/compatibility`.

| | texts | compile | load whole |
|---|---:|---:|---:|
| BCC | {total} | {bcc_compiled} | {bcc_loaded} |
| dbcc | {total} | {dbcc_compiled} | {dbcc_loaded} |

"Load whole": the kernel takes every program that the tool attaches. Texts with nothing to load are not counted as loaded.
"""


def reason(result, who, reasons):
    """Why a text is not compiled or not loaded whole."""
    given = reasons.get(f"{who} {result['command']}") or reasons.get(f"{who} {result['tool']}")
    if given:
        return given
    said = result[who]["said"].replace("\n", " ").replace("|", "\\|").replace("/virtual/main.c:", "line ")
    if not said and result[who]["loaded"] is None:
        return "nothing to load: the tool attaches it in a way that cannot be recorded"
    return said[:240] + ("…" if len(said) > 240 else "")


def state(answer):
    if not answer["compiled"]:
        return "does not compile"
    return {True: "loads", False: "does not load", None: "compiles"}[answer["loaded"]]


def best(result):
    """dbcc's answer: that of the guest, where it was asked and did better."""
    guest = result.get("guest")
    if guest and (guest["compiled"], guest["loaded"] is True) > (result["dbcc"]["compiled"], result["dbcc"]["loaded"] is True):
        return guest
    return result["dbcc"]


def count(answers):
    answers = list(answers)
    return sum(a["compiled"] for a in answers), sum(a["loaded"] is True for a in answers)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        told = json.load(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        reasons = json.load(file)
    results = told["results"]
    by_tool = collections.defaultdict(list)
    for result in results:
        by_tool[result["tool"]].append(result)
    bcc, dbcc = count(r["bcc"] for r in results), count(best(r) for r in results)
    print(INTRODUCTION.format(
        version=told["version"], kernel=told["kernel"], total=len(results), tools=len(by_tool), bcc_compiled=bcc[0],
        bcc_loaded=bcc[1], dbcc_compiled=dbcc[0], dbcc_loaded=dbcc[1]))
    print("## By tool\n")
    print("| tool | texts | BCC compiles | BCC loads | dbcc compiles | dbcc loads | of these in the 6.1 guest |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for tool, runs in sorted(by_tool.items()):
        b, d = count(r["bcc"] for r in runs), count(best(r) for r in runs)
        guest = sum(best(r) is not r["dbcc"] for r in runs)
        print(f"| {tool} | {len(runs)} | {b[0]} | {b[1]} | {d[0]} | {d[1]} | {guest or ''} |")
    for who, name in (("dbcc", "dbcc"), ("bcc", "BCC")):
        print(f"\n## What {name} does not load whole, and why\n")
        print("| run | result | reason |")
        print("|---|---|---|")
        for result in results:
            answer = best(result) if who == "dbcc" else result["bcc"]
            if answer["loaded"] is not True:
                shown = {**result, who: answer}
                without = f" (without {result['without']})" if result["without"] else ""
                command = result["command"].replace("|", "\\|")
                print(f"| `{command}`{without} | {state(answer)} | {reason(shown, who, reasons)} |")
    print("\n## Runs that give no text\n")
    print("| run | reason |")
    print("|---|---|")
    for failure in told["nothing"]:
        run = " ".join([failure["tool"], *failure["arguments"]]).replace("|", "\\|")
        print(f"| `{run}` | {reasons.get('none ' + failure['tool'], ' '.join(failure['said']))} |")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main()
