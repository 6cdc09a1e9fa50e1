# SPDX-License-Identifier: Apache-2.0
"""The superblock of an image, read by a second pair of eyes."""

import struct

MAGIC = 0xE0F5E1E2
BIG_PCLUSTER = 0x2
ZERO_PADDING = 0x1
SB_CHKSUM = 0x1


class Superblock:
    def __init__(self, path):
        with open(path, "rb") as f:
            f.seek(1024)
            raw = f.read(128)
            (self.magic, self.checksum, self.compat, self.blkszbits,
             self.extslots, self.root_nid, self.inos, self.epoch,
             self.nsec, self.blocks, self.meta_blkaddr,
             self.xattr_blkaddr) = struct.unpack_from("<IIIBBHQqIIII", raw)
            self.uuid = raw[0x30:0x40]
            self.label = raw[0x40:0x50].rstrip(b"\0")
            self.incompat, = struct.unpack_from("<I", raw, 0x50)
            assert self.magic == MAGIC
            self.bs = 1 << self.blkszbits
            length = self.bs - 1024 if self.bs > 1024 else self.bs
            f.seek(1024)
            covered = bytearray(f.read(length))
        covered[4:8] = bytes(4)
        self.computed = crc32c(covered)

    def uuid_text(self):
        text = self.uuid.hex()
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20],
                         text[20:]))


def _table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _table()


def crc32c(data, crc=0xFFFFFFFF):
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def fix_checksum(path):
    """Make the superblock's checksum right after a change."""
    computed = Superblock(path).computed
    with open(path, "r+b") as f:
        f.seek(1028)
        f.write(struct.pack("<I", computed))
