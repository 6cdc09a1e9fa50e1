# SPDX-License-Identifier: Apache-2.0
"""What a tree is, completely, and how two trees differ.

walk() reads a tree into {path: record}. It goes down by directory file
descriptors, so that paths may be longer than PATH_MAX, and stats every name
by itself: a name that readdir lists but lookup misses raises here.
"""

import hashlib
import os
import stat

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
CHUNK = 1 << 20


class Record(dict):
    """The facts of one inode; a dict so that differences are easy to name."""


def _digest(dirfd, name):
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=dirfd)
    try:
        digest = hashlib.sha256()
        while True:
            data = os.read(fd, CHUNK)
            if not data:
                return digest.hexdigest()
            digest.update(data)
    finally:
        os.close(fd)


def _xattrs(dirfd, name):
    path = b"/proc/self/fd/%d/%s" % (dirfd, name)
    found = {}
    for attr in os.listxattr(path, follow_symlinks=False):
        value = os.getxattr(path, attr, follow_symlinks=False)
        found[os.fsencode(attr)] = value
    return found


def _record(dirfd, name, st):
    rec = Record()
    rec["type"] = KINDS[stat.S_IFMT(st.st_mode)]
    rec["mode"] = stat.S_IMODE(st.st_mode)
    rec["uid"] = st.st_uid
    rec["gid"] = st.st_gid
    rec["mtime"] = st.st_mtime_ns
    rec["nlink"] = st.st_nlink
    if rec["type"] == "file":
        rec["size"] = st.st_size
        rec["sha256"] = _digest(dirfd, name)
    elif rec["type"] == "symlink":
        rec["target"] = os.readlink(name, dir_fd=dirfd)
        rec["size"] = st.st_size
    elif rec["type"] in ("char", "block"):
        rec["rdev"] = (os.major(st.st_rdev), os.minor(st.st_rdev))
    rec["xattrs"] = _xattrs(dirfd, name)
    return rec


class Walker:
    def __init__(self, skip=()):
        self.skip = {os.fsencode(p) for p in skip}
        self.records = {}
        self.groups = {}

    def directory(self, fd, prefix):
        """Take in one directory; returns its number of subdirectories."""
        subdirs = 0
        names = [os.fsencode(name) for name in os.listdir(fd)]
        assert len(names) == len(set(names)), "duplicate names in %r" % prefix
        for name in sorted(names):
            path = prefix + name
            if path in self.skip:
                continue
            st = os.stat(name, dir_fd=fd, follow_symlinks=False)
            rec = _record(fd, name, st)
            self.records[path] = rec
            if rec["type"] == "dir":
                subdirs += 1
                sub = os.open(name, DIRECTORY, dir_fd=fd)
                try:
                    below = self.directory(sub, path + b"/")
                    rec["subdirs"] = below
                finally:
                    os.close(sub)
            else:
                self.groups.setdefault((st.st_dev, st.st_ino), []).append(path)
        return subdirs


def walk(root, skip=()):
    """The tree at root as {path: Record}; the root itself is b"."."""
    walker = Walker(skip)
    fd = os.open(root, DIRECTORY)
    try:
        top = _record(fd, b".", os.stat(fd))
        top["subdirs"] = walker.directory(fd, b"")
        walker.records[b"."] = top
    finally:
        os.close(fd)
    for paths in walker.groups.values():
        group = tuple(sorted(paths))
        for path in paths:
            walker.records[path]["group"] = group
    return walker.records


def normal(records, image=False):
    """Records in the form that a source and its image must share.

    A source directory's link count depends on its file system, and a source
    file may have links outside the tree; an image must count what it holds.
    """
    out = {}
    for path, rec in records.items():
        new = Record(rec)
        below = new.pop("subdirs", None)
        if image:
            pass
        elif new["type"] == "dir":
            new["nlink"] = 2 + below
        else:
            new["nlink"] = len(new["group"])
        out[path] = new
    return out


def changed(records, **fields):
    """Records with fields replaced; a callable gets the record's value."""
    out = {}
    for path, rec in records.items():
        new = Record(rec)
        for field, value in fields.items():
            new[field] = value(rec[field]) if callable(value) else value
        out[path] = new
    return out


def without(records, *fields):
    out = {}
    for path, rec in records.items():
        out[path] = Record((k, v) for k, v in rec.items() if k not in fields)
    return out


def _short(value):
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."


def differences(want, got, limit=20):
    """Lines that tell how got differs from want; empty when equal."""
    lines = []
    for path in sorted(set(want) | set(got)):
        if len(lines) >= limit:
            lines.append("... and more")
            break
        if path not in got:
            lines.append("%r: missing (%s)" % (path, want[path]["type"]))
        elif path not in want:
            lines.append("%r: not expected (%s)" % (path, got[path]["type"]))
        else:
            lines.extend(_fields(path, want[path], got[path]))
    return lines


def _fields(path, want, got):
    for field in sorted(set(want) | set(got)):
        a, b = want.get(field), got.get(field)
        if a != b:
            if field == "xattrs" and a is not None and b is not None:
                a = {k: v for k, v in a.items() if b.get(k) != v}
                b = {k: v for k, v in b.items()
                     if want[field].get(k) != v}
            yield "%r: %s: wanted %s, got %s" % (path, field, _short(a),
                                                 _short(b))


def assert_same(want, got):
    lines = differences(want, got)
    assert not lines, "trees differ:\n" + "\n".join(lines)
