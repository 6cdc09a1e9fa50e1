# SPDX-License-Identifier: Apache-2.0
"""Every algorithm with sizes and features, the kernel as the judge.

The rows pair algorithm, block size, size of clusters and features so that each
pair of values occurs about once.
"""

import json
import os
import re
import struct

import pytest

from lib import erofs, oracle

ROWS = [
    ["-zzstd,1", "-b512", "-Eztailpacking"],
    ["-zzstd", "-b512", "-C1047552"],
    ["-zzstd", "-b1024", "-C1048576", "-Elegacy-compress"],
    ["-zzstd,dictsize=1024", "-b2048", "-C16384"],
    ["-zzstd,dictsize=1048576", "-C262144", "--max-extent-bytes=131072"],
    ["-zzstd,level=5", "-C65536", "-Eztailpacking,legacy-compress"],
    ["-zzstd", "-C16384", "-Edot-omitted,ztailpacking", "--dsunit=8"],
    ["-zlzma,1", "-C16384", "-Elegacy-compress"],
    ["-zlzma,0", "-b512", "-C524288"],
    ["-zlzma,1,dictsize=4096", "-b1024", "-Eztailpacking"],
    ["-zlzma,level=1,lc=0,lp=4,pb=4", "-b2048", "-C1048576"],
    ["-zlzma,1,dictsize=8388608", "-C1048576", "-Edot-omitted"],
    ["-zdeflate,0", "-C16384", "-Enoinline_data"],
    ["-zdeflate,6", "-b512", "-Elegacy-compress"],
    ["-zdeflate", "-b1024", "-C524288", "--max-extent-bytes=4096"],
    ["-zdeflate,3", "-b2048", "-Eztailpacking,legacy-compress"],
    ["-zlibdeflate", "-b2048", "-Edot-omitted"],
    ["-zlibdeflate,6", "-b512", "-C16384", "--dsunit=2"],
    ["-zlibdeflate,0", "-C4096", "-Elegacy-compress"],
    ["-zlibdeflate,6", "-C65536", "-Eztailpacking"],
    ["-zlz4", "-Elegacy-compress,ztailpacking"],
    ["-zlz4hc", "-C65536", "-Elegacy-compress", "--max-extent-bytes=65536"],
    ["-zlz4", "-b512", "-C131072", "-Elegacy-compress,dot-omitted"],
    ["-zlz4", "-b512", "-Eztailpacking", "-x0", "-Exattr-name-filter"],
    ["-zlz4:zstd:lzma:deflate", "-C65536"],
    ["-zzstd", "-C65536", "-E48bit"],
    ["-zzstd", "-C1048576", "-E48bit,dot-omitted"],
    ["-zdeflate", "-b512", "-C1047552", "-E48bit"],
    ["-zlibdeflate", "-C4096", "-E48bit,noinline_data", "--dsunit=4"],
    ["-zlzma,1", "-b1024", "-C131072", "-E48bit,ztailpacking"],
    ["-zlz4hc", "-C65536", "-E48bit"],
    ["--dsunit=16", "-Edot-omitted", "-b1024"],
    ["--dsunit=7", "-Eforce-inode-extended,dot-omitted", "-b512"],
    ["-Exattr-name-filter", "--xattr-prefix=user.n", "-b512",
     "--xattr-prefix=trusted."],
    ["--xattr-prefix=user.", "--xattr-prefix=security.capa", "-x0",
     "-zlz4hc", "-Exattr-name-filter"],
]
# One a codec over the whole tree of edges.
FULL = [
    ["-zzstd"],
    ["-zlzma,1", "-C65536"],
    ["-zdeflate", "-C65536"],
    ["-zlibdeflate"],
    ["-zlz4hc", "-Eztailpacking"],
]
# What takes a codec long.
SLOW = [
    ["-zzstd,level=19", "-C65536"],
    ["-zzstd,22", "-C1048576"],
    ["-zlzma,9", "-C65536"],
    ["-zlzma,109", "-C1048576", "-Eztailpacking"],
    ["-zdeflate,9", "-C65536", "-b512"],
    ["-zlibdeflate,12", "-C1048576"],
]


def name_of(options):
    return "".join(options).replace("--", "_") or "plain"


