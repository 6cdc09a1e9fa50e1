# SPDX-License-Identifier: Apache-2.0
"""One image for each rule of fsck, with exactly that defect.

A defect is a function that changes a good image. What fsck must find and what
the kernel does with it stands in tests/data/fsck.tsv, one line a defect.
Bases: "lz4", "plain", "shared" are made by our mkfs from tree() here, others
are fixtures of erofs-utils 1.9.3.
"""

import os
import struct

from lib.content import noise, text
from lib.erofs import SB, Image, Inode

DEFECTS = {}
NSEC = 1000000000
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, perm, who)
    for tag, perm, who in ((1, 7, 0xFFFFFFFF), (2, 5, 1000),
                           (4, 5, 0xFFFFFFFF), (0x10, 5, 0xFFFFFFFF),
                           (0x20, 5, 0xFFFFFFFF)))


def defect(base):
    def register(function):
        DEFECTS[function.__name__.replace("_", "-")] = (base, function)
        return function
    return register


def tree(top):
    """A tree with one of each thing; needs root for the device."""
    def put(name, data):
        with open(os.path.join(top, name), "wb") as f:
            f.write(data)
    for name in ("empty", "dir", "dir/sub", "dir/tub", "names"):
        os.mkdir(os.path.join(top, name))
    for name in ("aa", "ab", "ba", "bb", "zz"):
        put("names/" + name, name.encode())
    put("small", b"small content")
    put("next", b"next to it")
    put("big", text(300000))
    put("noise", noise(20000))
    os.utime(os.path.join(top, "names/bb"), ns=(5, 1600000000123456789))
    put("dir/sub/file", b"x" * 5000)
    os.link(os.path.join(top, "small"), os.path.join(top, "dir/hard"))
    os.symlink("some/target", os.path.join(top, "link"))
    os.mkfifo(os.path.join(top, "fifo"))
    for name, value in (("user.aa", b"first"), ("user.ab", b"second")):
        os.setxattr(os.path.join(top, "noise"), name, value)
        os.setxattr(os.path.join(top, "names/zz"), name, value)
    os.setxattr(os.path.join(top, "next"), "user.solo", b"value")
    os.setxattr(os.path.join(top, "dir"), "system.posix_acl_access", ACL)


OPTIONS = {
    "lz4": ["-zlz4", "-C16384", "-T0"],
    "plain": ["-T0", "-Eforce-inode-compact"],
    "times": [],
    "shared": ["-T0", "-x0"],
}


def flat_data(image, what=lambda n: True):
    for node in image.walk():
        if node.mode >> 12 == 8 and node.layout == 0 and what(node):
            return node
    raise LookupError


def compressed(image, layout, blocks=3, advise=0):
    for node in sorted(image.walk(), key=lambda n: n.nid):
        if (node.mode >> 12 == 8 and node.layout == layout
                and node.size > blocks * image.bs
                and image.get("<H", node.map_header + 4)[0] & advise == advise
                and not image.data[node.map_header + 7] & 0x80):
            return node
    raise LookupError


# Superblock

@defect("plain")
def super_magic(im):
    im.put("<I", SB, 0x12345678)


@defect("plain")
def super_feature(im):
    im.put("<I", SB + 0x50, im.incompat | 0x8000)


@defect("plain")
def super_field(im):
    im.data[SB + 0x5A] = 1


@defect("plain")
def super_checksum(im):
    im.data[SB + 4] ^= 1
    return False


@defect("plain")
def super_truncated(im):
    im.put("<I", SB + 36, im.blocks + 1)


@defect("lz4")
def super_config(im):
    im.put("<H", SB + 128, 3)


@defect("plain")
def super_place(im):
    im.put("<I", SB + 0x2C, im.blocks + 7)


@defect("plain")
def super_open(im):
    im.put("<H", SB + 14, im.inode("/small").nid)


@defect("plain")
def super_compat(im):
    im.put("<I", SB + 8, im.compat | 1 << 30)


@defect("plain")
def super_name(im):
    im.data[SB + 0x40:SB + 0x50] = b"0123456789abcdef"


@defect("plain")
def super_time(im):
    im.put("<I", SB + 0x20, NSEC)


