# SPDX-License-Identifier: Apache-2.0
"""Running fsck.erofs over images made by hand, and asking the kernel."""

import json
import os
import subprocess

from lib import badinput, defects

FIXTURES = {
    "images/blobdev": ["images/blobdev.blob"],
    "images2/merged2dev": ["images2/tree.tar", "images2/upper.tar"],
}


def make_bases(mkfs, fixtures_dir, where):
    """{name: path} of all good images that defects are made from."""
    top = os.path.join(where, "tree")
    os.mkdir(top)
    defects.tree(top)
    bases = {}
    for name, options in defects.OPTIONS.items():
        bases[name] = os.path.join(where, name + ".erofs")
        mkfs.ok("--quiet", *options, bases[name], top)
    for name in {base for base, _ in defects.DEFECTS.values()} - set(bases):
        bases[name] = os.path.join(fixtures_dir, name + ".erofs")
    return bases


def devices(base, fixtures_dir):
    return [os.path.join(fixtures_dir, path)
            for path in FIXTURES.get(base, ())]


def findings(fsck, image, *options):
    """(exit status, findings) by the JSON of fsck."""
    result = fsck.run("--json", *options, image)
    told = json.loads(result.text)
    assert told["status"] == result.code, repr(result)
    return result.code, told["findings"]


def codes(found):
    return sorted({f["code"] for f in found})


def _visit(where):
    """Read all that there is; whether all could be read."""
    whole = True
    for path, dirs, files in os.walk(where, onerror=_raise):
        for name in dirs + files:
            full = os.path.join(path, name)
            try:
                status = os.lstat(full)
                for attr in os.listxattr(full, follow_symlinks=False):
                    os.getxattr(full, attr, follow_symlinks=False)
                if os.path.islink(full):
                    os.readlink(full)
                elif status.st_mode >> 12 == 8:
                    with open(full, "rb") as f:
                        while f.read(1 << 20):
                            pass
            except OSError:
                whole = False
    return whole


def _raise(error):
    raise error


def kernel_verdict(mounter, image, extra):
    """"refuses" the mount, "fails" at something in it, or "reads" all."""
    try:
        options = ",".join("device=" + path for path in extra)
        with mounter.mounted(image, options=options or None) as where:
            try:
                return "reads" if _visit(where) else "fails"
            except OSError:
                return "fails"
    except AssertionError:
        return "refuses"


def kernel_release():
    return ".".join(subprocess.run(["uname", "-r"], capture_output=True,
                                   text=True,
                                   check=True).stdout.split(".")[:2])
