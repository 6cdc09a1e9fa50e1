# SPDX-License-Identifier: Apache-2.0
"""Holder, door and boot are killed at each step that the code names."""

import contextlib
import os
import re
import signal
import subprocess
import time

import pytest

from lib.doorman import (  # noqa: F401 (fixtures)
    TOP, Readers, drop_caches, image, mount, patience, program, service)


def steps_of(*names):
    """The steps that these files list."""
    found = []
    for name in names:
        with open(os.path.join(TOP, "cachefilesd", name)) as file:
            text = re.search(r"_steps\[\] = \{(.*?)\};", file.read(), re.S)
        found += re.findall(r'"([a-z]+:[a-z-]+)"', text[1])
    return found


WORKER_STEPS = steps_of("kernel/fuse-door.c", "worker/boot.c")
HOLDER_STEPS = steps_of("holder/run.c")


@pytest.mark.parametrize("step", WORKER_STEPS)
def test_worker_killed_at(service, image, step):
    """Once at each named step; nobody sees an error."""
    if step == "boot:handed":
        service.start(kill=step + ":1")
        target = mount(service)
        kept = service.connect()
        assert service.ask("ping", connection=kept) == "ok"
        service.kill_holder()
        service.process = None
        # The new holder has the door, but not the connection, nor a worker.
        service.start()
        kept.close()
        assert service.ok("mounts") == "img:alive:0:1"
        drop_caches(target)
        image.same(target)
        assert service.stats()["generation"] == 1, "the step was not reached"
        return
    if step == "boot:hand-over":
        service.options += ("delay=3",)
        service.start(kill=step + ":1")
        target = mount(service)
        service.kill_holder()
        service.process = None
        # It dies as it hands over: both are dead, nothing is kept.
        service.start()
        assert service.stats()["generation"] == 0
        image.same(mount(service))
        return
    service.start(kill=step + ":1")
    for file in ("meta", "blob"):
        service.ok("add", file, os.path.join(service.root, file))
    target = service.target("mnt")
    asking = service.connect()
    asking.sendall(("mount img %s 0 meta blob" % target).encode())
    # Who asked may have died; the kernel and a child of the holder go on.
    service.wait_for(lambda: service.ok("mounts") == "img:alive:0:1")
    asking.close()
    drop_caches(target)
    image.same(target)
    assert service.stats()["generation"] == 1, "the step was not reached"


