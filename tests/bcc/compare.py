#!/usr/bin/python3
"""Has dbcc and BCC compile and load the captures of capture.py, and writes what came out.

usage: compare.py CAPTURES DBCC OUT [--cache FILE] [--seconds] [--every N] [--numbers N,N…] [--dbcc-only]

OUT gets a JSON list, an entry a capture: what each of the two made of it, and why not. BCC's answers are kept in the cache
FILE, by all that they depend on. With --seconds both run in turn, nothing beside them and nothing from the cache, and
times and peaks of memory are measured: for dbcc over the whole command with all its children, for BCC over the
construction of its object alone (time), and over its process (memory). With --dbcc-only BCC is not asked: in a guest,
whose processor is emulated, it takes half a minute for a text.
"""

import argparse
import concurrent.futures
import glob
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# Far more than either needs on a busy machine; a hang is a failure.
SECONDS = 180


# What dbcc calls the program types that tools give by name; the targets need only be well formed to load.
LOADED = {
    "KPROBE": "kprobe:vfs_read", "TRACEPOINT": "tracepoint:sched:sched_switch", "XDP": "xdp:lo",
    "SOCKET_FILTER": "socket:lo", "SCHED_CLS": "tc:lo:ingress", "SCHED_ACT": "tc:lo:ingress",
    "SOCK_OPS": "sock_ops:/sys/fs/cgroup", "SK_MSG": "sk_msg:map", "SK_SKB": "sk_skb:map:verdict",
    "CGROUP_SKB": "cgroup_skb:/sys/fs/cgroup:ingress", "CGROUP_SOCK": "cgroup_sock:/sys/fs/cgroup:create",
    "RAW_TRACEPOINT": "raw_tracepoint:sched_switch", "PERF_EVENT": "perf_event:software:cpu-clock:99hz",
}