def check(mkfs, fsck, mounter, work, tree, options):
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", *options, image, tree.path)
    with mounter.mounted(image) as where:
        got = oracle.normal(oracle.walk(where), image=True)
    oracle.assert_same(tree.records, got)
    fsck.ok("--extract", image)
    return image


@pytest.mark.parametrize("options", ROWS, ids=name_of)
def test_round_trip(mkfs, fsck, mounter, work, small_edges, options):
    check(mkfs, fsck, mounter, work, small_edges, options)


@pytest.mark.parametrize("options", FULL, ids=name_of)
def test_round_trip_full(mkfs, fsck, mounter, work, edges, options):
    check(mkfs, fsck, mounter, work, edges, options)


@pytest.mark.soak
@pytest.mark.parametrize("options", SLOW, ids=name_of)
def test_round_trip_slow(mkfs, fsck, mounter, work, edges, options):
    check(mkfs, fsck, mounter, work, edges, options)


HINTS = """# sizes and algorithms
0 ^plain$
65536 1 \\.z$
4096 2 lzma
1048576 big
"""


@pytest.fixture
def files(work):
    path = os.path.join(work, "files")
    os.mkdir(path)
    text = b"".join(b"line %d of a file\n" % i for i in range(20000))
    for name in ("plain", "x", "a.z", "lzma", "big", "other"):
        with open(os.path.join(path, name), "wb") as out:
            out.write(text)
    return path


def announced(image):
    with open(image, "rb") as file:
        file.seek(1024 + 0x54)
        return int.from_bytes(file.read(2), "little")


def blocks(where, name):
    return os.stat(os.path.join(where, name)).st_blocks


def test_hints_choose(mkfs, mounter, work, files):
    hints = os.path.join(work, "hints")
    with open(hints, "w") as out:
        out.write(HINTS)
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "-zlz4:zstd:lzma", "--compress-hints=" + hints,
            image, files)
    assert announced(image) == 0b1011
    with mounter.mounted(image) as where:
        with open(os.path.join(where, "other"), "rb") as one:
            want = one.read()
        for name in os.listdir(files):
            with open(os.path.join(where, name), "rb") as file:
                assert file.read() == want
        size = os.stat(os.path.join(where, "plain")).st_size
        assert blocks(where, "plain") == (size + 4095) // 4096 * 8
        assert blocks(where, "a.z") < blocks(where, "big")
        assert blocks(where, "lzma") < blocks(where, "other")
        assert blocks(where, "other") < blocks(where, "plain")


def test_only_what_is_used_is_announced(mkfs, work, files):
    """A kernel that lacks an announced algorithm would refuse the image."""
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "-zzstd:lzma", "-C65536", image, files)
    assert announced(image) == 0b1000


@pytest.mark.parametrize("line, word", [
    ("x .*", "number"), ("4096", "pattern"), ("4096 1 .*", "algorithm"),
    ("4096 (", "("), ("5000 .*", "5000"), ("2097152 .*", "2097152")])
def test_wrong_hints(mkfs, work, files, line, word):
    hints = os.path.join(work, "hints")
    with open(hints, "w") as out:
        out.write("# one\n" + line + "\n")
    result = mkfs.fails("-zlz4", "--compress-hints=" + hints,
                        os.path.join(work, "out.img"), files)
    assert word in result.errors


ANY_WORKERS = ["zstd", "lzma,1", "deflate,9", "libdeflate,5", "lz4hc", "lz4"]


@pytest.mark.parametrize("more", [[], ["-E48bit"], ["-Eztailpacking"]],
                         ids=name_of)
@pytest.mark.parametrize("codec", ANY_WORKERS)
def test_workers_change_nothing(mkfs, work, files, codec, more):
    images = []
    for workers in (1, 2, 8):
        image = os.path.join(work, "%d.img" % workers)
        mkfs.ok("--quiet", "--no-sync", "-z" + codec, "-C65536", *more,
                "--workers=%d" % workers, image, files)
        with open(image, "rb") as file:
            images.append(file.read())
    assert images[0] == images[1] == images[2]


