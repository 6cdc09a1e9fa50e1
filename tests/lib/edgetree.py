# SPDX-License-Identifier: Apache-2.0
"""The tree of edges: everything that a tree may hold and that may go wrong.

build() makes it at an empty directory. profile "full" needs a file system
with large xattrs and symlinks (tmpfs); "portable" fits ext4 as well and
leaves out whatever two file systems store differently. All times are set, and
the order in which entries are made can be turned round.
"""

import os
import stat
import struct

from lib.content import mixed, noise, text

EPOCH = 1700000000
TIMES = {
    "now-ns": 1700000000_123456789,
    "zero": 0,
    "one-ns": 1,
    "negative": -1_500000000,
    "y1901": -2147483647_000000000 + 7,
    "y2038": 2147483648_999999999,
    "y2106": 4294967296_000000001,
    "y2400": 13569465600_000000000,
}
IDS = (0, 1, 65534, 65535, 65536, 100000, 4294967294)
NAMES = (
    b"-dash-first", b"!bang", b"+plus", b"...", b".hidden", b"..x", b". ",
    b" ", b"with space", b"with\nnewline", b"with\ttab", b"with\\backslash",
    b'with"quote', b"with'quote", b"\x01\x02\x7f", b"\xff\xfe-not-utf8",
    b"caf\xe9", "\u00fcn\u00ef-\u540d\u524d-\U0001f642".encode(), b"*", b"~",
    b"A", b"a", b"aa", b"a.", b"a-", b"Z", b"\xc3\xa9", b"n" * 255,
    "\u00e9".encode() * 127, b"n" * 254,
)
CAPABILITY = struct.pack("<5I", 0x02000001, 0x2400, 0, 0, 0)
ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ = 0x01, 0x02, 0x04
ACL_GROUP, ACL_MASK, ACL_OTHER = 0x08, 0x10, 0x20
NOBODY = 0xFFFFFFFF


def acl(*extra):
    """A POSIX ACL as the kernel's xattr holds it."""
    entries = [(ACL_USER_OBJ, 7, NOBODY), (ACL_GROUP_OBJ, 5, NOBODY),
               (ACL_MASK, 7, NOBODY), (ACL_OTHER, 5, NOBODY)]
    entries = sorted(entries + list(extra), key=lambda e: (e[0], e[2]))
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, perm, who) for tag, perm, who in entries)


class Builder:
    """Collects the wanted entries; finish() makes them in either order."""

    def __init__(self, root, backwards=False, zeros=False):
        self.root = os.fsencode(root)
        self.backwards = backwards
        self.zeros = zeros
        self.dirs = {}
        self.plain = []
        self.links = []
        self.attrs = []
        self.times = {}
        self.owners = {}
        self.modes = {}

    def path(self, name):
        return self.root + b"/" + os.fsencode(name)

    def dir(self, name, mode=0o755):
        self.dirs[os.fsencode(name)] = mode
        return name

    def file(self, name, data=b"", mode=0o644):
        self.plain.append((os.fsencode(name), data))
        self.modes[os.fsencode(name)] = mode

    def sparse(self, name, size, parts):
        """A file of size bytes: data at offsets, holes between."""
        self.plain.append((os.fsencode(name), (size, parts)))
        self.modes[os.fsencode(name)] = 0o644

    def symlink(self, name, target):
        self.plain.append((os.fsencode(name), "->" + os.fsdecode(target)))

    def node(self, name, mode, rdev=0):
        self.plain.append((os.fsencode(name), (mode, rdev, "node")))
        self.modes[os.fsencode(name)] = stat.S_IMODE(mode)

    def link(self, name, old):
        self.links.append((os.fsencode(name), os.fsencode(old)))

    def xattr(self, name, attr, value):
        self.attrs.append((os.fsencode(name), attr, value))

    def time(self, name, ns):
        self.times[os.fsencode(name)] = ns

    def owner(self, name, uid, gid):
        self.owners[os.fsencode(name)] = (uid, gid)

    def _order(self, things):
        return list(reversed(things)) if self.backwards else list(things)

    def _make(self, name, what):
        path = self.path(name)
        if isinstance(what, str):
            os.symlink(os.fsencode(what[2:]), path)
        elif isinstance(what, bytes):
            with open(path, "wb") as out:
                out.write(what)
        elif what[-1] == "node":
            self._node(path, *what[:2])
        else:
            self._sparse(path, *what)

    @staticmethod
    def _node(path, mode, rdev):
        if stat.S_ISSOCK(mode):
            # A bound socket has a path limit, mknod has none.
            os.mknod(path, mode, 0)
        else:
            os.mknod(path, mode, rdev)

    def _sparse(self, path, size, parts):
        with open(path, "wb") as out:
            if self.zeros:
                for start in range(0, size, 1 << 20):
                    out.write(bytes(min(1 << 20, size - start)))
            out.truncate(size)
            for offset, data in parts:
                out.seek(offset)
                out.write(data)

    def finish(self):
        for name in sorted(self.dirs):
            os.mkdir(self.path(name))
        for name, what in self._order(self.plain):
            self._make(name, what)
        for name, old in self.links:
            os.link(self.path(old), self.path(name), follow_symlinks=False)
        self._dress()

    def _dress(self):
        for name, (uid, gid) in self.owners.items():
            os.chown(self.path(name), uid, gid, follow_symlinks=False)
        for name, mode in list(self.modes.items()) + list(self.dirs.items()):
            os.chmod(self.path(name), mode)
        os.chmod(self.root, 0o755)
        for name, attr, value in self._order(self.attrs):
            os.setxattr(self.path(name), attr, value, follow_symlinks=False)
        names = [name for name, _ in self.plain]
        for name in names + sorted(self.dirs, reverse=True) + [b"."]:
            ns = self.times.get(name, EPOCH * 10**9)
            os.utime(self.path(name), ns=(ns, ns), follow_symlinks=False)


