# SPDX-License-Identifier: Apache-2.0
"""A small second reader of images, and a hand that changes single fields.

It knows what the generators of broken images need: superblock, inodes, flat
directories, attributes, maps of compressed files; nothing is decoded.
"""

import struct

SB = 1024
DIRENT = 12


def crc32c(data, crc=0xFFFFFFFF):
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


class Inode:
    def __init__(self, image, nid):
        self.image = image
        self.nid = nid
        self.pos = image.meta + nid * 32
        (self.format, self.icount, self.mode,
         self.nb) = image.get("<4H", self.pos)
        self.extended = self.format & 1
        self.layout = self.format >> 1 & 7
        self.core = 64 if self.extended else 32
        self.size, = image.get("<Q" if self.extended else "<I", self.pos + 8)
        self.u, = image.get("<I", self.pos + 16)
        self.xattrs = 12 + 4 * (self.icount - 1) if self.icount else 0
        self.body = self.pos + self.core + self.xattrs
        self.is_dir = self.mode >> 12 == 4

    # Places of fields, for image.put().
    @property
    def at_nlink(self):
        return self.pos + (0x2C if self.extended else 6)

    @property
    def at_size(self):
        return self.pos + 8

    @property
    def at_u(self):
        return self.pos + 16

    @property
    def map_header(self):
        return (self.body + 7) & ~7

    def put_size(self, size):
        self.image.put("<Q" if self.extended else "<I", self.at_size, size)

    def put_nlink(self, n):
        self.image.put("<I" if self.extended else "<H", self.at_nlink, n)

    def blocks(self):
        """(position, bytes) of each block of flat data."""
        bs, size = self.image.bs, self.size
        for i in range(0, size, bs):
            n = min(bs, size - i)
            if self.layout == 2 and i + bs >= size:
                yield self.body, n
            else:
                yield self.u * bs + i, n

    def entries(self):
        """{name: Entry} of a flat directory, in stored order."""
        found = {}
        for pos, n in self.blocks():
            for entry in self._block(pos, n):
                found[entry.name] = entry
        return found

    def _block(self, pos, n):
        first, = self.image.get("<H", pos + 8)
        count = first // DIRENT
        offsets = [self.image.get("<H", pos + i * DIRENT + 8)[0]
                   for i in range(count)] + [n]
        for i in range(count):
            raw = bytes(self.image.data[pos + offsets[i]:pos + offsets[i + 1]])
            yield Entry(self.image, pos + i * DIRENT, pos + offsets[i],
                        raw.split(b"\0")[0], pos)

    def xattr_entries(self):
        """(position, index, name, value position, value) of inline ones."""
        at = self.pos + self.core
        end = at + self.xattrs
        shared = self.image.data[at + 4]
        at += 12 + 4 * shared
        while at < end:
            n, index, size = self.image.get("<BBH", at)
            name = bytes(self.image.data[at + 4:at + 4 + n])
            value = at + 4 + n
            if n or index:
                yield at, index, name, value, bytes(
                    self.image.data[value:value + size])
            at += (4 + n + size + 3) & ~3

    def full_indexes(self):
        """(position, advise, clusterofs, u32) of layout 1."""
        base = self.map_header + 16
        for i in range(-(-self.size // self.image.bs)):
            at = base + 8 * i
            yield (at,) + self.image.get("<HHI", at)


class Entry:
    def __init__(self, image, at, name_at, name, block):
        self.image = image
        self.at = at
        self.name_at = name_at
        self.name = name
        self.block = block

    @property
    def nid(self):
        return self.image.get("<Q", self.at)[0]

    def put_nid(self, nid):
        self.image.put("<Q", self.at, nid)

    def put_name(self, name):
        assert len(name) == len(self.name)
        self.image.data[self.name_at:self.name_at + len(name)] = name


class Image:
    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = bytearray(f.read())
        self.bs = 1 << self.data[SB + 12]
        self.blocks, self.meta_block = self.get("<II", SB + 36)
        self.meta = self.meta_block * self.bs
        self.compat, = self.get("<I", SB + 8)
        self.incompat, = self.get("<I", SB + 0x50)
        self.root = self.get("<H", SB + 14)[0]

    def get(self, fmt, at):
        return struct.unpack_from(fmt, self.data, at)

    def put(self, fmt, at, *values):
        struct.pack_into(fmt, self.data, at, *values)

    def inode(self, path):
        node = Inode(self, self.root)
        for part in path.strip("/").split("/"):
            if part:
                node = Inode(self, node.entries()[part.encode()].nid)
        return node

    def entry(self, path):
        parent, _, name = path.strip("/").rpartition("/")
        return self.inode(parent).entries()[name.encode()]

    def walk(self):
        """Every inode that a name leads to, once."""
        seen, todo = set(), [self.root]
        while todo:
            nid = todo.pop()
            if nid in seen:
                continue
            seen.add(nid)
            node = Inode(self, nid)
            yield node
            if node.is_dir and node.layout in (0, 2):
                todo += [e.nid for e in node.entries().values()]

    def append_block(self, content):
        self.data += content.ljust(self.bs, b"\0")
        self.blocks += 1
        self.put("<I", SB + 36, self.blocks)

    def seal(self):
        if not self.compat & 1:
            return
        n = self.bs - SB if self.bs > SB else self.bs
        self.put("<I", SB + 4, 0)
        self.put("<I", SB + 4, crc32c(self.data[SB:SB + n]))

    def write(self, path):
        with open(path, "wb") as f:
            f.write(self.data)
