# SPDX-License-Identifier: Apache-2.0
"""The unit of units/ under a real systemd, in namespaces of its own."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import time

import pytest

from lib import manager, oci
from lib.daemon import converted

UNIT = "erofs-cachefilesd"
TOP = os.path.join(os.path.dirname(__file__), "..", "..")
FILES = 150
# Keys that are newer than systemd 252: of 254.
NEWER = ("FileDescriptorStorePreserve", "DelegateSubgroup")
SIZE = 100000

# Hash all files, again and again with nothing in the page cache, until there
# is a file `end`; a line for each that is wrong, then how many were right.
READ = r"""
import hashlib, os, sys
mnt, want, end = sys.argv[1], dict(l.split() for l in open(sys.argv[2])), \
    sys.argv[3]
right = 0
while not os.path.exists(end):
    for name, digest in want.items():
        try:
            with open(os.path.join(mnt, name), "rb") as f:
                got = hashlib.sha256(f.read()).hexdigest()
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as why:
            got = "errno-%d" % why.errno
        if got == digest:
            right += 1
            if right == 1:
                print("begun", flush=True)
        else:
            print("WRONG", name, got, flush=True)
print("right", right)
"""

DROP_IN = """[Service]
ExecStart=
ExecStart=%s run --config %s
StandardOutput=append:%s
StandardError=append:%s
"""


class Service:
    """The service of the unit, and an image that it has mounted."""

    def __init__(self, systemd, program, work, origin):
        self.systemd, self.program, self.work = systemd, program, work
        self.state = os.path.join(work, "state")
        self.run_dir = os.path.join(work, "run")
        self.config = os.path.join(work, "daemon.json")
        self.log_path = os.path.join(work, "log")
        self.settings = {"state_dir": self.state, "run_dir": self.run_dir,
                         "fetch": {"plain_http": [origin.host]}}
        self.configure()
        os.chmod(work, 0o755)
        os.chmod(os.path.dirname(work), 0o755)
        with open(os.path.join(TOP, "units", UNIT + ".service.in")) as text:
            unit = text.read()
        systemd.unit(UNIT + ".service", unit.replace(
            "@sbindir@", os.path.dirname(program)))
        systemd.unit(UNIT + ".service.d/test.conf", DROP_IN % (
            program, self.config, self.log_path, self.log_path))
        systemd.ok("systemctl", "daemon-reload")

    def configure(self, **more):
        with open(self.config, "w") as out:
            json.dump(dict(self.settings, **more), out)

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def systemctl(self, verb, *more):
        done = self.systemd.call("systemctl", verb, UNIT, *more)
        assert done.returncode == 0, (verb, done.stderr, self.log()[-4000:],
                                      self.systemd.log()[-4000:])
        return done.stdout

    def show(self, name):
        return self.systemd.show(UNIT, name)

    def client(self, *words):
        return self.systemd.ok(self.program, words[0], "--run-dir",
                               self.run_dir, *words[1:])

    def status(self):
        return json.loads(self.client("status", "--json"))

    @property
    def holder(self):
        return int(self.show("MainPID"))

    @property
    def worker(self):
        with open(os.path.join(self.run_dir, "worker")) as text:
            return int(text.read())

    def file_of(self, pid, name):
        return self.systemd.ok("cat", "/proc/%d/%s" % (pid, name))

    def kill(self, *pids):
        self.systemd.call("kill", "-9", *map(str, pids))

    def wait_for_holder(self, other_than):
        """Until systemd started another one that is ready."""
        self.systemd.wait_for(
            lambda: self.show("ActiveState") == "active" and
            self.holder not in (0, other_than), "a new holder")

    def wait_for_worker(self, other_than):
        self.systemd.wait_for(lambda: self.worker != other_than,
                              "a new worker")


class Reader:
    """A process that reads all the time, where the service's mounts are."""

    def __init__(self, service, mnt, want):
        self.end_path = os.path.join(service.work, "end")
        self.process = service.systemd.start(
            "python3", "-c", READ, mnt, want, self.end_path,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "begun\n"

    def end(self):
        """How many reads were right; none was wrong."""
        open(self.end_path, "w").close()
        out, err = self.process.communicate(timeout=manager.PATIENCE)
        os.unlink(self.end_path)
        assert self.process.returncode == 0 and "WRONG" not in out, (out, err)
        return int(out.split()[-1])


@pytest.fixture
def systemd(work, can_mount):
    manager.needs()
    with manager.Systemd(work) as made:
        yield made


@pytest.fixture
def service(systemd, cachefilesd, work, origin):
    return Service(systemd, cachefilesd, work, origin)


@pytest.fixture
def mounted(service, tarfs, work, origin):
    """The service started, and (target, list of digests) of an image."""
    files = [("f%d" % i, random.Random(i).randbytes(SIZE))
             for i in range(FILES)]
    want = os.path.join(work, "want")
    with open(want, "w") as out:
        for name, data in files:
            out.write("%s %s\n" % (name, hashlib.sha256(data).hexdigest()))
    out, image = converted(tarfs, work, [oci.tar_of(files)], origin)
    target = os.path.join(work, "mnt")
    os.mkdir(target)
    service.systemctl("start")
    service.source = str(image)
    service.client("mount", "--index", out, "--from", service.source, target)
    return target, want


def may_lower_oom_score():
    """CAP_SYS_RESOURCE, which containers and sandboxes often lack."""
    with open("/proc/self/status") as lines:
        caps = dict(line.split(":", 1) for line in lines)["CapEff"]
    return bool(int(caps, 16) >> 24 & 1)


def test_verify():
    """systemd finds nothing that it does not know, but what is newer."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    path = os.path.join(TOP, "units", UNIT + ".service.in")
    with open(path) as text:
        unit = text.read().replace("@sbindir@/" + UNIT, "/bin/true")
    place = os.environ.get("TMPDIR", "/tmp")
    name = os.path.join(place, "ek-verify-%d.service" % os.getpid())
    with open(name, "w") as out:
        out.write(unit)
    try:
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", name],
                              capture_output=True, text=True, timeout=120)
    finally:
        os.unlink(name)
    mine = [line for line in done.stderr.splitlines() if name in line and
            not any(key in line for key in NEWER)]
    assert mine == []


def test_life(service, mounted):
    """Start, rights, reload, a stop that leaves the worker, start, stop."""
    target, want = mounted
    holder, worker = service.holder, service.worker
    assert service.show("ActiveState") == "active"
    assert service.show("StatusText") == "serving"
    assert service.show("NFileDescriptorStore") == "4"
    if may_lower_oom_score():
        assert service.file_of(holder, "oom_score_adj").strip() == "-1000"
    assert service.file_of(worker, "oom_score_adj").strip() == "0"
    reader = Reader(service, target, want)
    service.configure(log={"level": "debug"})
    service.systemctl("reload")
    service.wait_for_worker(worker)
    assert service.holder == holder
    # A stop leaves who reads alone.
    worker = service.worker
    service.systemctl("stop")
    assert service.show("ActiveState") == "inactive"
    assert service.file_of(worker, "comm")
    service.systemctl("start")
    assert service.worker == worker
    assert service.show("NFileDescriptorStore") == "4"
    assert reader.end() >= FILES
    service.client("umount", target)
    service.systemctl("stop")
    assert service.show("ActiveState") == "inactive"
    assert service.show("Result") == "success"
    assert not os.path.exists("/proc/%d" % worker) or \
        service.systemd.call("test", "-e", "/proc/%d" % worker).returncode


@pytest.mark.parametrize("rounds", [
    4, pytest.param(60, marks=pytest.mark.soak)])
def test_kills(service, mounted, rounds):
    """Holder, both, worker, a holder whose worker hangs: systemd starts it
    again, and nobody who reads notices."""
    target, want = mounted
    reader = Reader(service, target, want)
    for i in range(rounds):
        holder, worker = service.holder, service.worker
        if i % 4 == 3:  # its descriptors are taken, then it is replaced
            service.systemd.ok("kill", "-STOP", str(worker))
        if i % 4 != 2:
            service.kill(holder)
        if i % 4 in (1, 2):
            service.kill(worker)
        if i % 4 != 2:
            service.wait_for_holder(holder)
        if i % 4 != 0:
            service.wait_for_worker(worker)
        time.sleep(random.uniform(0, 0.5))
    assert service.show("NFileDescriptorStore") == "4"
    assert reader.end() >= FILES
    assert service.status()["images"] == 1


@pytest.mark.soak
def test_restart(service, mounted):
    """How a new version comes in: restart, then reload."""
    target, want = mounted
    reader = Reader(service, target, want)
    holder, worker = service.holder, service.worker
    service.systemctl("restart")
    service.wait_for_holder(holder)
    assert service.worker == worker
    service.systemctl("reload")
    service.wait_for_worker(worker)
    assert reader.end() >= FILES
    assert service.status()["images"] == 1


def test_hardening_lets_it_mount(service, mounted, work):
    """Loop devices and writable layers, under the unit's restrictions."""
    target, want = mounted
    out = next(os.path.join(work, d) for d in os.listdir(work)
               if d.startswith("out-"))
    more = [os.path.join(work, name) for name in ("loop", "rw")]
    for mnt, option in zip(more, ("--loop", "--rw")):
        os.mkdir(mnt)
        service.client("mount", option, "--index", out, "--from",
                       service.source, mnt)
    for name in ("f0", "f%d" % (FILES - 1)):
        for mnt in more:
            service.systemd.ok("cmp", os.path.join(target, name),
                               os.path.join(mnt, name))
    service.systemd.ok("cp", os.path.join(target, "f0"),
                       os.path.join(more[1], "new"))
    for mnt in [*more, target]:
        service.client("umount", mnt)
    service.systemctl("stop")
    changed = [path for path, _, names in os.walk(
        os.path.join(service.state, "rw")) if "new" in names]
    assert len(changed) == 1


@pytest.mark.soak
def test_watchdog(service, systemd, mounted):
    """A holder that stands still is replaced, and nobody notices."""
    target, want = mounted
    systemd.unit(UNIT + ".service.d/z-watchdog.conf",
                 "[Service]\nWatchdogSec=3\n")
    systemd.ok("systemctl", "daemon-reload")
    reader = Reader(service, target, want)
    holder = service.holder
    service.systemctl("restart")
    service.wait_for_holder(holder)
    # It is not killed while it is well.
    holder = service.holder
    time.sleep(7)
    assert service.holder == holder and service.show("NRestarts") == "0"
    systemd.ok("kill", "-STOP", str(holder))
    service.wait_for_holder(holder)
    assert reader.end() >= FILES
    assert "watchdog" in systemd.log().lower()


def test_worker_memory(service, systemd, mounted):
    """The worker has a limit of its own where the kernel has one to give, and
    who is killed for it is succeeded; else the log says that there is none."""
    target, want = mounted
    service.client("umount", target)
    service.systemctl("stop")
    # As DelegateSubgroup= does from systemd 254 on.
    systemd.unit(UNIT + ".service.d/z-group.conf", """[Service]
ExecStart=
ExecStart=/bin/sh -c 'cd /sys/fs/cgroup/system.slice/%%N.service && \
 mkdir -p holder && echo $$$$ >holder/cgroup.procs && \
 exec %s run --config %s'
""" % (service.program, service.config))
    systemd.ok("systemctl", "daemon-reload")
    service.systemctl("start")
    assert service.file_of(service.holder, "cgroup").rstrip().endswith(
        UNIT + ".service/holder")
    if "memory" not in systemd.ok("cat", "/sys/fs/cgroup/cgroup.controllers"):
        assert 'limit=none reason="no memory controller' in service.log()
        return
    group = "/sys/fs/cgroup/system.slice/%s.service/worker" % UNIT
    assert systemd.ok("cat", group + "/memory.max").strip() == \
        str(512 << 20)
    worker = service.worker
    assert systemd.ok("cat", group + "/cgroup.procs").split() == [str(worker)]
    systemd.ok("sh", "-c", "echo 1M >%s/memory.max" % group)
    service.wait_for_worker(worker)
    assert "reason=memory" in service.log()
    assert service.status()["pid"] == service.worker
