# SPDX-License-Identifier: Apache-2.0
"""What the checks have in common: the files of the tree, and reporting."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CODE = ("include", "lib", "cli", "mkfs", "dump", "fsck", "tarfs", "fuse",
        "cachefilesd", "tests", "bench", "scripts")
SKIP = {"__pycache__", ".git", "build", "build-aux", "node_modules",
        "seeds", ".deps", ".libs"}


def files(*ends, dirs=CODE):
    """Paths, relative to the root, of files whose name ends so."""
    for top in dirs:
        for at, subs, names in os.walk(os.path.join(ROOT, top)):
            subs[:] = sorted(s for s in subs if s not in SKIP)
            for name in sorted(names):
                if name.endswith(ends):
                    yield os.path.relpath(os.path.join(at, name), ROOT)


def scripts():
    """Shell and Python files, by name or by their first line."""
    found = set(files(".py", ".sh"))
    for top in ("scripts", "bench", "tests"):
        for path in files("", dirs=(top,)):
            if "." not in os.path.basename(path) and \
                    read(path, errors="replace").startswith("#!"):
                found.add(path)
    found.update(p for p in ("dev", ".ci/run")
                 if os.path.exists(os.path.join(ROOT, p)))
    return sorted(found)


def read(path, errors="strict"):
    with open(os.path.join(ROOT, path), encoding="utf-8",
              errors=errors) as f:
        return f.read()


def exists(path):
    return os.path.exists(os.path.join(ROOT, path))


def finish(name, problems, what):
    """Print each problem; exit 1 when there is one."""
    for p in problems:
        print(f"{name}: {p}")
    if problems:
        print(f"{name}: {len(problems)} problem(s)")
        sys.exit(1)
    print(f"{name}: {what}: clean")
    sys.exit(0)


def strip_c(text):
    """C without comments, strings and character constants; same lines."""
    out, i, n = [], 0, len(text)
    while i < n:
        c = text[i]
        if text.startswith("/*", i):
            end = text.find("*/", i + 2)
            end = n if end < 0 else end + 2
            out.append("\n" * text.count("\n", i, end))
            i = end
        elif text.startswith("//", i):
            end = text.find("\n", i)
            i = n if end < 0 else end
        elif c in "\"'":
            j = i + 1
            while j < n and text[j] != c and text[j] != "\n":
                j += 2 if text[j] == "\\" else 1
            out.append(c + c)
            i = j + 1
        else:
            out.append(c)
            i += 1
    return "".join(out)
