# SPDX-License-Identifier: Apache-2.0
"""Archives by several programs, and single headers by hand."""

import io
import os
import shutil
import subprocess
import tarfile

from lib import oracle
from lib.content import noise, text

BLOCK = 512
END = bytes(2 * BLOCK)
TIME = 1600000000


def run(*argv, ok=(0,), **more):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True,
                          env={"PATH": os.environ["PATH"], "TZ": "UTC",
                               "LC_ALL": "C.UTF-8"}, **more)
    assert done.returncode in ok, done.stderr
    return done


def plain_tree(root):
    """What every format and every program can keep."""
    os.makedirs(os.path.join(root, "dir/below/deep"))
    files = {"empty": b"", "one": b"1", "half": noise(256),
             "block": noise(512), "more": noise(513), "page": text(4096),
             "dir/large": noise(300000), "dir/below/text": text(70001),
             "dir/" + "n" * 90: b"a name of ninety bytes"}
    for name, data in files.items():
        with open(os.path.join(root, name), "wb") as out:
            out.write(data)
    os.link(os.path.join(root, "dir/large"), os.path.join(root, "again"))
    os.symlink("dir/below/text", os.path.join(root, "link"))
    os.symlink("../../one", os.path.join(root, "dir/below/up"))
    os.mkfifo(os.path.join(root, "fifo"))
    os.mknod(os.path.join(root, "null"), 0o020666, os.makedev(1, 3))
    os.chmod(os.path.join(root, "one"), 0o4755)
    os.chown(os.path.join(root, "half"), 1000, 100)
    set_times(root)
    return root


def set_times(root, time=TIME):
    """One time for all, from the leaves up, so that it lasts."""
    for where, dirs, files in os.walk(root, topdown=False):
        for name in dirs + files:
            os.utime(os.path.join(where, name), (time, time),
                     follow_symlinks=False)
    os.utime(root, (time, time))


def gnu(tree, out, *options):
    """GNU tar; sockets are left out with a warning."""
    run("tar", "--sort=name", "--xattrs", "--xattrs-include=*", *options,
        "-C", tree, "-cf", out, ".")
    return out


def python(tree, out, form):
    forms = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT,
             "ustar": tarfile.USTAR_FORMAT}
    with tarfile.open(out, "w", format=forms[form]) as tar:
        tar.add(tree, ".")
    return out


def extracted(tar, where):
    """The records of what GNU tar makes of an archive, below where."""
    os.mkdir(where)
    run("tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-p",
        "--delay-directory-restore", "-xf", tar, "-C", where)
    records = oracle.normal(oracle.walk(where))
    shutil.rmtree(where)
    return records


def header(name, kind=b"0", size=0, link="", mode=0o644, **fields):
    """One member's header, as tarfile writes it."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = size
    info.linkname = link
    info.mode = mode
    info.mtime = TIME
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def member(name, data=b"", **fields):
    padding = bytes(-len(data) % BLOCK)
    return header(name, size=len(data), **fields) + data + padding


def write(path, *parts, end=END):
    with open(path, "wb") as out:
        for part in parts:
            out.write(part)
        out.write(end)
    return path


def headers_only(tar):
    """The headers of all members without their data, and the end."""
    out = io.BytesIO()
    with tarfile.open(tar) as source:
        for info in source:
            out.write(info.tobuf(tarfile.PAX_FORMAT))
    return out.getvalue() + END


def number(value, n=12):
    """Octal, or base-256 where that has too few digits."""
    if value < 8 ** (n - 1):
        return b"%0*o\0" % (n - 1, value)
    return b"\x80" + value.to_bytes(n - 1, "big")


def _pairs(block, at, segments, room):
    for offset, length in segments[:room]:
        block[at:at + 24] = number(offset) + number(length)
        at += 24
    return segments[room:]


def sparse(name, size, segments, data):
    """A sparse member in GNU's old form: segments are (offset, length), which
    data fills one after another."""
    head = bytearray(header(name, kind=b"S", size=len(data)))
    rest = _pairs(head, 386, segments, 4)
    head[482] = bool(rest)
    head[483:495] = number(size)
    more = b""
    while rest:
        block = bytearray(BLOCK)
        rest = _pairs(block, 0, rest, 21)
        block[504] = bool(rest)
        more += bytes(block)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + more + data + bytes(-len(data) % BLOCK)
