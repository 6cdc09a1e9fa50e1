# SPDX-License-Identifier: Apache-2.0
"""How cost grows: with files, with workers, with the size of one file.

Each figure is of one run, or of the median of a few where they are short:
what is looked for is the shape, not a percent.
"""

import os
import shutil
import statistics
import subprocess

import measure
from lib import corpora
from rows import TMPFS, told

FILES = (10000, 100000, 1000000)
GIB = (1, 4, 16)
WORKERS = (1, 2, 4, 8, 16, 32, 64)
MANY = 1000  # files in a directory
FILE_COST = 8 << 10  # bytes of memory for one, and its part of the image
PIECE = 64 << 20


def _mkfs(tools, which, image, tree):
    quiet = ["--quiet", "-zlz4", "--workers=2"]
    if which == "ours":
        return [tools.mkfs, quiet[0], "--no-sync", *quiet[1:], image, tree]
    return [tools.peer_mkfs, *quiet, image, tree]


def _small_files(root, first, end):
    """Files first to end of at most 2 KiB; no two are the same."""
    for d in range(first // MANY, end // MANY):
        into = os.path.join(root, "d%04d" % d)
        os.makedirs(into)
        fd = os.open(into, os.O_RDONLY)
        for i in range(MANY):
            out = os.open("f%03d" % i, os.O_WRONLY | os.O_CREAT, 0o644,
                          dir_fd=fd)
            os.write(out, b"%d %d\n" % (d, i) * (20 + i % 160))
            os.close(out)
        os.close(fd)


def _both(tools, image, tree):
    """One run of each, after one that fills the cache of the kernel."""
    measure.once(tools, _mkfs(tools, "ours", image, tree))
    got = {}
    for who in ("peer", "ours"):
        os.unlink(image)
        got[who] = measure.once(tools, _mkfs(tools, who, image, tree))
    return got["ours"], got["peer"]


def by_files(tools, scratch):
    """CPU and memory for an inode, from ten thousand to a million."""
    lines = ["| files | wall s | CPU us a file | peak bytes a file | serial |",
             "|---|---|---|---|---|"]
    # A million files on a disk take many minutes to be taken away.
    tree, image = (os.path.join(TMPFS, n) for n in ("files", "image"))
    before = 0
    for count in FILES:
        if shutil.disk_usage("/dev/shm").free < count * FILE_COST:
            lines.append("| %d | no room in memory | | | |" % count)
            break
        _small_files(tree, before, count)
        before = count
        ours, peer = _both(tools, image, tree)
        serial = told(_mkfs(tools, "ours", image, tree))["serial"]
        lines.append("| %d | %.2f / %.2f | %.1f / %.1f | %.0f / %.0f | "
                     "%.1f %% |" % (
                         count, ours["wall"], peer["wall"],
                         ours["cpu"] * 1e6 / count, peer["cpu"] * 1e6 / count,
                         ours["rss"] / count, peer["rss"] / count,
                         100 * serial))
    subprocess.run(["rm", "-rf", tree, image], check=True)
    return lines


def _fill(path, gib):
    """Let the file grow to gib GiB of what programs are made of."""
    source = os.path.join(corpora.get("binaries"), "usr/lib")
    data = b""
    for where, dirs, files in os.walk(source):
        dirs.sort()
        for name in sorted(files):
            full = os.path.join(where, name)
            if len(data) < PIECE and not os.path.islink(full):
                with open(full, "rb") as f:
                    data += f.read(PIECE - len(data))
    with open(path, "ab") as f:
        while f.tell() < gib << 30:
            # Not two of them are the same, whatever looks for that.
            f.write(b"%016d" % f.tell() + data[16:])


def by_size(tools, scratch):
    """Time and peak memory for one file of 1 to 16 GiB."""
    lines = ["| GiB in one file | wall s | CPU s a GiB | peak MiB | serial |",
             "|---|---|---|---|---|"]
    tree, image = (os.path.join(scratch, n) for n in ("big", "image"))
    os.makedirs(tree)
    before = 0
    for gib in GIB:
        if shutil.disk_usage(scratch).free < (gib - before + gib) * 2 ** 30:
            lines.append("| %d | no room on this disk | | | |" % gib)
            break
        _fill(os.path.join(tree, "f"), gib)
        before = gib
        got = measure.once(tools, _mkfs(tools, "ours", image, tree))
        serial = told(_mkfs(tools, "ours", image, tree))["serial"] \
            if gib == GIB[0] else None
        lines.append("| %d | %.1f | %.2f | %.0f | %s |" % (
            gib, got["wall"], got["cpu"] / gib, got["rss"] / 2 ** 20,
            "%.1f %%" % (100 * serial) if serial is not None else "-"))
    subprocess.run(["rm", "-rf", tree, image], check=True)
    return lines


def by_workers(tools, scratch):
    """Amdahl's bound: CPU time of the one thread that orders, of all.

    That thread works beside the workers, but not always: the truth lies
    between no overlap (Amdahl) and full overlap. Counted, as no machine here
    has 64 cores; waiting for memory and disk is not in it.
    """
    image = os.path.join(scratch, "image")
    lines = ["| work | serial | " + " | ".join(
        "%d cores" % n for n in WORKERS) + " |",
             "|---" * (2 + len(WORKERS)) + "|"]
    for corpus in ("node", "modules", "minbase", "binaries"):
        argv = _mkfs(tools, "ours", image, corpora.get(corpus))
        serial = statistics.median(told(argv)["serial"] for _ in range(5))
        lines.append("| -zlz4, %s | %.1f %% | %s |" % (
            corpus, 100 * serial, " | ".join(
                "%.1f to %.1f" % (1 / (serial + (1 - serial) / n),
                                  min(n, 1 / serial)) for n in WORKERS)))
    os.unlink(image)
    return lines


def all_rows(tools, scratch):
    """Lines of Markdown, as they are measured."""
    yield from (
        "With files of up to 2 KiB, %d in a directory, -zlz4, two workers, "
        "from and to tmpfs; ours / the peer's:" % MANY, "")
    yield from by_files(tools, scratch)
    yield from (
        "", "With the size of one file, -zlz4, two workers (a file that the "
        "memory does not hold comes from the disk):", "")
    yield from by_size(tools, scratch)
    yield from (
        "", "With cores, by counting: the share of CPU time of the one thread "
        "that orders all bounds the speed-up. The first figure holds when it "
        "never works beside the workers, the second when it always does. "
        "Workers append to the image one at a time; that is not in it, so both "
        "are upper bounds.", "")
    yield from by_workers(tools, scratch)
