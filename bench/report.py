# SPDX-License-Identifier: Apache-2.0
"""The table and the plots of docs/performance.md."""

import os
import platform
import statistics
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HEAD = ("| work | wall | CPU | peak memory | size | cores used | "
        "system calls | target |\n|---|---|---|---|---|---|---|---|\n")


def _ratio(triple):
    if not triple:
        return "-"
    middle, low, high = triple
    words = "%.2f (%.2f to %.2f)" % (middle, low, high)
    return words + (" equal" if low <= 1 <= high else "")


def cores(runs, who):
    """CPUs that all runs of one maker used on average."""
    return (sum(r["cpu"] for r in runs[who])
            / sum(r["wall"] for r in runs[who]))


def _median(key):
    return lambda result: result[key][0] if result[key] else None


# What can be wanted of a row: words, the value, whether more is better.
LIMITS = {
    "wall": ("wall", _median("wall"), False),
    "cpu": ("CPU", _median("cpu"), False),
    "size": ("size", _median("size"), False),
    "rss": ("memory", _median("rss"), False),
    "cores": ("cores", lambda r: cores(r["runs"], "ours"), True),
    "serial": ("serial", lambda r: r["counters"].get("serial"), False),
    "codec_passes": ("codec passes",
                     lambda r: r["counters"].get("codec_passes"), False),
}


def _target(result):
    words = []
    for key, limit in result["row"].limits.items():
        name, value, more = LIMITS[key]
        value = value(result)
        if value is None:
            continue
        met = value >= limit if more else value <= limit
        words.append("%s %s %.2f %s" % (
            name, ">=" if more else "<=", limit,
            "met" if met else "**missed**: %.5g" % value))
    return "; ".join(words) or "-"


def line(result):
    """One row of the table."""
    calls = " / ".join("-" if c is None else "%d" % c
                       for c in result["calls"])
    size, runs = result["size"], result["runs"]
    return "| %s | %s | %s | %s | %s | %.2f / %.2f | %s | %s |" % (
        result["row"].words, _ratio(result["wall"]), _ratio(result["cpu"]),
        _ratio(result["rss"]), "%.4f" % size[0] if size else "-",
        cores(runs, "ours"), cores(runs, "peer"), calls, _target(result))


def table(results):
    """All rows."""
    return HEAD + "\n".join(line(r) for r in results) + "\n"


FIGURES = ("| work | wall s | CPU s | peak MiB | image MiB | codec read MiB "
           "| serial | other work, CPUs |\n|---|---|---|---|---|---|---|---|\n")


def _pair(result, key, words, unit=1):
    return " / ".join(words % (statistics.median(
        r[key] for r in result["runs"][who]) / unit)
                      for who in ("ours", "peer"))


def figures(results):
    """What the ratios are made of."""
    lines = []
    for r in results:
        codec = r["counters"].get("codec_bytes_in")
        serial = r["counters"].get("serial")
        lines.append("| %s | %s | %s | %s | %s | %s | %s | %.2f |\n" % (
            r["row"].words, _pair(r, "wall", "%.3f"), _pair(r, "cpu", "%.3f"),
            _pair(r, "rss", "%.1f", 2 ** 20),
            _pair(r, "size", "%.2f", 2 ** 20) if r["size"] else "-",
            "%.1f" % (codec / 2 ** 20) if codec else "-",
            "%.1f %%" % (100 * serial) if serial is not None else "-",
            r["others"]))
    return FIGURES + "".join(lines)


def _plot(path, results):
    data = "\n".join('"%s" %.4f %.4f %.4f' % (
        r["row"].name, *r["wall"]) for r in results)
    script = """set terminal svg size %d,480 font "sans,12"
set output "%s"
set title "wall time, ours / erofs-utils (median and interval)"
set yrange [0:*]
set xtics rotate by -50
set grid y
set style fill solid 0.4
set boxwidth 0.6
$d << EOD
%s
EOD
plot 1 notitle lc "gray40", $d using 0:2:3:4:xtic(1) with boxerrorbars notitle
""" % (max(900, 24 * len(results)), path, data)
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def _about(tools):
    """What was measured, where and when."""
    ours, peer = tools.versions()
    return (("DATE", time.strftime("%Y-%m-%d", time.gmtime())),
            ("MACHINE", "%s, Linux %s, %d cores" % (
                platform.machine(), platform.release(), os.cpu_count())),
            ("OURS", "; ".join(ours)), ("PEER", peer[0]))


def _fill(path, source, values):
    """Write path from the template source."""
    with open(os.path.join(HERE, source), encoding="utf-8") as f:
        text = f.read()
    for key, value in values:
        text = text.replace("@%s@" % key, value)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def write(path, results, more, tools):
    """docs/performance.md from bench/performance.md.in, and its plot."""
    plot = os.path.join(os.path.dirname(path) or ".", "performance.svg")
    _plot(plot, results)
    _fill(path, "performance.md.in", (
        *_about(tools), ("TABLE", table(results)),
        ("FIGURES", figures(results)), ("MORE", "\n".join(more))))


def write_growth(path, lines, tools):
    """performance-growth.md beside path, from bench/growth.md.in."""
    _fill(os.path.join(os.path.dirname(path) or ".", "performance-growth.md"),
          "growth.md.in", (*_about(tools), ("GROWTH", "\n".join(lines))))