@pytest.mark.parametrize("codec", ANY_WORKERS)
def test_programs_know_codecs(mkfs, dump, fsck, work, files, codec):
    """-V has the library, --verify decodes, dump and fsck tell and check."""
    name = codec.split(",", maxsplit=1)[0]
    image = os.path.join(work, "out.img")
    assert name + " (" in mkfs.ok("-V").text
    mkfs.ok("--quiet", "--verify", "-z" + codec, "-C65536", image, files)
    told = dump.ok(image).text
    assert {"libdeflate": "deflate", "lz4hc": "lz4"}.get(name, name) in told
    fsck.ok("--strict", image)


@pytest.mark.parametrize("codec", ["zstd", "zstd,9", "deflate,9",
                                   "libdeflate,6"])
def test_one_pass_nearly(mkfs, work, codec):
    """What goes through the codec is at most twice what is encoded."""
    source = os.path.join(os.path.dirname(__file__), "..", "..", "lib")
    result = mkfs.ok("--json", "-z" + codec, "-C16384",
                     os.path.join(work, "out.img"), source)
    stats = json.loads(result.text)
    assert stats["codec_bytes_in"] <= 2 * stats["bytes_in"]


def features(image):
    with open(image, "rb") as file:
        file.seek(1024 + 0x50)
        return int.from_bytes(file.read(4), "little")


def test_tails_are_packed(mkfs, work, small_edges):
    sizes = []
    for more in ([], ["-Eztailpacking"]):
        image = os.path.join(work, "out.img")
        mkfs.ok("--quiet", "-zlz4", *more, image, small_edges.path)
        sizes.append(os.stat(image).st_size)
        assert bool(features(image) & 0x10) == bool(more)
    assert sizes[1] < sizes[0]


PACKED = [["-zlz4"], ["-zlz4hc", "-Elegacy-compress"], ["-zzstd", "-b1024"],
          ["-zlzma,1", "-C65536"], ["-zdeflate", "-b512", "-T0"],
          ["-zlibdeflate", "-b2048", "-Enoinline_data"]]


@pytest.mark.parametrize("options", PACKED, ids=name_of)
def test_small_files_are_packed(mkfs, fsck, mounter, work, options):
    """Files of up to a block, coded next to their inodes, or a little more."""
    source = os.path.join(work, "src")
    os.mkdir(source)
    want = {}
    for size in (1, 2, 40, 63, 64, 65, 100, 300, 511, 512, 513, 1000, 1023,
                 1024, 1025, 2047, 2048, 2049, 3000, 4000, 4060, 4090, 4095,
                 4096, 4097, 5000, 8191, 8192, 8193):
        text = (b"%d words of a file, " % size * 500)[:size]
        for kind, data in (("text", text), ("noise", os.urandom(size)),
                           ("half", os.urandom(size // 2) + text[size // 2:])):
            want["%s-%d" % (kind, size)] = data
    for name, data in want.items():
        with open(os.path.join(source, name), "wb") as out:
            out.write(data)
    sizes = []
    for more in ([], ["-Eztailpacking"]):
        image = os.path.join(work, "out.img")
        mkfs.ok("--quiet", *options, *more, image, source)
        sizes.append(os.stat(image).st_size)
        with mounter.mounted(image) as where:
            assert sorted(os.listdir(where)) == sorted(want)
            for name, data in want.items():
                with open(os.path.join(where, name), "rb") as file:
                    assert file.read() == data, name
        fsck.ok("--extract", image)
    assert sizes[1] < sizes[0] - 8192


def test_dots_are_omitted(mkfs, mounter, work, files):
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "-Edot-omitted", image, files)
    assert features(image) & 0x80
    with mounter.mounted(image) as where:
        assert sorted(os.listdir(where)) == sorted(os.listdir(files))
        assert os.stat(where).st_nlink == 2


def test_long_prefixes(mkfs, mounter, work):
    source = os.path.join(work, "src")
    os.mkdir(source)
    want = {}
    for i in range(20):
        path = os.path.join(source, "f%d" % i)
        with open(path, "w"):
            pass
        want[i] = {"user.long.prefix.%d" % (i % 3): b"a%d" % (i % 4),
                   "trusted.overlay." + "x" * i: b"b",
                   "user.long.prefi": b"c"}
        for name, value in want[i].items():
            os.setxattr(path, name, value)
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "--xattr-prefix=user.long.prefix.",
            "--xattr-prefix=trusted.overlay.", image, source)
    assert features(image) & 0x40
    with mounter.mounted(image) as where:
        for i in range(20):
            path = os.path.join(where, "f%d" % i)
            assert set(os.listxattr(path)) == set(want[i])
            for name, value in want[i].items():
                assert os.getxattr(path, name) == value
            with pytest.raises(OSError):
                os.getxattr(path, "user.long.prefix.9")


def test_filter_hides_nothing(mkfs, mounter, work):
    source = os.path.join(work, "src")
    os.mkdir(source)
    for i in range(60):
        os.setxattr(source, "user.name%d" % i, b"v%d" % i)
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "-Exattr-name-filter", image, source)
    with mounter.mounted(image) as where:
        for i in range(60):
            assert os.getxattr(where, "user.name%d" % i) == b"v%d" % i
        with pytest.raises(OSError):
            os.getxattr(where, "user.other")


