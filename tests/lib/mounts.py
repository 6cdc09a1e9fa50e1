# SPDX-License-Identifier: Apache-2.0
"""Mounts in a namespace of the test process's own: nothing can leak."""

import contextlib
import ctypes
import os
import subprocess
import tempfile

CLONE_NEWNS = 0x20000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def private_namespace():
    """Leave the host's mount namespace; only for root."""
    for status in (_libc.unshare(CLONE_NEWNS),
                   _libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE,
                               None)):
        if status != 0:
            raise OSError(ctypes.get_errno(), "private mount namespace")


def mount(source, target, fstype, options=""):
    if _libc.mount(os.fsencode(source), os.fsencode(target),
                   fstype.encode(), 0, options.encode()) != 0:
        code = ctypes.get_errno()
        raise OSError(code, "mount %s: %s" % (target, os.strerror(code)))


def umount(target):
    if _libc.umount2(os.fsencode(target), 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, "umount %s: %s" % (target, os.strerror(code)))


class Mounter:
    """The mount helper of tests/tools."""

    def __init__(self, path):
        self.path = path

    def _call(self, *args):
        return subprocess.run([self.path, *map(os.fspath, args)],
                              capture_output=True, text=True, timeout=60)

    @contextlib.contextmanager
    def mounted(self, image, how="mount", options=None):
        """The directory at which image is mounted, for a with block."""
        where = tempfile.mkdtemp(prefix="mnt-", dir=os.path.dirname(image))
        done = self._call(how, image, where, *([options] if options else []))
        try:
            assert done.returncode == 0, done.stderr
            yield where
        finally:
            if done.returncode == 0:
                umount(where)
            os.rmdir(where)

    def refuses(self, image, how="mount"):
        """The words with which the kernel refuses image."""
        where = tempfile.mkdtemp(prefix="mnt-", dir=os.path.dirname(image))
        done = self._call(how, image, where)
        if done.returncode == 0:
            umount(where)
        os.rmdir(where)
        assert done.returncode == 1, "mounted, or unable: %r" % done
        return done.stderr


@contextlib.contextmanager
def tmpfs(where, size):
    os.makedirs(where, exist_ok=True)
    mount("tmpfs", where, "tmpfs", "size=%s,mode=755" % size)
    try:
        yield where
    finally:
        umount(where)


@contextlib.contextmanager
def ext4(image, where, size):
    """A small ext4 of size bytes in a file, mounted through a loop device.

    Nothing in it is for root alone: full is full, and what gets free serves
    all."""
    with open(image, "wb") as out:
        out.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", image],
                   check=True, stdin=subprocess.DEVNULL, capture_output=True)
    os.makedirs(where, exist_ok=True)
    with loop(image) as device:
        mount(device, where, "ext4")
        try:
            yield where
        finally:
            umount(where)


@contextlib.contextmanager
def loop(image):
    """A writable loop device over image."""
    done = subprocess.run(["losetup", "--find", "--show", image], check=True,
                          capture_output=True, text=True)
    device = done.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
