#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The sets that --profile was chosen from, measured over the corpora."""

import argparse
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "tests")]
os.environ.setdefault("EK_CORPORA", "full")

import measure  # noqa: E402
import rows  # noqa: E402
import rows_codecs  # noqa: E402
from points import point  # noqa: E402

TAKE = 16 * rows_codecs.MIB
TAIL = "-Eztailpacking"
# By profile; the first is what --profile is.
CANDIDATES = {
    "speed": [
        ["-zlz4", "-C65536"],
        ["-zlz4", "-C4096"],
        ["-zlz4", "-C16384"],
        ["-zlz4", "-C65536", TAIL],
        ["-zzstd,1", "-C65536"],
    ],
    "balanced": [
        ["-zlz4hc,9", "-C65536", TAIL],
        ["-zlz4hc,9", "-C65536"],
        ["-zlz4hc,12", "-C65536", TAIL],
        ["-zzstd,3", "-C65536", TAIL],
        ["-zzstd,6", "-C131072", TAIL],
        ["-zlibdeflate,6", "-C65536", TAIL],
    ],
    "small": [
        ["-zlzma,6", "-C1048576", TAIL],
        ["-zlzma,6", "-C262144", TAIL],
        ["-zlzma,6", "-C1048576"],
        ["-zzstd,15", "-C1048576", TAIL],
        ["-zzstd,19", "-C1048576", TAIL],
    ],
}


def _row(tools, scratch, flags):
    """Sums of size and CPU, and bytes over time of reading, of all corpora."""
    image = os.path.join(scratch, "image")
    size = cpu = slow = 0.0
    for corpus in rows_codecs.CORPORA:
        tree = rows_codecs.piece(corpus, scratch, TAKE)
        got = point(tools, [tools.mkfs, "--quiet", "--no-sync", "--workers=2",
                            *flags, image, tree], image, "erofs", scratch)
        size += got["size"]
        cpu += got["cpu"]
        # Each corpus counts the same, whatever its files are.
        slow += 1 / got["read"] if got["read"] else 0
    count = len(rows_codecs.CORPORA)
    return size, cpu, count / slow if slow else 0


def section(tools, scratch):
    """Lines of Markdown."""
    lines = ["## Profiles", "",
             "Sums over %d MiB of each of %s; reading as above, the harmonic "
             "mean." % (TAKE >> 20, ", ".join(rows_codecs.CORPORA)),
             "The first of each is the profile: docs/codecs.md says why.", "",
             "| profile | options | images MB | CPU s | read MB/s |",
             "|---|---|---|---|---|"]
    for name, sets in CANDIDATES.items():
        for i, flags in enumerate(sets):
            size, cpu, read = _row(tools, scratch, flags)
            lines.append("| %s | %s | %.2f | %.2f | %.0f |" % (
                name if i == 0 else "", " ".join(flags), size, cpu, read))
    return lines


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default="build/release")
    p.add_argument("--peer", required=True)
    p.add_argument("--scratch", default="/var/tmp/erofskit-profiles")
    args = p.parse_args()
    tools = rows.Tools(os.path.abspath(args.build), os.path.abspath(args.peer))
    os.makedirs(args.scratch, exist_ok=True)
    try:
        tools.launch = measure.build_launcher(args.scratch)
        print("\n".join(section(tools, args.scratch)))
    finally:
        shutil.rmtree(args.scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
