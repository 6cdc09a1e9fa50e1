# SPDX-License-Identifier: Apache-2.0
"""One image: how large, how long to make, how fast the kernel reads it."""

import os
import subprocess
import time

import measure

MANY = 3  # runs of what is quick; the best of them counts
QUICK = 4.0
CHUNK = 1 << 20


def _read_all(root):
    """Bytes of all files below root, read once."""
    total, room = 0, bytearray(CHUNK)
    for where, _, names in os.walk(root):
        for name in sorted(names):
            path = os.path.join(where, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb", buffering=0) as f:
                while n := f.readinto(room):
                    total += n
    return total


def read_speed(image, kind, scratch):
    """MB/s of a fresh mount, best of MANY; None when it cannot be mounted.

    The image is in the page cache: what is measured is the file system and
    its codec, not the disk. Nothing of the mount is: it is new each time.
    """
    where = os.path.join(scratch, "mnt")
    os.makedirs(where, exist_ok=True)
    best = None
    for _ in range(MANY):
        done = subprocess.run(["mount", "-t", kind, "-o", "ro,loop", image,
                               where], check=False, capture_output=True)
        if done.returncode:
            return None
        try:
            start = time.monotonic()
            total = _read_all(where)
            took = time.monotonic() - start
        finally:
            subprocess.run(["umount", where], check=True)
        best = max(best or 0, total / took / 1e6)
    return best


def point(tools, argv, image, kind, scratch):
    """{size, wall, cpu, read} of the image that argv makes."""
    best = None
    for _ in range(MANY):
        if os.path.exists(image):
            os.unlink(image)
        got = measure.once(tools, argv)
        if best is None or got["wall"] < best["wall"]:
            best = got
        if got["wall"] > QUICK:
            break
    return {"size": os.path.getsize(image) / 1e6, "wall": best["wall"],
            "cpu": best["cpu"], "read": read_speed(image, kind, scratch)}
