# SPDX-License-Identifier: Apache-2.0
"""Each rule of fsck against an image with exactly that defect.

tests/data/fsck.tsv: defect (tests/lib/defects.py, tests/lib/badinput.py),
further options, codes that must be found (all of them and no other), exit
status; the same with --strict; what Linux 6.18 does with the image.
"""

import os
import re
import subprocess

import pytest

from lib import defects, fsckrun

TSV = os.path.join(os.path.dirname(os.path.dirname(__file__)), "data",
                   "fsck.tsv")
DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))), "docs", "fsck.md")
KERNEL = "6.18"


def _lines():
    with open(TSV, encoding="ascii") as lines:
        for line in lines:
            if not line.startswith("#"):
                yield line.rstrip("\n").split("\t")


LINES = list(_lines())


@pytest.fixture(scope="session")
def bases(mkfs, fixtures_dir, session_dir):
    where = os.path.join(session_dir, "fsck-bases")
    os.mkdir(where)
    return fsckrun.make_bases(mkfs, fixtures_dir, where)


def _prepare(line, bases, fixtures_dir, work):
    image = os.path.join(work, "bad.erofs")
    defects.make(line[0], bases, image)
    extra = fsckrun.devices(defects.DEFECTS[line[0]][0], fixtures_dir)
    options = ["--device=" + path for path in extra]
    if line[1] != "-":
        options += line[1].split(",")
    return image, extra, options


def _same(found, want):
    """A code with "?" depends on how mkfs laid the image out."""
    want = [] if want == "-" else want.split(",")
    needed = {code for code in want if not code.endswith("?")}
    assert needed <= set(found) <= {code.rstrip("?") for code in want}


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
def test_rule(fsck, bases, fixtures_dir, work, line):
    image, _, options = _prepare(line, bases, fixtures_dir, work)
    for extra, want, status in (([], line[2], line[3]),
                                (["--strict"], line[4], line[5])):
        code, found = fsckrun.findings(fsck, image, *extra, *options)
        _same(fsckrun.codes(found), want)
        assert code == int(status), found


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
def test_kernel_says(mounter, bases, fixtures_dir, work, line):
    if fsckrun.kernel_release() != KERNEL:
        pytest.skip("verdicts are those of Linux " + KERNEL)
    image, extra, _ = _prepare(line, bases, fixtures_dir, work)
    assert fsckrun.kernel_verdict(mounter, image, extra) == line[6]


def test_every_base_is_clean(fsck, bases, fixtures_dir):
    for name, path in bases.items():
        options = ["--device=" + device
                   for device in fsckrun.devices(name, fixtures_dir)]
        strict = [] if "/" in name else ["--strict"]
        assert fsckrun.findings(fsck, path, *strict, *options) == (0, []), name


def test_every_code_has_an_image(fsck):
    """All codes of the man page but those that need a broken disk."""
    page = fsck.ok("--help-man").text
    codes = set(re.findall(r"^([A-Z]+-[A-Z]+) \((?:error|warning|unchecked)",
                           page.replace("\\-", "-"), re.M))
    assert len(codes) > 60
    met = set()
    for line in LINES:
        met |= set(line[2].split(",")) | set(line[4].split(","))
    assert codes - met == {"IMAGE-READ", "DEVICE-COUNT"}
    with open(DOCS, encoding="utf-8") as text:
        told = set(re.findall(r"^\| ([A-Z]+-[A-Z]+) \|", text.read(), re.M))
    assert codes <= told


def test_a_missing_device_is_unchecked(fsck, fixtures_dir):
    image = os.path.join(fixtures_dir, "images/blobdev.erofs")
    code, found = fsckrun.findings(fsck, image)
    assert (code, fsckrun.codes(found)) == (8, ["DEVICE-COUNT"])


@pytest.fixture
def bad_disk(work):
    """A device whose second half gives errors; needs device-mapper."""
    if os.geteuid() != 0 or not os.access("/sbin/dmsetup", os.X_OK):
        pytest.skip("needs root and dmsetup")
    made = []

    def make(image):
        loop = subprocess.run(["losetup", "-f", "--show", image],
                              capture_output=True, text=True)
        if loop.returncode:
            pytest.skip("no loop device: " + loop.stderr)
        device = loop.stdout.strip()
        made.append(["losetup", "-d", device])
        sectors = os.path.getsize(image) // 512
        good = sectors // 2 // 8 * 8
        name = "erofskit-%d" % os.getpid()
        table = "0 %d linear %s 0\n%d %d error\n" % (good, device, good,
                                                     sectors - good)
        done = subprocess.run(["dmsetup", "create", name], input=table,
                              capture_output=True, text=True)
        if done.returncode:
            pytest.skip("no device-mapper: " + done.stderr)
        made.append(["dmsetup", "remove", name])
        return "/dev/mapper/" + name

    yield make
    for argv in reversed(made):
        subprocess.run(argv, check=False, capture_output=True)


def test_unreadable_bytes_are_unchecked(fsck, bases, bad_disk):
    code, found = fsckrun.findings(fsck, bad_disk(bases["lz4"]))
    assert code in (4, 8)
    assert "IMAGE-READ" in fsckrun.codes(found)