def test_alignment(mkfs, dump, work):
    source = os.path.join(work, "src")
    os.mkdir(source)
    for i in range(1, 12):
        with open(os.path.join(source, "f%d" % i), "wb") as out:
            out.write(b"%d" % i * 4096 * i)
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "--dsunit=4", image, source)
    with open(image, "rb") as file:
        data = file.read()
    for i in range(1, 12):
        at = data.index(b"%d" % i * 4096 * i)
        if len(b"%d" % i) * i >= 4:
            assert at % (4 * 4096) == 0


COMPAT = [
    ("any", [], None), ("any", ["-zlz4"], None), ("5.4", ["-zlz4hc"], None),
    ("any", ["-zlz4", "-C8192"], "several blocks"),
    ("5.13", ["-zlz4", "-C8192"], None),
    ("5.15", ["-zlzma"], "lzma"), ("5.16", ["-zlzma"], None),
    ("rhel-9", ["-zlzma"], "lzma"), ("debian-12", ["-zlzma"], None),
    ("debian-12", ["-zdeflate"], "deflate"), ("6.6", ["-zdeflate"], None),
    ("debian-12", ["-zzstd"], "zstd"), ("debian-13", ["-zzstd"], None),
    ("5.16", ["-zlz4", "-Eztailpacking"], "tail"),
    ("5.17", ["-zlz4", "-Eztailpacking"], None),
    ("6.3", ["-b512"], "smaller"), ("6.4", ["-b512"], None),
    ("6.7", ["-b512", "-zlz4"], "compression"),
    ("6.8", ["-b512", "-zlz4"], None),
    ("6.3", ["--xattr-prefix=user.x."], "prefixes"),
    ("6.14", ["-Edot-omitted"], "48-bit"), ("6.15", ["-Edot-omitted"], None),
    ("5.14", ["--chunksize=4096"], "chunk"),
]


@pytest.mark.parametrize("kernel, options, word", COMPAT)
def test_compat(mkfs, work, files, kernel, options, word):
    image = os.path.join(work, "out.img")
    args = ["--json", "--compat=" + kernel, *options, image, files]
    if word:
        result = mkfs.fails(*args)
        assert word in result.errors
        assert not os.path.exists(image)
        return
    stats = json.loads(mkfs.ok(*args).text)
    newest = {"any": "5.4", "debian-12": "6.1", "debian-13": "6.12",
              "rhel-9": "5.14"}.get(kernel, kernel)
    assert ([int(n) for n in stats["oldest_kernel"].split(".")]
            <= [int(n) for n in newest.split(".")])


def test_compat_keeps_to_old_ways(mkfs, work):
    """Holes need chunks, which an old kernel has not."""
    source = os.path.join(work, "src")
    os.mkdir(source)
    with open(os.path.join(source, "sparse"), "wb") as out:
        out.write(b"x")
        out.truncate(20 << 20)
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", image, source)
    assert features(image) & 0x4
    mkfs.ok("--quiet", "--compat=5.10", image, source)
    assert not features(image)


