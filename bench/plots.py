# SPDX-License-Identifier: Apache-2.0
"""Size against build time and read speed: ours, erofs-utils, squashfs."""

import os
import shutil
import subprocess

import profiles
import rows_codecs
from points import point

CORPUS, TAKE = "minbase", 32 * rows_codecs.MIB
CLUSTER = "-C65536"
EROFS = [
    ("lz4", ["-zlz4", CLUSTER]),
    ("lz4hc,9", ["-zlz4hc,9", CLUSTER]),
    ("zstd,3", ["-zzstd,3", CLUSTER]),
    ("zstd,3 48bit", ["-zzstd,3", CLUSTER, "-E48bit"]),
    ("zstd,15", ["-zzstd,15", CLUSTER]),
    ("libdeflate,9", ["-zlibdeflate,9", CLUSTER]),
    ("deflate,9", ["-zdeflate,9", CLUSTER]),
    ("lzma,6", ["-zlzma,6", CLUSTER]),
]
SQUASHFS = [
    ("lz4", ["-comp", "lz4"]),
    ("lz4 hc", ["-comp", "lz4", "-Xhc"]),
    ("zstd 3", ["-comp", "zstd", "-Xcompression-level", "3"]),
    ("zstd 15", ["-comp", "zstd", "-Xcompression-level", "15"]),
    ("gzip 9", ["-comp", "gzip"]),
    ("xz", ["-comp", "xz"]),
]
HEAD = ["| maker | how | image MB | build s | CPU s | read MB/s |",
        "|---|---|---|---|---|---|"]


def _points(tools, tree, scratch):
    """[(maker, how, figures)]"""
    image = os.path.join(scratch, "image")
    found = []
    for maker, tool, more in (("ours", tools.mkfs, ["--no-sync"]),
                              ("erofs-utils", tools.peer_mkfs, [])):
        for how, flags in EROFS:
            argv = [tool, "--quiet", "--workers=2", *more, *flags, image, tree]
            found.append((maker, how, point(tools, argv, image, "erofs",
                                            scratch)))
    squash = shutil.which("mksquashfs")
    for how, flags in SQUASHFS if squash else ():
        argv = [squash, tree, image, "-noappend", "-quiet", "-no-progress",
                "-processors", "2", *flags]
        found.append((("squashfs", how, point(tools, argv, image, "squashfs",
                                              scratch))))
    return found


def _plot(path, points, key, label):
    """One SVG: image size across, key upwards, a point style a maker."""
    makers = sorted({m for m, _, _ in points})
    data = ""
    for number, maker in enumerate(makers):
        data += "$d%d << EOD\n%s\nEOD\n" % (number, "\n".join(
            '%.3f %.4f "%s"' % (p["size"], p[key], how)
            for m, how, p in points if m == maker and p[key]))
    drawn = ", ".join(
        '$d%d with points pt %d ps 1.2 title "%s", '
        '$d%d using 1:2:3 with labels offset 0.6,0.6 left font ",9" notitle'
        % (n, 5 + 2 * n, maker, n) for n, maker in enumerate(makers))
    script = """set terminal svg size 900,480 font "sans,12"
set output "%s"
set xlabel "image, MB"
set ylabel "%s"
set logscale y
set grid
set key top right
set offsets graph 0.02, graph 0.14, 0, 0
%splot %s
""" % (path, label, data, drawn)
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def section(tools, scratch, into):
    """Measure; write the plots to the directory into; lines of Markdown."""
    tree = rows_codecs.piece(CORPUS, scratch, TAKE)
    points = _points(tools, tree, scratch)
    _plot(os.path.join(into, "size-build.svg"), points, "wall",
          "seconds to build, two workers")
    _plot(os.path.join(into, "size-read.svg"), points, "read",
          "MB/s read through a fresh mount")
    lines = ["## Size, build time, reading", "",
             "%d MiB of %s, clusters of 64 KiB (squashfs: its blocks of 128 "
             "KiB), two workers." % (TAKE >> 20, CORPUS),
             "Read through a fresh mount on a loop device, the image in the "
             "page cache: file", "system and codec, without the disk.", "",
             *HEAD]
    for maker, how, p in points:
        lines.append("| %s | %s | %.2f | %.2f | %.2f | %s |" % (
            maker, how, p["size"], p["wall"], p["cpu"],
            "%.0f" % p["read"] if p["read"] else "not mounted"))
    return [*lines, "", "![size against build time](size-build.svg)", "",
            "![size against read speed](size-read.svg)", "",
            *profiles.section(tools, scratch), ""]
