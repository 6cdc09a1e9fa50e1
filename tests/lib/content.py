# SPDX-License-Identifier: Apache-2.0
"""Deterministic file contents, cheap to make."""

import hashlib

WORDS = (b"block inode extent cluster superblock directory xattr erofs image "
         b"kernel mount lookup chunk layer device hole tail fragment").split()


def noise(size, seed=0):
    """Bytes that no codec can shrink."""
    shake = hashlib.shake_128(b"noise %d" % seed)
    return shake.digest(size)


def text(size, seed=0):
    """Bytes that compress about as well as prose."""
    picks = noise(size // 4 + 16, seed + 1000)
    out = bytearray()
    line = 0
    for i, pick in enumerate(picks):
        out += WORDS[pick % len(WORDS)]
        if pick > 200:
            line += 1
            out += b" %d.%d\n" % (line, pick * i % 977)
        else:
            out += b" "
        if len(out) >= size:
            break
    return bytes(out[:size])


def mixed(size, step=4096, seed=0):
    """Text and noise in turns of step bytes."""
    out = bytearray()
    turn = 0
    plain, hard = text(size, seed), noise(size, seed)
    while len(out) < size:
        part = hard if turn % 2 else plain
        out += part[len(out):len(out) + step]
        turn += 1
    return bytes(out[:size])