def in_namespace():
    """Runs this program again where BCC finds what it needs: tracefs, the running kernel's headers (Debian's, in their
    place), and the pinned maps that tools are told.

    The mounts are seen by it alone, and go with it.
    """
    headers = sorted(glob.glob("/usr/src/linux-headers-*-amd64"))
    if not headers:
        sys.exit("compare.py: no /usr/src/linux-headers-*-amd64: install linux-headers-amd64")
    common = headers[-1].replace("-amd64", "-common")
    release = f"/lib/modules/{platform.release()}"
    script = f"""set -e
      mount -t tmpfs none /lib/modules
      mkdir {release}
      ln -s {headers[-1]} {release}/build
      ln -s {common} {release}/source
      mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
      mountpoint -q /sys/kernel/debug/tracing || mount -t tracefs none /sys/kernel/debug/tracing
      mount -t bpf none /sys/fs/bpf
      bpftool map create /sys/fs/bpf/cgroups type hash key 8 value 8 entries 1024 name cgroupset
      bpftool map create /sys/fs/bpf/namespaces type hash key 8 value 4 entries 1024 name mount_ns_set
      exec "$@"
    """
    os.environ["DBCC_IN_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, *sys.argv])


def peak(process, stop):
    """The most memory that a process and all below it had at once, in bytes: proportional set sizes, summed."""
    most = 0
    while not stop.is_set():
        total, waiting = 0, [process]
        while waiting:
            pid = waiting.pop()
            try:
                with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                    total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                        waiting.extend(file.read().split())
            except OSError:
                continue
        most = max(most, total)
        stop.wait(0.004)
    return most * 1024


def run(command, measure):
    """Exit status, output, what it said, seconds, peak in bytes."""
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace") as child:
        stop, found = threading.Event(), []
        watcher = threading.Thread(target=lambda: found.append(peak(child.pid, stop)))
        if measure:
            watcher.start()
        try:
            out, said = child.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            out, said = child.communicate()
            said += f"\ndid not end within {SECONDS} s"
        seconds = time.monotonic() - start
        stop.set()
        if measure:
            watcher.join()
    return child.returncode, out, said, seconds, found[0] if found else 0


def attachments(capture):
    """What the tool's attach calls are on dbcc's command line. A function is named once: what it is is what counts."""
    words, known = [], set()

    def add(function, target):
        if function not in known:
            known.add(function)
            words.extend(["--attach", f"{target}={function}"])

    for probe in capture["usdt"]:
        provider = probe["provider"] or "provider"
        add(probe["function"], f"usdt:{probe['path'] or '/bin/true'}:{provider}:{probe['probe']}")
    for entry in capture["attach"]:
        kind, function = entry["kind"], entry["function"]
        if kind in ("kprobe", "kretprobe"):
            # A pattern stands for functions of one kind; one of them will do.
            add(function, f"{kind}:{entry.get('target') or 'vfs_read'}")
        elif kind in ("uprobe", "uretprobe"):
            path = entry["path"] if entry["path"].startswith("/") else "/bin/true"
            add(function, f"{kind}:{path}:{entry['target'] or 'main'}")
        elif kind in ("tracepoint", "raw_tracepoint"):
            add(function, f"{kind}:{entry['target'] or 'sched:sched_switch'}")
        elif kind == "perf_event":
            add(function, "perf_event:software:cpu-clock:99hz")
        elif kind == "load" and entry["type"] in LOADED:
            add(function, LOADED[entry["type"]])
    return words


def of_dbcc(dbcc, capture, measure):
    with tempfile.TemporaryDirectory(prefix="dbcc-corpus-") as folder:
        path = os.path.join(folder, f"{capture['tool']}.c")
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(capture["text"])
        defines = [flag for flag in capture["cflags"] if flag.startswith("-D")]
        command = [dbcc, "check", "--json", "--no-cache", *defines, *attachments(capture), path]
        seconds = memory = 0
        if measure:
            _, _, _, seconds, _ = run(command, False)
            _, _, _, _, memory = run(command, True)
        status, out, said, _, _ = run(command[:2] + ["--load"] + command[2:], False)
    answer = {"status": status, "compiled": False, "loaded": None, "said": said.strip()[-2000:], "programs": {}}
    for line in out.splitlines():
        record = json.loads(line)
        if record.get("kind") == "check":
            answer["compiled"], answer["loaded"] = record["compiled"], record["loaded"]
            answer["programs"] = {program["function"]: program["loaded"] for program in record["programs"]}
            errors = [message for message in record["messages"] if message["severity"] == "error"]
            said = "; ".join([message["message"] for message in errors] + record["failures"])
            # The file lies in a folder of this run's; what is said of it is not to change with each.
            answer["said"] = said.replace(f"{folder}/", "")[:2000]
    return {**answer, "seconds": seconds, "memory": memory}


def of_bcc(path, measure):
    command = [sys.executable, os.path.join(HERE, "peer.py"), path]
    seconds = memory = 0
    status, out, said, _, _ = run(command, False)
    try:
        answer = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        answer = {"version": "", "compiled": False, "seconds": 0.0, "programs": {}}
        said = f"ended with status {status}\n" + said
    if measure:
        _, _, _, _, memory = run(command, True)
        seconds = answer["seconds"]
    lines = [line for line in said.splitlines() if "error" in line or "ended with" in line or ": Failed" in line]
    programs = answer["programs"]
    loaded = all(programs.values()) if programs else None
    return {
        "version": answer["version"], "status": status, "compiled": answer["compiled"], "programs": programs,
        "loaded": loaded if answer["compiled"] else None, "said": "; ".join(lines)[:2000],
        "seconds": seconds, "memory": memory,
    }


def number(path):
    return os.path.basename(path)[:3]


def keep(path, content):
    """Writes a file so that it is whole at any time."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.replace(path + ".new", path)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("captures")
    parser.add_argument("dbcc")
    parser.add_argument("out")
    parser.add_argument("--cache")
    parser.add_argument("--seconds", action="store_true")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--numbers", default="")
    parser.add_argument("--dbcc-only", action="store_true")
    args = parser.parse_args()
    if not args.dbcc_only and "DBCC_IN_NAMESPACE" not in os.environ:
        in_namespace()
    paths = sorted(glob.glob(os.path.join(args.captures, "[0-9]*.json")))[::args.every]
    if args.numbers:
        paths = [path for path in paths if number(path) in args.numbers.split(",")]
    packages = ["python3-bpfcc", "libbpfcc", "bpfcc-tools", "linux-headers-amd64"]
    versions = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages], check=True,
                              capture_output=True, text=True).stdout + platform.release()
    with open(os.path.join(HERE, "peer.py"), encoding="utf-8") as file:
        versions += file.read()
    cache = {}
    if args.seconds:
        args.cache = None
    if args.cache and os.path.exists(args.cache):
        with open(args.cache, encoding="utf-8") as file:
            cache = json.load(file)
    lock = threading.Lock()

    def both(path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        capture = json.loads(text)
        dbcc = of_dbcc(args.dbcc, capture, args.seconds)
        key = hashlib.sha256((versions + text).encode("utf-8", "surrogateescape")).hexdigest()
        bcc = None if args.dbcc_only else cache.get(key) or of_bcc(path, args.seconds)
        with lock:
            if args.cache and bcc and key not in cache:
                cache[key] = bcc
                keep(args.cache, cache)
        command = " ".join([capture["tool"], *capture["arguments"]])
        lacks = capture["environment"].get("DBCC_CAPTURE_WITHOUT")
        return {"number": number(path), "tool": capture["tool"], "command": command, "without": lacks,
                "dbcc": dbcc, "bcc": bcc}

    with concurrent.futures.ThreadPoolExecutor(1 if args.seconds else os.cpu_count()) as pool:
        results = list(pool.map(both, paths))
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    for name in ("dbcc",) if args.dbcc_only else ("bcc", "dbcc"):
        compiled = sum(result[name]["compiled"] for result in results)
        loaded = sum(result[name]["loaded"] is True for result in results)
        print(f"{name}: {len(results)} texts, {compiled} compile, {loaded} load whole")


if __name__ == "__main__":
    main()
