#!/usr/bin/python3
"""Prints the table of times and memory that compare.py --seconds measured, for docs/benchmarks.md.

usage: speed.py RESULTS
"""

import json
import sys


def quantile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        results = json.load(file)
    # A text that one of the two does not compile says nothing about how fast it is compiled.
    both = [result for result in results if result["bcc"]["compiled"] and result["dbcc"]["compiled"]]
    print(f"{len(both)} texts, those of {len(results)} that both compile.\n")
    print("| | dbcc | BCC | dbcc of BCC |")
    print("|---|---:|---:|---:|")
    for what, key, scale, unit in (("time", "seconds", 1e3, "ms"), ("peak memory", "memory", 2**-20, "MB")):
        for name, part in (("median", 0.5), ("90th percentile", 0.9), ("most", 1)):
            dbcc, bcc = (quantile([result[who][key] for result in both], part) * scale for who in ("dbcc", "bcc"))
            print(f"| {what}, {name} | {dbcc:.0f} {unit} | {bcc:.0f} {unit} | {dbcc / bcc:.0%} |")
    ratios = sorted(result["bcc"]["seconds"] / result["dbcc"]["seconds"] for result in both)
    print(f"\nText by text, dbcc is {quantile(ratios, 0.5):.1f} times as fast in the median, {ratios[0]:.1f} at the least.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