@defect("plain")
def super_inodes(im):
    im.put("<Q", SB + 0x10, im.get("<Q", SB + 0x10)[0] + 1)


@defect("plain")
def super_reserved(im):
    im.data[SB + 0x7A] = 1


@defect("images2/merged2dev")
def device_overlap(im):
    slot = im.get("<H", SB + 0x58)[0] * 128
    im.put("<I", slot + 128 + 0x44, im.get("<I", slot + 0x44)[0])


@defect("images/blobdev")
def device_short(im):
    slot = im.get("<H", SB + 0x58)[0] * 128
    im.put("<I", slot + 0x40, im.get("<I", slot + 0x40)[0] + 1000)


# Inodes

@defect("plain")
def inode_range(im):
    im.entry("/names/bb").put_nid(1 << 40)


@defect("plain")
def inode_field(im):
    im.put("<H", im.inode("/names/bb").pos + 4, 0o644)


@defect("plain")
def inode_layout(im):
    im.inode("/fifo").put_size(5)


@defect("plain")
def inode_wide(im):
    node = im.inode("/names/bb")
    im.put("<H", node.pos, node.format | 0x10)
    im.put("<H", node.pos + 6, 0)


@defect("times")
def inode_time(im):
    im.put("<I", im.inode("/names/bb").pos + 0x28, NSEC)


@defect("plain")
def inode_links(im):
    im.inode("/small").put_nlink(3)


@defect("plain")
def inode_links_directory(im):
    im.inode("/dir").put_nlink(3)


@defect("lz4")
def inode_blocks(im):
    node = im.inode("/big")
    im.put("<I", node.at_u, node.u + 100)


@defect("plain")
def inode_overlap(im):
    """A tail that reaches over the inode behind it."""
    for node in im.walk():
        end = node.body + node.size
        if (node.mode >> 12 == 8 and node.layout == 2
                and im.bs - end % im.bs > 96 and node.size < im.bs
                and any(n.pos == (end + 31) & ~31 for n in im.walk())):
            node.put_size(node.size + 64)
            return
    raise LookupError


@defect("plain")
def inode_reserved(im):
    im.data[im.inode("/names/bb").pos + 0x1C] = 1


@defect("plain")
def inode_unreachable(im):
    pos = im.inode("/fifo").pos
    im.append_block(bytes(im.data[pos:pos + 32]))


@defect("plain")
def symlink_target(im):
    im.data[im.inode("/link").body + 4] = 0


# Attributes

@defect("plain")
def xattr_header(im):
    node = im.inode("/next")
    im.data[node.pos + node.core + 4] = 255


@defect("plain")
def xattr_entry(im):
    at = next(im.inode("/next").xattr_entries())[0]
    im.put("<H", at + 2, 60000)


@defect("shared")
def xattr_shared(im):
    node = im.inode("/next")
    im.put("<I", node.pos + node.core + 12, 0xFFFFFF0)


@defect("plain")
def xattr_name(im):
    at = next(im.inode("/next").xattr_entries())[0]
    im.data[at + 5] = 0


@defect("plain")
def xattr_index(im):
    at = next(im.inode("/next").xattr_entries())[0]
    im.data[at + 1] = 9


@defect("plain")
def xattr_duplicate(im):
    for at, _, name, _, _ in im.inode("/noise").xattr_entries():
        im.data[at + 4:at + 4 + len(name)] = b"aa"


@defect("plain")
def xattr_order(im):
    for at, _, name, _, _ in im.inode("/noise").xattr_entries():
        im.data[at + 5] ^= ord("a") ^ ord("b")


@defect("images/plain-xattrprefix")
def xattr_filter(im):
    for node in im.walk():
        if node.icount and list(node.xattr_entries()):
            im.put("<I", node.pos + node.core, 0xFFFFFFFF)
            return
    raise LookupError


@defect("plain")
def xattr_acl(im):
    for _, index, _, value, _ in im.inode("/dir").xattr_entries():
        if index == 2:
            im.data[value] = 9


@defect("plain")
def xattr_reserved(im):
    node = im.inode("/next")
    im.data[node.pos + node.core + 7] = 1


# Directories

