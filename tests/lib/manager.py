# SPDX-License-Identifier: Apache-2.0
"""A real systemd, the first process of namespaces of its own.

    with Systemd(work) as systemd:
        systemd.unit("a.service", text)
        systemd.ok("systemctl", "start", "a")

It has only the units that it is given, and targets of the host's systemd. Its
mounts, processes and control groups are its own, the network is the host's.
EK_SYSTEMD names another one than the host's (with LD_LIBRARY_PATH).
"""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from lib import mounts

SYSTEMD = os.environ.get("EK_SYSTEMD") or "/lib/systemd/systemd"
TARGETS = ("sysinit", "basic", "local-fs", "shutdown", "multi-user", "umount",
           "final", "network-online")
PATIENCE = 120

BOOT = r"""
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# What it would set for the whole machine.
mount -o bind,ro /proc/sys /proc/sys
mount --bind /etc /etc && mount -o remount,bind,ro /etc
mount --bind "$EK_CONSOLE" /dev/console
export container=ek SYSTEMD_UNIT_PATH="$EK_UNITS"
export SYSTEMD_GENERATOR_PATH="$EK_UNITS" SYSTEMD_LOG_TARGET=console
exec "$EK_SYSTEMD" --unit=basic.target --show-status=no
"""


def needs():
    """Skip the test where it cannot be."""
    if os.geteuid() != 0:
        pytest.skip("systemd in namespaces needs root")
    for path in (SYSTEMD, "/usr/bin/systemctl", "/usr/bin/nsenter"):
        if not os.path.exists(path):
            pytest.skip("no %s" % path)
    with open("/proc/filesystems") as lines:
        if not any(line.split()[-1] == "cgroup2" for line in lines):
            pytest.skip("this kernel has no cgroup2")


class Systemd:
    def __init__(self, work):
        self.units = os.path.join(work, "units")
        self.groups = os.path.join(work, "groups")
        self.group = os.path.join(self.groups, "ek-%d" % os.getpid())
        self.process, self.pid, self.said = None, None, b""
        os.mkdir(self.units)
        os.mkdir(self.groups)
        for target in TARGETS:
            shutil.copy("/lib/systemd/system/%s.target" % target, self.units)

    def unit(self, name, text):
        path = os.path.join(self.units, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(text)

    def __enter__(self):
        mounts.mount("cgroup2", self.groups, "cgroup2")
        os.mkdir(self.group)
        master, slave = os.openpty()
        environment = dict(
            os.environ, EK_CONSOLE=os.ttyname(slave), EK_UNITS=self.units,
            EK_SYSTEMD=SYSTEMD)
        self.process = subprocess.Popen(
            ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', self.group,
             "unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts",
             "--ipc", "--cgroup", "sh", "-c", BOOT],
            env=environment, stdin=subprocess.DEVNULL, stdout=slave,
            stderr=slave)
        self.console = slave
        threading.Thread(target=self._listen, args=(master,),
                         daemon=True).start()
        try:
            self._wait_booted()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _listen(self, master):
        with contextlib.suppress(OSError):
            while data := os.read(master, 4096):
                self.said += data
        os.close(master)

    def log(self):
        return self.said.decode(errors="replace")

    def _child(self):
        path = "/proc/%d/task/%d/children" % ((self.process.pid,) * 2)
        with contextlib.suppress(OSError), open(path) as children:
            for pid in children.read().split():
                if os.path.realpath("/proc/%s/exe" % pid) == \
                        os.path.realpath(SYSTEMD):
                    return int(pid)
        return None

    def _wait_booted(self):
        end = time.monotonic() + PATIENCE
        while True:
            self.pid = self._child()
            if self.pid and self.call("systemctl", "is-active",
                                      "basic.target").returncode == 0:
                return
            if self.process.poll() is not None or time.monotonic() > end:
                pytest.skip("systemd does not boot here: " + self.log())
            time.sleep(0.05)

    def __exit__(self, *args):
        # Its first process takes all others and all mounts with it.
        if self.pid:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        self.process.kill()
        self.process.wait()
        os.close(self.console)
        for path, _, _ in sorted(os.walk(self.group), reverse=True):
            self._remove_group(path)
        mounts.umount(self.groups)

    def _remove_group(self, path):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:  # the last of it may be dying
            with contextlib.suppress(OSError):
                os.rmdir(path)
                return
            time.sleep(0.01)

    def _words(self, words):
        return ["nsenter", "--target", str(self.pid), "--all", "--", *words]

    def call(self, *words):
        """Run a program in there."""
        return subprocess.run(self._words(words), capture_output=True,
                              text=True, timeout=PATIENCE)

    def start(self, *words, **options):
        return subprocess.Popen(self._words(words), **options)

    def ok(self, *words):
        done = self.call(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr,
                                      self.log())
        return done.stdout

    def show(self, unit, name):
        """A property of a unit."""
        return self.ok("systemctl", "show", "--value", "-p", name,
                       unit).strip()

    def wait_for(self, true, what=""):
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, (what, self.log())
            time.sleep(0.02)