@pytest.mark.parametrize("step", HOLDER_STEPS)
def test_holder_killed_at(service, image, step):
    """Once at each named step; the next holder puts it right."""
    taking = step in ("holder:taken", "holder:giving")
    service.start(kill=None if step == "holder:taken" else step + ":1",
                  wait=False)
    target = service.target("mnt")
    if step in ("holder:door-mounted", "holder:before-fork",
                "holder:started"):
        service.process.wait(60)  # it did not get far
        service.start()
    service.wait_for(lambda: service.ask("ping").startswith("ok"))
    for file in ("meta", "blob"):
        service.ok("add", file, os.path.join(service.root, file))
    first = service.ask("mount", "img", target, "0", "meta", "blob")
    if step in ("holder:recorded", "holder:mounted"):
        assert first.startswith("io"), "the step was not reached"
        alive = service.ok("mounts")
        assert alive == ("img:alive:0:1" if step == "holder:mounted"
                         else "img:dead:0:1")
        service.kill_holder()
        service.start()
        assert service.ok("mounts") == alive
        if step == "holder:recorded":
            service.ok("mount", "img", target, "0", "meta", "blob")
    else:
        assert first.startswith("ok")
    image.same(target)
    if step in ("holder:worker-died", "holder:kill"):
        drop_caches(target)
        service.kill_worker(signal.SIGKILL if step == "holder:worker-died"
                            else signal.SIGSTOP)
        # Somebody waits, so that it is noticed soon.
        reader = subprocess.Popen(["cat", os.path.join(target, "f1")],
                                  stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        service.process.wait(60)
        service.start()
        reader.wait(60)
        # With no worker left the door was lost too; one that only hung had it.
        assert service.ok("mounts") == (
            "img:dead:0:1" if step == "holder:worker-died"
            else "img:alive:0:1")
    elif taking:
        service.start("upgrade", wait=False,
                      kill=step + ":1" if step == "holder:taken" else None)
        if step == "holder:taken":
            assert service.process.wait(60) == -signal.SIGKILL
            service.process = service.old.pop()
        else:
            # The new one gets them from the worker instead.
            assert service.old[-1].wait(60) == -signal.SIGKILL
            service.wait_for(lambda: service.ok("mounts") == "img:alive:0:1")
            assert service.process.poll() is None
    elif step == "holder:unmounting":
        assert service.ask("umount", "img", "0").startswith("io")
        assert service.ok("mounts") == "img:alive:0:1"
        service.kill_holder()
        service.start()
    if service.ok("mounts") == "img:dead:0:1":
        service.ok("umount", "img", "0")
        mount(service)
    drop_caches(target)
    image.same(target)
    service.ok("umount", "img", "0")


class Unborn:
    """Reads wait, the worker died, and the child that is to be the next one
    stands still before its exec, with all that the holder has open: what it
    notes its number in is a pipe that nobody reads."""

    def __init__(self, service, image):
        service.start()
        self.service, self.target = service, mount(service)
        service.ok("delay", "50")
        drop_caches(self.target)
        self.note = os.path.join(service.run_dir, "worker")
        os.unlink(self.note)
        os.mkfifo(self.note)
        os.link(self.note, self.note + ".pipe")
        self.readers = Readers(image, self.target, 2)
        worker = service.kill_worker()
        service.wait_for(lambda: self._children(worker))
        self.pid, = self._children(worker)
        service.wait_for(self._waits)
        service.kill_holder()

    def _children(self, other_than):
        with open("/proc/%d/task/%d/children" % (
                (self.service.process.pid,) * 2)) as pids:
            return [int(pid) for pid in pids.read().split()
                    if int(pid) != other_than]

    def _waits(self):
        with open("/proc/%d/wchan" % self.pid) as where:
            return where.read() in ("wait_for_partner", "fifo_open")

    def go_on(self):
        with open(self.note + ".new", "w") as note:
            note.write("%d\n" % self.pid)
        os.rename(self.note + ".new", self.note)
        os.close(os.open(self.note + ".pipe", os.O_RDONLY | os.O_NONBLOCK))


@pytest.fixture
def unborn(service, image):
    made = Unborn(service, image)
    yield made
    made.readers.stop = True
    with contextlib.suppress(OSError):
        os.kill(made.pid, signal.SIGKILL)


def test_holder_dies_before_exec(service, image, unborn):
    """The child has the dead one's lock. The new holder waits for it, and it
    becomes the worker: nobody who reads sees any of it."""
    service.start(wait=False)
    time.sleep(1)
    assert service.process.poll() is None, service.log()
    unborn.go_on()
    service.wait_for(lambda: service.ask("ping").startswith("ok"))
    assert service.worker == unborn.pid, service.log()
    assert unborn.readers.end() == []
    drop_caches(unborn.target)
    image.same(unborn.target)


def test_both_die_before_exec(service, image, unborn):
    """Readers get errors; the holder that waits starts anew at once."""
    service.start(wait=False)
    time.sleep(1)
    os.kill(unborn.pid, signal.SIGKILL)
    os.unlink(unborn.note)
    service.wait_for(lambda: service.ask("ping").startswith("ok"))
    assert unborn.readers.end() != []
    assert service.ok("mounts") == "img:dead:0:1"
    image.same(mount(service, ident="again"))


@pytest.mark.soak
def test_never_execs(service, unborn):
    """A holder that cannot start says so, and does not wait for ever."""
    began = time.monotonic()
    service.start(wait=False)
    assert service.process.wait(60) == 3
    assert 5 < time.monotonic() - began
    assert "another process starts or stops there" in service.log() \
        or "no message came in time" in service.log()
