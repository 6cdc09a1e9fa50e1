#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""./dev bench: ours against erofs-utils, in alternating pairs.

Each row runs at least 7 pairs (ours, peer) in one go and tells the median of
the ratios with its interval; a row whose interval includes 1 is "equal".
Wall clocks are of a machine that does nothing else: how much other work there
was before each row is told, and a row waits while it is above --busy.
"""

import argparse
import importlib
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "tests")]
os.environ.setdefault("EK_CORPORA", "full")

import growth  # noqa: E402
import measure  # noqa: E402
import report  # noqa: E402
import rows  # noqa: E402

# Each has ROWS; in this order they are measured and told.
ROWS_OF = ("rows", "archives", "rows_codecs")
# Each may have section(tools, scratch, into): measures, writes its plots to
# the directory into and returns lines of Markdown.
SECTIONS_OF = ("plots",)


def modules(names):
    return [importlib.import_module(n) for n in names]


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default="build/release",
                   help="directory of our programs")
    p.add_argument("--peer", required=True,
                   help="build tree of erofs-utils: mkfs/mkfs.erofs, "
                        "fsck/fsck.erofs")
    p.add_argument("--pairs", type=int, default=7)
    p.add_argument("--rows", default="", help="names of rows, by commas")
    p.add_argument("--scratch", default="/var/tmp/erofskit-bench")
    p.add_argument("--busy", type=float, default=0.1,
                   help="before a row, wait until other work takes no more "
                        "CPUs than this")
    p.add_argument("--realtime", action="store_true",
                   help="give what is measured real-time priority, as other "
                        "work cannot be stopped; then --busy does not count")
    p.add_argument("--out", default="docs/performance.md",
                   help='"-": standard output, no plots')
    p.add_argument("--plots", action="store_true",
                   help="also make the plots when --rows chooses rows")
    p.add_argument("--growth", action="store_true",
                   help="measure how cost grows instead: a page of its own, "
                        "15 minutes and 30 GiB of the scratch directory")
    args = p.parse_args()
    if args.pairs < 7:
        p.error("fewer than 7 pairs prove nothing")
    return args


def compare(args, tools, results):
    """Measure the rows that are wanted; results grows as they are."""
    wanted = args.rows.split(",") if args.rows else None
    for row in (r for m in modules(ROWS_OF) for r in m.ROWS):
        if wanted and row.name not in wanted:
            continue
        others = measure.wait_for_quiet(
            os.cpu_count() if args.realtime else args.busy)
        results.append(measure.row(row, tools, args.scratch, args.pairs))
        results[-1]["others"] = others
        print(report.line(results[-1]), flush=True)


def sections(args, tools):
    """Lines of what is no comparison in pairs."""
    if args.rows and not args.plots:
        return []
    into = args.scratch if args.out == "-" else os.path.dirname(args.out)
    return [line for m in modules(SECTIONS_OF)
            for line in m.section(tools, args.scratch, into or ".")]


def grow(args, tools):
    """How cost grows: a page beside that of the rows."""
    lines = []
    for line in growth.all_rows(tools, args.scratch):
        print(line, flush=True)
        lines.append(line)
    if args.out != "-":
        report.write_growth(args.out, lines, tools)


def rows_and_plots(args, tools):
    """The page of the rows."""
    results, more = [], []
    try:
        compare(args, tools, results)
        more = sections(args, tools)
    except KeyboardInterrupt:
        print("bench: interrupted; the page has what was measured",
              file=sys.stderr)
    if args.out == "-":
        print(report.table(results))
        print(report.figures(results))
        print("\n".join(more))
    else:
        report.write(args.out, results, more, tools)


def main():
    args = options()
    tools = rows.Tools(os.path.abspath(args.build), os.path.abspath(args.peer))
    if args.realtime:
        tools.before = ["chrt", "--rr", "5"]
    os.makedirs(args.scratch, exist_ok=True)
    try:
        tools.launch = measure.build_launcher(args.scratch)
        if args.growth:
            grow(args, tools)
        else:
            rows_and_plots(args, tools)
    finally:
        shutil.rmtree(args.scratch, ignore_errors=True)
        shutil.rmtree(rows.TMPFS, ignore_errors=True)


if __name__ == "__main__":
    main()
