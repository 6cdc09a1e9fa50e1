# SPDX-License-Identifier: Apache-2.0
"""Each option, the tree of edges, and the kernel as the judge."""

import os

import pytest

from lib import oracle

SAME = [
    [],
    ["-zlz4"],
    ["-zlz4hc,9"],
    ["-zlz4hc,12", "-C4096"],
    ["-zlz4", "-C65536"],
    ["-zlz4hc,9", "-C65536"],
    ["-zlz4", "-C1048576"],
    ["-zlz4hc", "-C16384", "-x1"],
    ["-b512"],
    ["-b1024"],
    ["-b2048"],
    ["-b4096", "-zlz4"],
    ["-b512", "-zlz4"],
    ["-b512", "-zlz4hc", "-C131072"],
    ["-b1024", "-zlz4", "-C262144"],
    ["-b2048", "-zlz4hc", "-C524288"],
    ["-b2048", "-zlz4"],
    ["-Enoinline_data"],
    ["-E^inline_data", "-zlz4"],
    ["-Enoinline_data", "-b512", "-zlz4"],
    ["-Eforce-inode-extended"],
    ["-Eforce-inode-extended", "-zlz4", "-C65536"],
    ["-Enosbcrc"],
    ["-x0"],
    ["-x1"],
    ["-x2147483647"],
    ["-x0", "-b512", "-zlz4"],
    ["--preserve-mtime"],
    ["--workers=1", "-zlz4"],
    ["-Lvolume", "-U", "12345678-1234-5678-9abc-123456789abc"],
    ["--mkfs-time", "-T12345"],
]

CHANGED = {
    "all-root": (["--all-root"], {"uid": 0, "gid": 0}),
    "force": (["--force-uid=70000", "--force-gid=7"],
              {"uid": 70000, "gid": 7}),
    "force-uid": (["--force-uid=0", "-zlz4"], {"uid": 0}),
    "time": (["-T1234567890"], {"mtime": 1234567890 * 10**9}),
    "time-zero": (["-T0", "-zlz4"], {"mtime": 0}),
    "all-time": (["--all-time", "-T77"], {"mtime": 77 * 10**9}),
    "no-xattrs": (["-x-1"], {"xattrs": {}}),
    "no-xattrs-b512": (["-x-1", "-b512", "-zlz4"], {"xattrs": {}}),
}


def name_of(options):
    return "".join(options).replace("--", "_") or "plain"


def check(mkfs, mounter, work, source, options, want, how="mount"):
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", *options, image, source)
    with mounter.mounted(image, how) as where:
        got = oracle.normal(oracle.walk(where), image=True)
    oracle.assert_same(want, got)


@pytest.mark.parametrize("options", SAME, ids=name_of)
def test_same(mkfs, mounter, work, edges, options):
    check(mkfs, mounter, work, edges.path, options, edges.records)


@pytest.mark.parametrize("options", [[], ["-zlz4"], ["-b512", "-zlz4hc"],
                                     ["-zlz4hc", "-C1048576"]], ids=name_of)
def test_same_by_loop(mkfs, mounter, work, edges, options):
    check(mkfs, mounter, work, edges.path, options, edges.records, "loop")


@pytest.mark.parametrize("case", sorted(CHANGED))
def test_changed(mkfs, mounter, work, edges, case):
    options, fields = CHANGED[case]
    want = oracle.changed(edges.records, **fields)
    check(mkfs, mounter, work, edges.path, options, want)


def test_id_offsets(mkfs, mounter, work, small_edges):
    want = oracle.changed(small_edges.records, uid=lambda v: v + 100000,
                          gid=lambda v: v + 200000)
    check(mkfs, mounter, work, small_edges.path,
          ["--uid-offset=100000", "--gid-offset=200000"], want)


@pytest.mark.parametrize("more", [[], ["-zlz4"], ["-b512"]], ids=name_of)
def test_force_compact(mkfs, mounter, work, small_edges, more):
    """With one time for all, compact inodes lose nothing."""
    want = oracle.changed(small_edges.records, mtime=1600000000 * 10**9)
    check(mkfs, mounter, work, small_edges.path,
          ["-Eforce-inode-compact", "-T1600000000", *more], want)


