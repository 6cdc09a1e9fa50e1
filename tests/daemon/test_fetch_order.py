# SPDX-License-Identifier: Apache-2.0
"""The daemon's registry client: what comes first, and all at once."""

import random
import time

import pytest

from lib import faults
# Fixtures are names that tests use.
from lib.fetcher import (  # noqa: F401
    AHEAD, BACKGROUND, BLOB, Fetcher, SMALL, asked, blob_requests, client,
    program, registry, right, wrong)
from lib.registry import Auth, Registry

# What a test holds back does not count as stalled.
HOLD = ["--stall", "600000"]


def test_demand_does_not_wait_for_others(program, registry):
    def far(request):
        return int(request.range[6:].split("-")[0]) >= 1000

    registry.fault(faults.Delay(3600, when=far))
    with Fetcher(program, "--plain", registry.host, *HOLD,
                 "--connections", "3") as f:
        others = [f.start(registry.image, registry.layer, 1000 + i, 10,
                          priority=BACKGROUND if i % 2 else AHEAD,
                          deadline=600000) for i in range(50)]
        asked(registry, 2)
        # Three at a time, though two of the others never end.
        for i in range(9):
            right(f.range(registry.image, registry.layer, i, 5),
                  BLOB[i:i + 5])
        assert len(blob_requests(registry)) == 2 + 9
        registry.heal()
        for name in others:
            assert f.result(name)["status"] == "ok"


def test_connections_are_counted(program, registry):
    held = registry.fault(faults.Delay(3600))
    with Fetcher(program, "--plain", registry.host, *HOLD,
                 "--connections", "4") as f:
        names = [f.start(registry.image, registry.layer, i, 9,
                         priority=AHEAD, deadline=600000)
                 for i in range(12)]
        asked(registry, 3)
        time.sleep(0.1)
        assert registry.requests == 3  # one is kept for demand
        assert f.stats()["hosts"][0]["running"] == 3
        names += [f.start(registry.image, registry.layer, i, 9,
                          deadline=600000) for i in range(12)]
        asked(registry, 3 + 4)
        time.sleep(0.1)
        assert registry.requests == 3 + 4
        registry.heal(held)
        f.send("wait")
        f.result("wait")
        assert all(f.result(n)["status"] == "ok" for n in names)


def test_background_gives_way_while_demand_runs(program, registry):
    held = registry.fault(faults.Delay(3600))
    with Fetcher(program, "--plain", registry.host, *HOLD) as f:
        names = [f.start(registry.image, registry.layer, 0, 9,
                         deadline=600000)]
        asked(registry, 1)
        names += [f.start(registry.image, registry.layer, i, 9,
                          priority=BACKGROUND, deadline=600000)
                  for i in range(12)]
        asked(registry, 1 + 2)
        time.sleep(0.1)
        assert registry.requests == 1 + 2
        registry.heal(held)
        assert all(f.result(n)["status"] == "ok" for n in names)


def test_a_request_can_be_raised(program, registry):
    held = registry.fault(faults.Delay(3600))
    with Fetcher(program, "--plain", registry.host, *HOLD,
                 "--connections", "2") as f:
        names = [f.start(registry.image, registry.layer, i, 9,
                         priority=BACKGROUND, deadline=600000)
                 for i in range(10)]
        asked(registry, 1)
        f.send("raise", names[-1])
        asked(registry, 2)
        assert registry.seen[1].range == "bytes=9-17"
        # Raised while it runs, it counts as demand: two are enough.
        f.send("raise", names[0])
        names.append(f.start(registry.image, registry.layer, 10, 9,
                             deadline=600000))
        time.sleep(0.1)
        assert registry.requests == 2
        registry.heal(held)
        for i, name in enumerate(names):
            right(f.result(name), BLOB[i:i + 9])


def test_requests_can_be_given_up(client, registry):
    registry.fault(faults.Stall(after=100))
    running = client.start(registry.image, registry.layer, 0, 65536)
    queued = [client.start(registry.image, registry.layer, i, 65536,
                           priority=BACKGROUND) for i in range(20)]
    while len(blob_requests(registry)) < 3:
        time.sleep(0.01)
    for name in [running] + queued:
        client.send("cancel", name)
        wrong(client.result(name), "cancelled")
    registry.heal()
    client.send("cancel", running)  # is no more
    right(client.range(registry.image, registry.layer, 0, 9), BLOB[:9])


def test_the_end_gives_up_what_runs(program, registry):
    registry.fault(faults.Stall(after=100))
    with Fetcher(program, "--plain", registry.host) as f:
        names = [f.start(registry.image, registry.layer, i, 9000,
                         priority=i % 3) for i in range(20)]
        while len(blob_requests(registry)) < 3:
            time.sleep(0.01)
    for name in names:
        wrong(f.results[name], "cancelled")


@pytest.mark.parametrize("seed", [1, 2] + [
    pytest.param(s, marks=pytest.mark.soak) for s in range(3, 40)])
def test_a_storm(program, seed):
    """Requests of all kinds, faults of all kinds, some given up: each is
    answered once, and never with wrong bytes."""
    chance = random.Random(seed)
    with Registry(auth=Auth(expires_in=2)) as registry, Registry() as mirror, \
            Registry() as storage:
        image = registry.push([BLOB, SMALL])
        registry.lend(mirror)
        registry.lend(storage)
        layer = image.layers[0]
        kinds = [lambda: faults.Status(chance.choice([429, 500, 503])),
                 faults.Drop, lambda: faults.Short(after=3000),
                 # Never as much longer as others make it shorter.
                 faults.Shorter, lambda: faults.Longer(by=50),
                 faults.Whole, faults.Chunked,
                 lambda: faults.Range(shift=1), lambda: faults.Delay(0.1),
                 lambda: faults.Redirect(to=storage, hops=2, live=3),
                 lambda: faults.Redirect(), lambda: faults.Stall(after=500)]
        for where in (registry, mirror, storage):
            for _ in range(12):
                fault = chance.choice(kinds)()
                fault.times, fault.skip = 4, chance.randrange(40)
                where.fault(fault)
        options = ["--stall", "300", "--tries", "4", "--mirror", mirror.url]
        for one in (registry, mirror, storage):
            options += ["--plain", one.host]
        wanted = {}
        with Fetcher(program, *options) as f:
            for i in range(300):
                n = chance.choice([1, 100, 5000, 65536])
                offset = chance.randrange(len(BLOB) - n)
                name = f.start(image, layer, offset, n,
                               priority=chance.randrange(3),
                               deadline=chance.choice([50, 2000, 20000]))
                wanted[name] = BLOB[offset:offset + n]
                what = chance.randrange(12)
                if what < 2:
                    f.send("cancel", chance.choice(list(wanted)))
                elif what == 2:
                    f.send("raise", chance.choice(list(wanted)))
                elif what == 3:
                    f.send("blame", layer)
                elif what == 4:
                    registry.auth.expire()
                elif what == 5:
                    chance.choice([registry, mirror,
                                   storage]).break_connections()
            for name, data in wanted.items():
                got = f.result(name)
                if got["status"] == "ok":
                    right(got, data)
                else:
                    assert got["status"] in ("io", "corrupt", "cancelled")
            right(f.range(image, layer, 5, 5), BLOB[5:10])
            good = sum(f.results[n]["status"] == "ok" for n in wanted)
            assert good > 0  # how many, the machine decides
            assert all(h["running"] == 0 for h in f.stats()["hosts"])