@pytest.mark.parametrize("options", [
    [], ["-b1024"], ["-zlz4"], ["-zlz4", "-b1024"], ["-zdeflate", "-b512"],
    ["-zlz4", "-C8192"], ["-zlz4", "-Eztailpacking"], ["-zzstd", "-b2048"],
    ["-zlzma,1"], ["-zzstd", "-E48bit"], ["-Edot-omitted"],
    ["--chunksize=4096"], ["--xattr-prefix=user.x"]], ids=name_of)
def test_dump_tells_the_same_kernel(mkfs, dump, work, files, options):
    """What the summary says is read out of the image again."""
    image = os.path.join(work, "out.img")
    stats = json.loads(mkfs.ok("--json", *options, image, files).text)
    told = json.loads(dump.ok("--json", image).text)["superblock"]
    assert told["oldest_kernel"] == stats["oldest_kernel"]


@pytest.mark.parametrize("name", ["speed", "balanced", "small"])
def test_profiles(mkfs, fsck, work, files, name):
    image = os.path.join(work, "out.img")
    same = os.path.join(work, "same.img")
    options = {"speed": ["-zlz4", "-C65536"],
               "balanced": ["-zlz4hc,9", "-C65536", "-Eztailpacking"],
               "small": ["-zlzma,6", "-C1048576", "-Eztailpacking"]}[name]
    mkfs.ok("--quiet", "--profile=" + name, image, files)
    mkfs.ok("--quiet", *options, same, files)
    with open(image, "rb") as one, open(same, "rb") as two:
        assert one.read() == two.read()
    mkfs.ok("--quiet", "--profile=" + name, "-zzstd", "-C8192", image, files)
    assert announced(image) == 0b1000
    fsck.ok("--extract", image)


# What our encoders keep to: a byte of a configuration, a value that the kernel
# takes, and the next that it does not.
LIMITS = [
    (["-zlz4", "-C1048576"], "<H", 4, 256, 257),
    (["-zlz4", "-C131072", "-b512"], "<H", 4, 256, 257),
    (["-zlzma,1", "-C8192"], "<I", 2, 4096, 4095),
    (["-zlzma,1", "-C8192"], "<I", 2, 8 << 20, (8 << 20) + 1),
    (["-zlzma,1", "-C8192"], "<H", 6, 0, 1),
    (["-zdeflate"], "<B", 2, 15, 16),
    (["-zzstd"], "<B", 3, 10, 11),
    (["-zzstd"], "<B", 2, 0, 1),
]


@pytest.mark.parametrize("options, form, at, good, bad", LIMITS)
def test_limits_from_both_sides(mkfs, mounter, work, files, options, form, at,
                                good, bad):
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "-Enosbcrc", *options, image, files)
    for value in (good, bad):
        with open(image, "r+b") as file:
            file.seek(1024 + 128 + at)
            file.write(struct.pack(form, value))
        if value == bad:
            mounter.refuses(image)
            continue
        with mounter.mounted(image) as where:
            assert len(os.listdir(where)) == 6


# Block size, the largest cluster of LZ4 and that of the others.
LARGEST = [(512, 131072, 1048064), (1024, 262144, 1048576),
           (2048, 524288, 1048576), (4096, 1048576, 1048576)]


@pytest.mark.parametrize("block, lz4, rest", LARGEST)
def test_largest_clusters(mkfs, mounter, work, block, lz4, rest):
    """The largest is made, used and read; a block more is refused."""
    source = os.path.join(work, "src")
    os.mkdir(source)
    unit = os.urandom(3 << 10)
    data = b"".join(unit[i % 1000:] + b"%d" % i for i in range(1500))
    with open(os.path.join(source, "f"), "wb") as out:
        out.write(data)
    image = os.path.join(work, "out.img")
    for codec, most in (("lz4", lz4), ("zstd,1", rest), ("deflate,1", rest),
                        ("libdeflate,1", rest), ("lzma,0", rest)):
        options = ["--quiet", "-z" + codec, "-b%d" % block]
        mkfs.ok(*options, "-C%d" % most, image, source)
        with mounter.mounted(image) as where:
            with open(os.path.join(where, "f"), "rb") as file:
                assert file.read() == data, codec
        result = mkfs.fails(*options, "-C%d" % (most + block), image, source)
        assert str(most + block) in result.errors


