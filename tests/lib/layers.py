# SPDX-License-Identifier: Apache-2.0
"""Layers unpacked as a runtime would, and the overlay of them."""

import contextlib
import os
import subprocess

from lib import mounts

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"


def as_overlay(root):
    """Turn AUFS's marks into those of overlayfs, in place."""
    for where, _, files in os.walk(root):
        times = os.stat(where).st_mtime_ns
        marks = [name for name in files if name.startswith(WHITEOUT)]
        for name in marks:
            os.remove(os.path.join(where, name))
            if name == OPAQUE:
                os.setxattr(where, "trusted.overlay.opaque", b"y")
            else:
                os.mknod(os.path.join(where, name[4:]), 0o020000, 0)
        if marks:
            os.utime(where, ns=(times, times))


def unpack(tar, where):
    """A layer's tar (its path or its bytes) as a directory of an overlay."""
    os.mkdir(where)
    data = tar if isinstance(tar, bytes) else None
    subprocess.run(["tar", "--xattrs", "--xattrs-include=*", "-p",
                    "--numeric-owner", "--delay-directory-restore",
                    "-xf", "-" if data is not None else tar, "-C", where],
                   check=True, input=data, stdout=subprocess.DEVNULL)
    as_overlay(where)
    return where


@contextlib.contextmanager
def overlay(work, directories):
    """The overlay of directories, bottom first."""
    where = os.path.join(work, "overlay")
    empty = os.path.join(work, "lowest")
    for name in (where, empty):
        os.makedirs(name, exist_ok=True)
    lower = list(reversed(directories))
    if len(lower) == 1:  # overlayfs wants two at least
        lower.append(empty)
    mounts.mount("overlay", where, "overlay",
                 "ro,lowerdir=" + ":".join(lower))
    try:
        yield where
    finally:
        mounts.umount(where)
