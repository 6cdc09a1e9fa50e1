# SPDX-License-Identifier: Apache-2.0
"""How cost grows: with files, with workers, with the size of one file."""

import json
import os
import shutil
import statistics
import subprocess

import measure

FILES = (10000, 100000, 1000000)
GIB = (1, 4, 16)


def _small_files(root, count):
    for d in range(count // 1000):
        into = os.path.join(root, "d%04d" % d)
        os.makedirs(into)
        for i in range(1000):
            with open(os.path.join(into, "f%03d" % i), "wb") as f:
                f.write(b"%d %d\n" % (d, i) * 20)


def _told(tools, tree, image, *flags):
    out = subprocess.run([tools.mkfs, "--json", "--no-sync", *flags, image,
                          tree], check=True, capture_output=True).stdout
    return json.loads(out)


def by_files(tools, scratch):
    """CPU and memory for an inode, from ten thousand to a million."""
    lines = ["| files | wall s | CPU us a file | peak bytes a file |",
             "|---|---|---|---|"]
    for count in FILES:
        tree = os.path.join(scratch, "files")
        _small_files(tree, count)
        got = measure.once(tools, [tools.mkfs, "--quiet", "--no-sync", "-zlz4",
                                   os.path.join(scratch, "image"), tree])
        lines.append("| %d | %.2f | %.1f | %.0f |" % (
            count, got["wall"], got["cpu"] * 1e6 / count, got["rss"] / count))
        shutil.rmtree(tree)
    return lines


def by_size(tools, scratch):
    """Peak memory for one file of 1 to 16 GiB (holes: no time to write)."""
    lines = ["| GiB in one file | wall s | peak MiB |", "|---|---|---|"]
    for gib in GIB:
        tree = os.path.join(scratch, "big")
        os.makedirs(tree)
        with open(os.path.join(tree, "f"), "wb") as f:
            f.truncate(gib << 30)
            for i in range(0, gib << 10, 16):
                f.seek(i << 20)
                f.write(os.urandom(4096))
        got = measure.once(tools, [tools.mkfs, "--quiet", "--no-sync", "-zlz4",
                                   os.path.join(scratch, "image"), tree])
        lines.append("| %d | %.2f | %.0f |" % (gib, got["wall"],
                                               got["rss"] / 2 ** 20))
        shutil.rmtree(tree)
    return lines


def by_workers(tools, tree, image):
    """Amdahl's bound: CPU time of the one thread that orders, of all.

    That thread works beside the workers, but not always: the truth lies
    between no overlap (Amdahl) and full overlap. Counted, as no machine here
    has 64 cores; waiting for memory and disk is not in it.
    """
    runs = []
    for _ in range(5):
        cpu = _told(tools, tree, image, "-zlz4", "--workers=2")["cpu_seconds"]
        runs.append((cpu["ordering_thread"], cpu["all"]))
    serial, total = (statistics.median(r[i] for r in runs) for i in (0, 1))
    lines = ["With -zlz4 on node_modules the serial share is %.1f %% "
             "(%.3f of %.3f CPU seconds)." % (
                 100 * serial / total, serial, total), "",
             "| cores | speed-up at most, without overlap | with |",
             "|---|---|---|"]
    for n in (1, 2, 4, 8, 16, 32, 64):
        lines.append("| %d | %.1f | %.1f |" % (
            n, total / (serial + (total - serial) / n),
            min(n, total / serial)))
    return lines


def all_rows(tools, scratch):
    """Lines of Markdown."""
    from lib import corpora

    image = os.path.join(scratch, "image")
    return ["", *by_files(tools, scratch), "", *by_size(tools, scratch), "",
            *by_workers(tools, corpora.get("node"), image)]