def _sizes(b):
    b.dir("sizes")
    edges = set()
    for bs in (512, 1024, 2048, 4096):
        edges |= {0, 1, bs - 1, bs, bs + 1, 2 * bs - 1, 2 * bs, 2 * bs + 1}
        # Around the longest inline tail of either inode form.
        for core in (32, 64):
            edges |= {bs - core - 1, bs - core, bs - core + 1,
                      bs + bs - core}
    edges |= {3 * 4096 + 7, 65535, 65536, 65537, 131072 + 4095, 262144 + 1}
    for size in sorted(edges):
        b.file("sizes/t%d" % size, text(size, size))
        b.file("sizes/r%d" % size, noise(size, size))


def _contents(b):
    b.dir("content")
    b.file("content/text1m", text(1 << 20))
    b.file("content/text1m-again", text(1 << 20))
    b.file("content/noise300k", noise(300001))
    b.file("content/mixed4k", mixed(400003))
    b.file("content/mixed700", mixed(200000, 700))
    b.file("content/island", noise(50000) + text(20000) + noise(50000, 1))
    b.file("content/repeat", b"abc" * 200000)
    b.file("content/repeat-x", b"x" * 300001)
    b.file("content/far-match", noise(65000, 3) + noise(65000, 3))
    b.file("content/zero-tail", text(10000) + bytes(9000))
    b.sparse("content/zeros20m", 20 << 20, [])
    b.sparse("content/hole-first", 1 << 20, [((1 << 20) - 1, b"x")])
    b.sparse("content/hole-last", 3 << 20, [(0, b"y" * 5000)])
    b.sparse("content/hole-mid", 2 << 20, [(0, text(9999)),
                                           (1 << 20, noise(8192)),
                                           ((2 << 20) - 100, b"z" * 100)])
    b.sparse("content/one-hole", 4096, [])
    b.sparse("content/odd-hole", 123457, [(70001, b"q")])


def _links(b, full):
    b.dir("links")
    for size in (1, 59, 60, 255, 1000, 3967, 4031, 4032, 4063, 4064, 4095):
        b.symlink("links/len%d" % size, b"t" * size)
    b.symlink("links/dangling", "no/such/thing")
    b.symlink("links/loop", "loop")
    b.symlink("links/dir", "../sizes")
    b.symlink("links/bytes", b"\xff\xfe\n")
    b.dir("hard")
    b.dir("hard/sub")
    b.file("hard/a", b"one inode, three names\n")
    b.link("hard/b", "hard/a")
    b.link("hard/sub/c", "hard/a")
    b.symlink("hard/symlink", "a")
    b.link("hard/symlink2", "hard/symlink")
    b.file("hard/big", text(70000, 9))
    b.link("hard/sub/big", "hard/big")
    if full:
        # tar forgets that these are one.
        b.node("hard/fifo", stat.S_IFIFO | 0o600)
        b.link("hard/fifo2", "hard/fifo")
        b.file("hard/many", b"many names")
        for i in range(300):
            b.link("hard/m%03d" % i, "hard/many")


def _nodes(b):
    b.dir("nodes")
    for kind, name in ((stat.S_IFCHR, "c"), (stat.S_IFBLK, "b")):
        for major, minor in ((1, 3), (0, 255), (259, 70000), (4095, 1048575),
                             (255, 256), (4095, 0)):
            b.node("nodes/%s%d-%d" % (name, major, minor), kind | 0o640,
                   os.makedev(major, minor))
    b.node("nodes/fifo", stat.S_IFIFO | 0o622)
    b.node("nodes/socket", stat.S_IFSOCK | 0o777)