@defect("plain")
def dir_read(im):
    """Full blocks of a directory beyond the image."""
    node = im.inode("/empty")
    im.put("<H", node.pos, node.format & ~0xE)
    im.put("<I", node.at_u, 0x7FFFFFF)


@defect("plain")
def dir_empty(im):
    im.inode("/empty").put_size(0)


@defect("plain")
def dir_block(im):
    im.put("<H", im.entry("/empty/.").block + 8, 13)


@defect("plain")
def dir_entry(im):
    im.entry("/names/zz").put_name(b"z/")


@defect("plain")
def dir_order(im):
    im.entry("/names/ba").put_name(b"bc")


@defect("plain")
def dir_duplicate(im):
    im.entry("/names/ba").put_name(b"bb")


@defect("plain")
def dir_type(im):
    im.data[im.entry("/names/bb").at + 10] = 2


@defect("plain")
def dir_dot(im):
    im.entry("/dir/.").put_nid(im.inode("/dir/sub").nid)


@defect("plain")
def dir_dotdot(im):
    im.entry("/dir/sub/..").put_nid(im.root)


@defect("plain")
def dir_loop(im):
    im.entry("/dir/tub").put_nid(im.inode("/dir").nid)


@defect("plain")
def dir_parent(im):
    im.entry("/dir/tub").put_nid(im.inode("/dir/sub").nid)


@defect("images/lz4hc-frag")
def dir_special(im):
    packed, = im.get("<Q", SB + 0x60)
    for entry in im.inode("/").entries().values():
        node = Inode(im, entry.nid)
        if node.mode >> 12 == 8 and node.at_nlink and im.get(
                "<H", node.at_nlink)[0] == 1:
            entry.put_nid(packed)
            return
    raise LookupError


@defect("plain")
def dir_reserved(im):
    im.data[im.entry("/names/bb").at + 11] = 1


@defect("plain")
def dir_budget(im):
    """A directory of 4 GiB, all of it a hole."""
    node = im.inode("/empty")
    im.put("<H", node.pos, 0)
    im.put("<I", node.at_u, 0xFFFFFFFF)
    node.put_size(0xFFFFFFFF)


# Maps

@defect("lz4")
def map_header(im):
    im.data[im.inode("/big").map_header + 6] = 9


@defect("plain")
def map_range(im):
    im.put("<I", im.inode("/noise").at_u, 0x7FFFFFF)


@defect("images2/merged2dev")
def map_device(im):
    for node in im.walk():
        if node.layout == 4 and node.size:
            at = (node.body + 7) & ~7
            im.put("<H", at + 2, 3)
            return
    raise LookupError


@defect("images/lz4-legacy")
def map_index(im):
    node = compressed(im, 1)
    for at, advise, _, _ in node.full_indexes():
        if advise & 3 != 2 and at > node.map_header + 16:
            im.put("<H", at + 2, 5000)
            return


@defect("images/lz4-legacy")
def map_distance(im):
    node = compressed(im, 1)
    for at, advise, _, value in node.full_indexes():
        if advise & 3 == 2 and value & 0xFFFF == 1:
            im.put("<H", at + 4, 2)
            return
    raise LookupError


@defect("images/lz4-legacy")
def map_distance_forward(im):
    node = compressed(im, 1)
    for at, advise, _, value in node.full_indexes():
        if advise & 3 == 2:
            im.put("<H", at + 6, 9)
            return
    raise LookupError


def counted(im):
    """Position of a count of blocks in full indexes, and the count."""
    for node in sorted(im.walk(), key=lambda n: n.nid):
        if node.layout != 1 or im.data[node.map_header + 7] & 0x80:
            continue
        if not im.get("<H", node.map_header + 4)[0] & 2:
            continue
        for at, advise, _, value in node.full_indexes():
            if advise & 3 == 2 and value & 0x800:
                yield at, value & 0x7FF
    return


@defect("images2/lz4-dedupe")
def map_count(im):
    at, _ = next(counted(im))
    im.put("<H", at + 4, 1)


@defect("images/lz4-legacy")
def map_eof(im):
    for node in sorted(im.walk(), key=lambda n: n.nid):
        if node.mode >> 12 != 8 or node.layout != 1 or node.size < im.bs:
            continue
        before, last = list(node.full_indexes())[-2:]
        if last[1] & 3 == 0 and last[2] == node.size % im.bs != 0:
            back = before[3] & 0xFFFF if before[1] & 3 == 2 else 0
            im.put("<HHHH", last[0], 2, 0, back + 1, 1)
            return
    raise LookupError


