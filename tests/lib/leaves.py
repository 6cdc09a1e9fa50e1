# SPDX-License-Identifier: Apache-2.0
"""Leaf digests by hashlib, from the words of include/erofskit/leaf.h."""

import hashlib
import struct

MAGIC = b"EKLEAF1\n"


def sha(data):
    return hashlib.sha256(data).digest()


def pieces(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)]


def root(data, leaf=65536):
    digests = [sha(p) for p in pieces(data, leaf)]
    head = MAGIC + struct.pack("<IIQ", leaf, len(digests), len(data))
    while len(digests) > 1:
        digests = [sha(p) for p in pieces(b"".join(digests), leaf)]
    return sha(head + b"".join(digests))


def table(data, leaf=65536):
    """The bytes of the file."""
    digests = [sha(p) for p in pieces(data, leaf)]
    head = MAGIC + struct.pack("<IIQ", leaf, len(digests), len(data))
    return (head + root(data, leaf)).ljust(64, b"\0") + b"".join(digests)