def _meta(b):
    b.dir("times")
    for name, ns in TIMES.items():
        b.file("times/" + name, name.encode())
        b.time("times/" + name, ns)
    b.symlink("times/symlink", "x")
    b.time("times/symlink", 1234567890_000000001)
    b.time("times", 1700000000_000000001)
    b.dir("ids")
    for uid in IDS:
        for gid in (uid, 5):
            b.file("ids/%d-%d" % (uid, gid))
            b.owner("ids/%d-%d" % (uid, gid), uid, gid)
    b.symlink("ids/symlink", "x")
    b.owner("ids/symlink", 70000, 70001)
    b.dir("modes")
    for mode in (0, 0o777, 0o7777, 0o4755, 0o2755, 0o1777, 0o400):
        b.file("modes/f%o" % mode, b"", mode)
        b.dir("modes/d%o" % mode, mode)


def _names(b):
    b.dir("names")
    for i, name in enumerate(NAMES):
        b.file(b"names/" + name, b"%d" % i)
    b.dir("empty")
    b.dir("empty/also")
    deep = "deep"
    b.dir(deep)
    for level in range(60):
        deep += "/level-%02d" % level
        b.dir(deep)
    b.file(deep + "/leaf", b"down here")


def _directories(b):
    """Directories whose entries end around the end of a block."""
    b.dir("dirs")
    for bs in (512, 4096):
        for want in (bs - 1, bs, bs + 1, 2 * bs, 2 * bs + 1):
            name = b.dir("dirs/d%d" % want)
            used = 12 * 2 + 3
            i = 0
            while want - used > 300:
                b.file("%s/%08d" % (name, i))
                used += 12 + 8
                i += 1
            half = (want - used) // 2 - 12
            rest = want - used - half - 24
            b.file(name + "/" + "x" * half)
            b.file(name + "/" + "y" * rest)
    b.dir("dirs/many")
    for i in range(1500):
        b.file("dirs/many/entry-%d" % (i * 7919 % 1500))
    b.dir("dirs/subdirs")
    for i in range(150):
        b.dir("dirs/subdirs/%d" % i)


def _xattrs(b, full):
    b.dir("xattrs")
    for i in range(40):
        b.file("xattrs/shared%d" % i, b"s" * i)
        b.xattr("xattrs/shared%d" % i, "user.shared", b"by all of them")
        if i % 3 == 0:
            b.xattr("xattrs/shared%d" % i, "security.label", b"third\0")
        if i % 20 == 0:
            b.xattr("xattrs/shared%d" % i, "trusted.pair", b"two only")
    b.file("xattrs/empty")
    b.xattr("xattrs/empty", "user.empty", b"")
    b.file("xattrs/some", text(5000))
    for i in range(60):
        b.xattr("xattrs/some", "user.n%d" % i, b"v" * (i % 7))
    b.file("xattrs/large", b"l")
    b.xattr("xattrs/large", "user.large", noise(2800))
    b.file("xattrs/longname")
    b.xattr("xattrs/longname", "user." + "l" * 250, b"long")
    b.file("xattrs/caps", b"#!/bin/true\n", 0o755)
    b.xattr("xattrs/caps", "security.capability", CAPABILITY)
    b.file("xattrs/acl", b"acl", 0o755)
    b.xattr("xattrs/acl", "system.posix_acl_access",
            acl((ACL_USER, 6, 1000), (ACL_GROUP, 4, 70000)))
    b.dir("xattrs/acldir", 0o755)
    b.xattr("xattrs/acldir", "system.posix_acl_access",
            acl((ACL_USER, 7, 12)))
    b.xattr("xattrs/acldir", "system.posix_acl_default",
            acl((ACL_USER, 5, 13)))
    b.dir("xattrs/opaque")
    b.xattr("xattrs/opaque", "trusted.overlay.opaque", b"y")
    b.symlink("xattrs/symlink", "caps")
    b.xattr("xattrs/symlink", "trusted.onlink", b"1")
    b.node("xattrs/fifo", stat.S_IFIFO | 0o600)
    b.xattr("xattrs/fifo", "trusted.onfifo", b"1")
    b.xattr(".", "user.root", b"the root has one too")
    if full:
        b.file("xattrs/huge", text(9000))
        b.xattr("xattrs/huge", "user.64k", noise(65000))
        b.xattr("xattrs/huge", "user.16k", text(16384))
        for name in ("xattrs/crowd1", "xattrs/crowd2", "xattrs/crowd3"):
            b.file(name, b"crowd")
            for i in range(300):
                b.xattr(name, "user.c%d" % i, b"%d" % i)


def build(root, profile="full", backwards=False, zeros=False, small=False):
    """Make the tree at root. small: without what needs wide fields."""
    full = profile == "full"
    b = Builder(root, backwards, zeros)
    _sizes(b)
    _contents(b)
    _links(b, full)
    _nodes(b)
    if not small:
        _meta(b)
    _names(b)
    _directories(b)
    _xattrs(b, full)
    b.finish()
    return root
