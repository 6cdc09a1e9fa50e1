# SPDX-License-Identifier: Apache-2.0
"""Holder, door and boot are killed at each step that the code names."""

import os
import re
import signal
import subprocess

import pytest

from lib.doorman import (  # noqa: F401 (fixtures)
    TOP, drop_caches, image, mount, patience, program, service)


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
            assert service.old[-1].wait(60) == -signal.SIGKILL
            service.process.wait(60)
            service.start()
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
