# SPDX-License-Identifier: Apache-2.0
"""Run pairs and say what can be believed of them."""

import os
import re
import statistics
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
WAIT_FOR_QUIET = 300
LOOK = 2.0


def _busy_ticks():
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, _, _, *rest = map(int, f.readline().split()[1:])
    return user + nice + system + sum(rest[:3])


def busy():
    """CPUs' worth of work of the machine, over two seconds.

    Not the load average: it would be that of the row before.
    """
    before = _busy_ticks()
    time.sleep(LOOK)
    return (_busy_ticks() - before) / os.sysconf("SC_CLK_TCK") / LOOK


def wait_for_quiet(most):
    """Until no more than most CPUs are busy, five minutes at the most.

    Returns how many are, to be told with the row.
    """
    end = time.monotonic() + WAIT_FOR_QUIET
    while True:
        now = busy()
        if now <= most or time.monotonic() > end:
            return now


def build_launcher(scratch):
    """Make bench/launch.c; the path of it."""
    path = os.path.join(scratch, "launch")
    subprocess.run(["cc", "-O2", "-static", "-o", path,
                    os.path.join(HERE, "launch.c")], check=True)
    return path


def once(tools, argv):
    """{wall, cpu, rss} of one run: seconds, seconds, bytes."""
    told = subprocess.run([*tools.before, tools.launch, *argv], check=True,
                          stdout=subprocess.PIPE).stdout.split()
    wall, cpu, kib, status = map(int, told)
    if status:
        raise SystemExit("bench: %s: status %#x" % (" ".join(argv), status))
    return {"wall": wall / 1e9, "cpu": cpu / 1e6, "rss": kib * 1024}


def interval(ratios):
    """Median of ratios and an interval of it at about 98 %.

    Order statistics: with n values the k-th from either end bound the median
    with a chance that needs no assumption about their distribution.
    """
    values = sorted(ratios)
    n, k, beyond, term = len(values), 0, 0.0, 0.5 ** len(values)
    while k < n // 2:
        beyond += 2 * term
        if beyond > 0.02:
            break
        term = term * (n - k) / (k + 1)
        k += 1
    k = max(k - 1, 0)
    return statistics.median(values), values[k], values[n - 1 - k]


def system_calls(argv):
    """How many system calls one run makes, by strace; None without it."""
    try:
        out = subprocess.run(["strace", "-f", "-c", "-o", "/dev/stderr", *argv],
                             stdin=subprocess.DEVNULL, check=True, text=True,
                             stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE).stderr
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r"^100[.,]00\s+\S+\s+(?:\S+\s+)?(\d+)\s", out, re.M)
    return int(found.group(1)) if found else None


def row(what, tools, scratch, pairs):
    """All that is told of one row."""
    what.prepare(tools, scratch)
    ours, peer, our_out, peer_out = what.commands(tools, scratch)
    runs = {"ours": [], "peer": []}
    for turn in range(pairs + 1):
        # The first of each warms the page cache and does not count. The
        # order within a pair changes, so that neither always follows.
        order = [("ours", ours), ("peer", peer)]
        for who, argv in order if turn % 2 else order[::-1]:
            what.before(scratch)
            got = once(tools, argv)
            out = our_out if who == "ours" else peer_out
            got["size"] = os.path.getsize(out) if out else 0
            if turn:
                runs[who].append(got)
    result = {"row": what, "runs": runs}
    for key in ("wall", "cpu", "rss", "size"):
        ratios = [a[key] / b[key] for a, b in zip(runs["ours"], runs["peer"])
                  if b[key]]
        result[key] = interval(ratios) if ratios else None
    result["calls"] = []
    for argv in (ours, peer):
        what.before(scratch)
        result["calls"].append(system_calls(argv))
    what.before(scratch)
    result["counters"] = what.counters(tools, scratch)
    return result