def test_force_compact_refuses_wide_ids(mkfs, work):
    source = os.path.join(work, "src")
    os.mkdir(source)
    wide = os.path.join(source, "wide-owner")
    with open(wide, "w"):
        pass
    os.chown(wide, 65536, 0)
    result = mkfs.fails("-Eforce-inode-compact",
                        os.path.join(work, "out.img"), source)
    assert "wide-owner" in result.errors


def test_ignore_mtime(mkfs, mounter, work, edges):
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "--ignore-mtime", image, edges.path)
    with mounter.mounted(image) as where:
        got = oracle.normal(oracle.walk(where), image=True)
    assert len({rec["mtime"] for rec in got.values()}) == 1
    oracle.assert_same(oracle.without(edges.records, "mtime"),
                       oracle.without(got, "mtime"))


def test_source_date_epoch(mkfs, mounter, work, edges):
    """Newer times become it, older ones stay."""
    limit = 1700000000
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", image, edges.path,
            env={"SOURCE_DATE_EPOCH": str(limit)})
    want = oracle.changed(edges.records,
                          mtime=lambda ns: min(ns, limit * 10**9))
    with mounter.mounted(image) as where:
        got = oracle.normal(oracle.walk(where), image=True)
    oracle.assert_same(want, got)


def test_hard_dereference(mkfs, mounter, work, edges):
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "--hard-dereference", image, edges.path)
    want = {}
    for path, rec in edges.records.items():
        new = oracle.Record(rec)
        if "group" in new:
            new["group"] = (path,)
            new["nlink"] = 1
        want[path] = new
    with mounter.mounted(image) as where:
        got = oracle.normal(oracle.walk(where), image=True)
    oracle.assert_same(want, got)


def _dropped(records, gone):
    """The records without what gone() names, and counted anew."""
    kept = {path: oracle.Record(rec) for path, rec in records.items()
            if not any(gone(part) for part in _prefixes(path))}
    for path, rec in kept.items():
        if rec["type"] == "dir":
            rec["nlink"] = 2 + sum(
                1 for p, r in kept.items() if r["type"] == "dir"
                and p != b"." and (os.path.dirname(p) or b".") == path)
        else:
            rec["group"] = tuple(p for p in rec["group"] if p in kept)
            rec["nlink"] = len(rec["group"])
    return kept


def _prefixes(path):
    parts = path.split(b"/")
    return [b"/".join(parts[:n + 1]) for n in range(len(parts))]


def test_exclude_path(mkfs, mounter, work, edges):
    want = _dropped(edges.records, lambda p: p in (b"hard/sub", b"sizes/t0"))
    check(mkfs, mounter, work, edges.path,
          ["--exclude-path=hard/sub", "--exclude-path=sizes/t0"], want)


def test_exclude_regex(mkfs, mounter, work, edges):
    want = _dropped(edges.records, lambda p: p.startswith(b"dirs/d")
                    or p.startswith(b"names"))
    check(mkfs, mounter, work, edges.path,
          ["--exclude-regex=^dirs/d", "--exclude-regex=^names$"], want)


def test_checksum_is_verified_by_the_kernel(mkfs, mounter, work, small_edges):
    """The image has a checksum, and it covers the superblock."""
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", image, small_edges.path)
    with open(image, "r+b") as f:
        f.seek(1024 + 0x30)
        byte = f.read(1)
        f.seek(1024 + 0x30)
        f.write(bytes([byte[0] ^ 1]))
    mounter.refuses(image)


def test_label_as_the_kernel_sees_it(mkfs, mounter, work, small_edges):
    import fcntl
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "-L", "fifteen-letters", image, small_edges.path)
    with mounter.mounted(image) as where:
        fd = os.open(where, os.O_RDONLY)
        try:
            label = fcntl.ioctl(fd, 0x81009431, bytes(256))
        except OSError:
            pytest.skip("this kernel does not tell the label")
        finally:
            os.close(fd)
    assert label.rstrip(b"\0") == b"fifteen-letters"


def test_statfs(mkfs, mounter, work, edges):
    """Blocks that df shows are those of the image."""
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", image, edges.path)
    with mounter.mounted(image) as where:
        st = os.statvfs(where)
    assert st.f_bsize == 4096
    assert st.f_blocks * 4096 == os.path.getsize(image)
