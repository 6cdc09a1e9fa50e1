# SPDX-License-Identifier: Apache-2.0
"""The worker dies at each named step, once; nobody notices.

The steps are read from the source: one that no work here passes fails.
"""

import os
import random
import re

import pytest

from lib import faults, oci
from lib.daemon import ApiError, Daemon, converted
from lib.registry import Registry

TOP = os.path.join(os.path.dirname(__file__), "..", "..", "cachefilesd")
MiB = 1 << 20
FILES = {"data/%d" % i: random.Random(i).randbytes(2 * MiB) for i in range(3)}


def steps_of(name):
    with open(os.path.join(TOP, name)) as f:
        text = re.search(r"_steps\[\] = \{(.*?)\};", f.read(), re.S)
    return re.findall(r'"([a-z]+:[a-z-]+)"', text[1])


IMAGE = steps_of("worker/mount.c")
SERVE = steps_of("serve/serve.c")
STORE = steps_of("store/files.c")

# What must happen for a step to be passed, other than reading.
EVICT = ("store:evict-cleared", "store:evict-mapped", "store:punched")
GONE = ("store:unlinked", "store:removed")
UMOUNT = ("image:unmounted", "image:removed")


def read_all(mnt):
    for name, data in FILES.items():
        with open(os.path.join(mnt, name), "rb") as f:
            assert f.read() == data, name


def work_for(step, daemon, out, image, origin):
    """Mount, read, and what else passes the step; then it is all right."""
    if step in ("serve:wrong", "serve:retried"):
        origin.fault(faults.Wrong(times=1))
    if step == "serve:failed":
        origin.fault(faults.Status(404, times=1))
    mnt = daemon.mount_index(out, str(image))
    if step == "serve:prefetch":
        daemon.must("prefetch", mnt, "/data/1")
    if step == "serve:complete":
        daemon.must("complete", mnt)
    try:
        read_all(mnt)
    except OSError:
        assert step in ("serve:failed", "serve:wrong", "serve:retried")
        origin.heal()
        os.system("echo 3 > /proc/sys/vm/drop_caches")
    read_all(mnt)
    return mnt


@pytest.fixture(scope="module")
def shared(tarfs, session_dir):
    """(OUT, image, registry) for all steps."""
    tar = oci.tar_of([("data", None)] + list(FILES.items()))
    with Registry() as registry:
        yield (*converted(tarfs, session_dir, [tar], registry), registry)


@pytest.mark.parametrize("step", IMAGE + SERVE + STORE)
def test_step(cachefilesd, can_mount, shared, work, step):
    out, image, origin = shared
    origin.heal()
    more = {"checkpoint_time": "100ms", "checkpoint_bytes": "1M"}
    if step in EVICT:
        more["quota"] = "4M"
    with Daemon(cachefilesd, work, plain_http=[origin.host],
                environment={"EKD_KILL": step + ":1"}, **more) as daemon:
        mnt = work_for(step, daemon, out, image, origin)
        if step in UMOUNT + GONE:
            try:
                daemon.umount(mnt)
            except (AssertionError, ApiError):
                # It was done when the request came again.
                assert "no image" in daemon.run("umount", mnt).stderr
                daemon.targets.remove(mnt)
            daemon.must("gc")
            assert os.listdir(mnt) == []
        else:
            os.system("echo 3 > /proc/sys/vm/drop_caches")
            read_all(mnt)
        status = daemon.status()
        if status["generation"] == 0:  # a step of the background
            daemon.wait_worker(status["pid"])
        assert daemon.status()["generation"] == 1
        assert status["door"]["errors"] == 0 or step.startswith("serve:")