@pytest.mark.parametrize("codec", ["zstd,1", "deflate,1", "libdeflate,1",
                                   "lzma,0"])
def test_extents_of_more_than_2047_blocks(mkfs, dump, fsck, mounter, work,
                                          codec):
    """Encoded extents count bytes: small blocks do not limit them."""
    source = os.path.join(work, "src")
    os.mkdir(source)
    data = os.urandom(3 << 19).hex().encode() + bytes(5 << 19)
    with open(os.path.join(source, "f"), "wb") as out:
        out.write(data)
    image = os.path.join(work, "out.img")
    options = ["--quiet", "-z" + codec, "-b512", "-E48bit"]
    mkfs.ok(*options, "-C1048576", image, source)
    told = dump.ok("-e", "--path=/f", image).text
    assert max(int(n) for n in re.findall(
        r"^ *\d+:.*? \| *(\d+) :", told, re.M)) == 1 << 20
    fsck.ok("--extract", image)
    with mounter.mounted(image) as where:
        with open(os.path.join(where, "f"), "rb") as file:
            assert file.read() == data
    result = mkfs.fails(*options, "-C1049088", image, source)
    assert "1049088" in result.errors


@pytest.mark.parametrize("options, most", [
    (["-zzstd", "-C1048576", "-E48bit"], 65536),
    (["-zdeflate", "-C262144", "-E48bit", "-b512"], 512),
    (["-zlzma,1", "-C65536", "-E48bit"], 32768),
    (["-zlz4", "-C65536", "-E48bit"], 32768),
    (["-zzstd", "-C65536"], 65536), (["-zlz4", "-C8192", "-b512"], 1024),
    (["-zlz4", "-b1024"], 2048)])
def test_no_longer_extents(mkfs, fsck, dump, mounter, work, files, options,
                           most):
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "--verify", "--max-extent-bytes=%d" % most, *options,
            image, files)
    told = dump.ok("-e", "--path=/big", image).text
    lengths = [int(n) for n in re.findall(r"^ *\d+:.*? \| *(\d+) :", told,
                                              re.M)]
    assert lengths and max(lengths) <= most
    fsck.ok("--extract", image)
    with mounter.mounted(image) as where:
        with open(os.path.join(where, "big"), "rb") as got:
            with open(os.path.join(files, "big"), "rb") as want:
                assert got.read() == want.read()


def test_kernel_refuses_larger_clusters(mkfs, mounter, work):
    """From its side: a cluster of 256 blocks is read, one of 257 is not."""
    source = os.path.join(work, "src")
    os.mkdir(source)
    data = os.urandom(3 << 19).hex().encode()
    with open(os.path.join(source, "f"), "wb") as out:
        out.write(data)
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", "-zlzma,0", "-C1048576", "-Elegacy-compress",
            "-Enosbcrc", image, source)
    im = erofs.Image(image)
    node = im.inode("/f")
    at = [e[0] + 4 for e in node.full_indexes()
          if e[1] & 3 == 2 and im.get("<H", e[0] + 4)[0] == 0x800 | 256]
    assert at
    for count, good in ((256, True), (257, False)):
        im.put("<H", at[0], 0x800 | count)
        im.write(image)
        with mounter.mounted(image) as where:
            with open(os.path.join(where, "f"), "rb") as file:
                if good:
                    assert file.read() == data
                else:
                    with pytest.raises(OSError):
                        file.read()


@pytest.mark.parametrize("codec, least, most", [
    ("zstd", 1024, 1 << 20), ("lzma,1", 4096, 8 << 20),
    ("deflate", 512, 32768), ("deflate,9", 512, 32768)])
def test_dictionary_sizes(mkfs, mounter, work, files, codec, least, most):
    image = os.path.join(work, "out.img")
    for size in (least, most):
        mkfs.ok("--quiet", "-z%s,dictsize=%d" % (codec, size), image, files)
        with mounter.mounted(image) as where:
            with open(os.path.join(where, "x"), "rb") as got:
                with open(os.path.join(files, "x"), "rb") as want:
                    assert got.read() == want.read()
    for size in (least // 2, most * 2):
        mkfs.fails("-z%s,dictsize=%d" % (codec, size), image, files)
