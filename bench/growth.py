# SPDX-License-Identifier: Apache-2.0
"""How cost grows: with files, with workers, with the size of one file."""

import json
import os
import shutil
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
        got = measure.once([tools.mkfs, "--quiet", "--no-sync", "-zlz4",
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
        got = measure.once([tools.mkfs, "--quiet", "--no-sync", "-zlz4",
                            os.path.join(scratch, "image"), tree])
        lines.append("| %d | %.2f | %.0f |" % (gib, got["wall"],
                                               got["rss"] / 2 ** 20))
        shutil.rmtree(tree)
    return lines


def by_workers(tools, tree, image):
    """Amdahl's bound from the phases of a run with one worker.

    What stays with one thread is the metadata; walk and data are shared.
    """
    told = _told(tools, tree, image, "-zlz4", "--workers=1")
    phases = told["seconds"]
    serial = phases["metadata"] / sum(
        phases[k] for k in ("walk", "data", "metadata"))
    lines = ["serial share %.1f %%" % (serial * 100), "",
             "| workers | bound of the speed-up |", "|---|---|"]
    for n in (1, 2, 4, 8, 16, 32, 64):
        lines.append("| %d | %.1f |" % (n, 1 / (serial + (1 - serial) / n)))
    return lines


def all_rows(tools, scratch):
    """Lines of Markdown."""
    from lib import corpora

    image = os.path.join(scratch, "image")
    return ["", *by_files(tools, scratch), "", *by_size(tools, scratch), "",
            *by_workers(tools, corpora.get("node"), image)]
