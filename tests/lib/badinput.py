# SPDX-License-Identifier: Apache-2.0
"""Classes of bad input that broke other readers, one image each.

Registered beside the defects of defects.py; tests/data/fsck.tsv says what must
come of them. What defects.py has already is not here again.
"""

import struct

from lib.defects import compressed, counted, defect
from lib.erofs import SB, Inode

NULL_BLOCK = 0xFFFFFFFF
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Compact:
    """The compact indexes of a node, entry by entry; blocks of 4096."""

    def __init__(self, im, node):
        self.im = im
        advise, = im.get("<H", node.map_header + 4)
        self.base = node.map_header + 8
        self.n = -(-node.size // im.bs)
        self.first = (32 - self.base % 32) // 4 & 7
        if not advise & 1 or self.first >= self.n:
            self.first, self.pairs = self.n, 0
        else:
            self.pairs = (self.n - self.first) // 16 * 16

    def _place(self, i):
        """Position of the pack, bits of an entry, number in the pack."""
        if i < self.first:
            return self.base + i // 2 * 8, 16, i % 2
        at = self.base + self.first * 4
        i -= self.first
        if i < self.pairs:
            return at + i // 16 * 32, 14, i % 16
        at += self.pairs * 2
        i -= self.pairs
        return at + i // 2 * 8, 16, i % 2

    def get(self, i):
        at, bits, k = self._place(i)
        raw = int.from_bytes(self.im.data[at:at + 32], "little")
        value = raw >> bits * k
        return value >> 12 & 3, value & 0xFFF

    def put_low(self, i, low):
        at, bits, k = self._place(i)
        raw = int.from_bytes(self.im.data[at:at + 32], "little")
        raw = raw & ~(0xFFF << bits * k) | low << bits * k
        self.im.data[at:at + 32] = raw.to_bytes(32, "little")


def nonheads(im, counts):
    """(indexes, number) of entries without a head; counts or distances."""
    for node in sorted(im.walk(), key=lambda n: n.nid):
        if (node.mode >> 12 != 8 or node.layout != 3 or node.size < 5 * im.bs
                or im.data[node.map_header + 7] & 0x80):
            continue
        indexes = Compact(im, node)
        for i in range(1 if counts else 2, indexes.n - 1):
            kind, low = indexes.get(i)
            if kind == 2 and bool(low & 0x800) == counts:
                yield indexes, i


def pairs(im, kind):
    """Full indexes of a kind, each with the one behind it."""
    for node in sorted(im.walk(), key=lambda n: n.nid):
        if (node.mode >> 12 == 8 and node.layout == 1
                and node.size > 3 * im.bs
                and not im.data[node.map_header + 7] & 0x80):
            entries = list(node.full_indexes())
            for here, after in zip(entries, entries[1:]):
                if here[1] & 3 == kind:
                    yield here, after


# Superblock

@defect("plain")
def bad_block_size(im):
    im.data[SB + 12] = 17


@defect("plain")
def bad_block_size_shift(im):
    im.data[SB + 12] = 255


@defect("lz4")
def bad_config_empty(im):
    im.put("<H", SB + 128, 0)


@defect("images/metabox")
def bad_metabox_marked(im):
    at = SB + 0x80
    nid, = im.get("<Q", at)
    im.put("<Q", at, nid | 1 << 63)


# Inodes and directories

@defect("plain")
def bad_metabox_absent(im):
    entry = im.entry("/small")
    entry.put_nid(entry.nid | 1 << 63)


@defect("plain")
def bad_symlink_size(im):
    im.inode("/link").put_size(0xFFFFFFFF)


@defect("times")
def bad_symlink_size_wide(im):
    node = im.inode("/names/bb")
    assert node.extended
    im.put("<H", node.pos + 4, 0o120777)
    node.put_size((1 << 64) - 1)


@defect("plain")
def bad_name_slash(im):
    im.entry("/names/ba").put_name(b"b/")


@defect("plain")
def bad_name_dotdot(im):
    im.entry("/names/aa").put_name(b"..")


@defect("plain")
def bad_name_empty(im):
    entry = im.entry("/names/ab")
    offset, = im.get("<H", entry.at + 12 + 8)
    im.put("<H", entry.at + 8, offset)


@defect("plain")
def bad_name_offset(im):
    im.put("<H", im.entry("/names/ab").at + 8, 0xFFF0)


@defect("plain")
def bad_name_backwards(im):
    entry = im.entry("/names/ab")
    im.put("<H", entry.at + 8, im.get("<H", entry.at - 12 + 8)[0] - 1)


@defect("plain")
def bad_xattr_shared_count(im):
    node = im.inode("/noise")
    im.data[node.pos + node.core + 4] = 255


# Maps

@defect("images/lz4-legacy")
def bad_stored_too_long(im):
    """A stored extent of two blocks in a cluster of one."""
    for here, after in pairs(im, 0):
        if after[1] & 3 != 2:
            im.put("<HHHH", after[0], 2, 0, 1, 1)
            return
    raise LookupError


@defect("images/lz4-legacy")
def bad_cluster_range(im):
    here, _ = next(pairs(im, 1))
    im.put("<I", here[0] + 4, 0x7FFFFFFF)


@defect("images/lz4-legacy")
def bad_cluster_null(im):
    here, _ = next(pairs(im, 1))
    im.put("<I", here[0] + 4, NULL_BLOCK)


@defect("images/lz4-legacy")
def bad_distance_zero(im):
    here, _ = next(pairs(im, 2))
    im.put("<H", here[0] + 4, 0)


@defect("images/lz4-legacy")
def bad_distance_forward_zero(im):
    """An old mkfs wrote it: readers take it as 1."""
    here, _ = next(pairs(im, 2))
    im.put("<H", here[0] + 6, 0)


@defect("images2/lz4-dedupe")
def bad_count_zero(im):
    at, _ = next(counted(im))
    im.put("<H", at + 4, 0x800)


@defect("images/lz4hc-64k")
def bad_compact_distance_zero(im):
    indexes, i = next(nonheads(im, False))
    indexes.put_low(i, 0)


@defect("images/lz4hc-64k")
def bad_compact_distance_far(im):
    indexes, i = next(nonheads(im, False))
    indexes.put_low(i, 0x7FF)


@defect("images/lz4hc-64k")
def bad_compact_count_zero(im):
    indexes, i = next(nonheads(im, True))
    indexes.put_low(i, 0x800)


@defect("images2/b2048-zstd")
def bad_cluster_bits(im):
    """Units of a map that its low bits cannot tell."""
    node = compressed(im, 3)
    im.data[node.map_header + 7] |= 7


@defect("images/lz4hc-frag")
def bad_packed_in_itself(im):
    packed = Inode(im, im.get("<Q", SB + 0x60)[0])
    im.data[packed.map_header + 7] |= 0x80


@defect("images/e48-lz4-extents")
def bad_extent_count(im):
    for node in im.walk():
        if node.layout == 1 and not im.data[node.map_header + 7] & 0x80:
            if im.get("<H", node.map_header + 4)[0] & 7 == 5:
                im.put("<I", node.map_header, 0xFFFFFFFF)
                return
    raise LookupError


# Data

@defect("images/zstd")
def bad_zstd_content_size(im):
    """A frame that promises more than it holds."""
    at = im.data.find(ZSTD_MAGIC)
    while at >= 0:
        head = im.data[at + 4]
        # A content size of 2 bytes behind a single-segment header.
        if head >> 5 == 3:
            size, = im.get("<H", at + 5)
            struct.pack_into("<H", im.data, at + 5, size + 512 & 0xFFFF)
            return
        at = im.data.find(ZSTD_MAGIC, at + 1)
    raise LookupError