@defect("images/e48-lz4-extents")
def map_extent(im):
    for node in im.walk():
        if node.layout != 1 or im.data[node.map_header + 7] & 0x80:
            continue
        if im.get("<H", node.map_header + 4)[0] & 7 == 5:
            at = (node.map_header + 8 + 15) & ~15
            im.data[at + 3] = 0x90
            return
    raise LookupError


@defect("plain")
def map_inline(im):
    """A tail that ends in the block behind."""
    ends = {n.body // im.bs for n in im.walk()}
    node = max((n for n in im.walk() if n.layout == 2 and n.mode >> 12 == 8
                and n.body // im.bs < max(ends)), key=lambda n: n.body)
    node.put_size(im.bs - node.body % im.bs + 8)


@defect("images/lz4hc-frag")
def map_fragment(im):
    for node in sorted(im.walk(), key=lambda n: n.nid):
        if node.mode >> 12 == 8 and node.layout == 1 and im.data[
                node.map_header + 7] & 0x80:
            im.put("<I", node.map_header, 0x7FFFFFFF)
            return
    raise LookupError


@defect("images2/lz4-dedupe")
def map_conflict(im):
    """A short user of a cluster says that it has all of it."""
    heads = []
    for node in sorted(im.walk(), key=lambda n: n.nid):
        if node.layout == 1 and not im.data[node.map_header + 7] & 0x80:
            heads += [h for h in node.full_indexes() if h[1] & 3 == 1]
    whole = {block for _, advise, _, block in heads if not advise & 0x8000}
    for at, advise, _, block in heads:
        if advise & 0x8000 and block in whole:
            im.put("<H", at, advise & ~0x8000)
            return
    raise LookupError


@defect("images/lz4-legacy")
def map_longer(im):
    """The next extent begins so early that this one is shorter than its
    cluster."""
    node = compressed(im, 1)
    entries = list(node.full_indexes())
    for here, after in zip(entries, entries[1:]):
        if here[1] & 3 == 1 and here[2] > 100 and after[1] & 3 == 1:
            im.put("<H", after[0] + 2, here[2] - 50)
            return
    raise LookupError


@defect("lz4")
def map_reserved(im):
    im.data[im.inode("/big").map_header + 7] |= 0x10


# Data and space

@defect("images/lz4")
def data_decode(im):
    at = compressed_block(im)
    im.data[at + im.bs - 200:at + im.bs - 100] = b"\xff" * 100


def compressed_block(im):
    """The block of the first coded extent of a compact file: the vector of
    the format reference shows that bases count from it."""
    for node in sorted(im.walk(), key=lambda n: n.nid):
        if node.layout == 3 and node.size > 4 * im.bs:
            base, = im.get("<I", node.map_header + 12)
            at = (base + 1) * im.bs
            if any(im.data[at:at + 64]):
                return at
    raise LookupError


@defect("lz4")
def data_budget(im):
    """Nothing is wrong but the budget, which is one of the options."""


@defect("plain")
def space_overlap(im):
    node = im.inode("/dir/sub/file")
    im.put("<I", node.at_u, im.inode("/small").pos // im.bs)


@defect("images2/lz4-dedupe")
def space_shared(im):
    """A cluster that is one block longer than it was written."""
    at, blocks = list(counted(im))[0]
    im.put("<H", at + 4, 0x800 | blocks + 1)


@defect("plain")
def space_budget(im):
    for node in list(im.walk()):
        if node.mode >> 12 == 8:
            im.put("<H", node.pos + 2, 0xFFFF)
    im.append_block(b"")
    im.data += bytes(1 << 18)


@defect("plain")
def space_unreferenced(im):
    im.append_block(b"hidden")


@defect("plain")
def space_trailing(im):
    im.data += b"behind"


def make(name, bases, path):
    """Write the image of defect name; bases: {base: path}."""
    base, function = DEFECTS[name]
    image = Image(bases[base])
    if function(image) is not False:
        image.seal()
    image.write(path)
