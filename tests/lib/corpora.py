# SPDX-License-Identifier: Apache-2.0
"""Trees of the real world, made once and kept in CACHE.

"slice" is cut from the machine's own files and costs a second. The others are
fetched (debootstrap, apt, npm) when EK_CORPORA=full or EK_SOAK=1 asks; a
corpus that cannot be had is a skip with its reason. NAMES are those of the
tests; the bench has larger ones besides.
"""

import os
import shutil
import subprocess

import pytest

from lib import oracle

CACHE = os.environ.get("EK_CORPUS_CACHE") or "/var/tmp/erofskit-corpora"
FULL = (os.environ.get("EK_CORPORA") == "full"
        or os.environ.get("EK_SOAK") == "1")
NAMES = ["slice"] + (["minbase", "kernel", "node"] if FULL else [])
PATIENCE = 600
SLICE = ("/etc", "/usr/lib/python3.11", "/usr/include", "/usr/share/perl5",
         "/usr/share/doc", "/usr/lib/x86_64-linux-gnu/perl")
SLICE_BYTES = 16 << 20
DEBS = {
    "python": ("python3.11", "python3.11-minimal", "libpython3.11-stdlib",
               "libpython3.11-minimal", "libpython3.11", "python3-numpy",
               "python3-sphinx", "python3-babel", "python3-docutils"),
    "wordpress": ("wordpress", "wordpress-l10n", "apache2-bin",
                  "apache2-data", "apache2", "libapache2-mod-php8.2",
                  "php8.2-common", "php8.2-cli", "php8.2-mysql"),
    # Few and large: one shared library of them has 110 MiB.
    "binaries": ("libllvm14", "libllvm15", "libclang-cpp14", "libclang1-14",
                 "llvm-14", "qemu-system-x86", "qemu-system-arm",
                 "qemu-system-ppc"),
}
STACK = ("apache2", "libapache2-mod-php8.2", "php8.2-mysql", "wordpress",
         "wordpress-l10n")
PACKAGES = {
    "node": ("lodash", "express", "webpack", "eslint", "typescript"),
    # Many and small, as large applications have them.
    "modules": ("@mui/icons-material", "aws-sdk", "date-fns", "rxjs",
                "core-js", "jest", "webpack", "eslint", "typescript",
                "@babel/preset-env", "lodash", "lodash-es", "next"),
}


def _run(*argv, cwd=None):
    subprocess.run(argv, check=True, cwd=cwd, timeout=PATIENCE,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


def _take(old, new, room):
    """Copy one file; its size. The machine lives: it may be gone."""
    try:
        size = os.lstat(old).st_size
        if size <= room and (os.path.islink(old) or os.path.isfile(old)):
            shutil.copy2(old, new, follow_symlinks=False)
        return size
    except FileNotFoundError:
        return 0


def _slice(where):
    """Up to SLICE_BYTES of each of several directories of this machine."""
    for source in SLICE:
        if not os.path.isdir(source):
            continue
        room = SLICE_BYTES
        base = os.path.join(where, source.strip("/").replace("/", "-"))
        os.mkdir(base)
        for path, dirs, files in os.walk(source):
            dirs.sort()
            into = os.path.join(base, os.path.relpath(path, source))
            os.makedirs(into, exist_ok=True)
            for name in sorted(files):
                room -= _take(os.path.join(path, name),
                              os.path.join(into, name), room)
                if room < 0:
                    break
            if room < 0:
                break


def _minbase(where, *options):
    _run("debootstrap", "--variant=minbase", *options, "bookworm", where)
    for name in ("proc", "sys"):
        if os.path.ismount(os.path.join(where, name)):
            _run("umount", os.path.join(where, name))
    shutil.rmtree(os.path.join(where, "var/cache/apt/archives"))


def _kernel(where):
    down = where + "-deb"
    os.makedirs(down, exist_ok=True)
    _run("apt-get", "download", "linux-source-6.1", cwd=down)
    deb = os.path.join(down, sorted(os.listdir(down))[0])
    _run("dpkg-deb", "-x", deb, os.path.join(down, "x"))
    _run("tar", "-xJf", os.path.join(down, "x/usr/src/linux-source-6.1.tar.xz"),
         "-C", where, "--strip-components=1", "--wildcards",
         *("linux-source-6.1/%s/*" % d
           for d in ("fs", "include", "kernel", "mm", "net", "arch/x86")))
    shutil.rmtree(down)


def _npm(name):
    def make(where):
        cache = where + "-cache"
        _run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts",
             "--legacy-peer-deps", "--prefix", where, "--cache", cache,
             *PACKAGES[name])
        shutil.rmtree(cache, ignore_errors=True)
    return make


def _debs(name):
    def make(where):
        down = where + "-debs"
        os.makedirs(down, exist_ok=True)
        _run("apt-get", "-o", "APT::Sandbox::User=root", "download",
             *DEBS[name], cwd=down)
        for deb in sorted(os.listdir(down)):
            _run("dpkg-deb", "-x", os.path.join(down, deb), where)
        shutil.rmtree(down)
    return make


def _wpstack(where):
    """A Debian that can run WordPress."""
    _minbase(where, "--include=" + ",".join(STACK))


MAKERS = {"slice": _slice, "minbase": _minbase, "kernel": _kernel,
          "wpstack": _wpstack,
          **{name: _npm(name) for name in PACKAGES},
          **{name: _debs(name) for name in DEBS}}
_records = {}


def get(name):
    """The directory of corpus name; skips when it cannot be had."""
    done = os.path.join(CACHE, name)
    if os.path.isdir(done):
        return done
    part = "%s.part-%d" % (done, os.getpid())
    os.makedirs(part)
    try:
        MAKERS[name](part)
        os.chmod(part, 0o755)
        os.rename(part, done)
    except FileExistsError:
        pass
    except (OSError, subprocess.SubprocessError) as error:
        if name == "slice" or os.path.isdir(done):
            if not os.path.isdir(done):
                raise
        else:
            words = getattr(error, "stderr", None) or b""
            pytest.skip("corpus %s: %s %s" % (name, error,
                                              words.decode()[-200:]))
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return done


def records(name):
    """What the oracle finds in a corpus, walked once a session."""
    if name not in _records:
        _records[name] = oracle.normal(oracle.walk(get(name)))
    return _records[name]
