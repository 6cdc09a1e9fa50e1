# SPDX-License-Identifier: Apache-2.0
"""A registry that is far away: docker-registry in a network namespace, tbf for
the rate, a relay for the delay (netem is not in every kernel)."""

import contextlib
import os
import subprocess
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
NS, OUR_END, ITS_END = "ekbench", "ekb0", "ekb1"
OURS, ITS = "10.213.77.1", "10.213.77.2"
FRAME = 1500 / 1448  # bytes on the wire for each byte of a stream


def sh(*argv, **more):
    return subprocess.run(argv, check=True, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, **more).stdout


def build(name, scratch):
    path = os.path.join(scratch, name)
    sh("cc", "-O2", "-std=gnu11", "-D_GNU_SOURCE", "-pthread", "-o", path,
       os.path.join(HERE, name + ".c"))
    return path


class Link:
    """with Link(scratch) as link: link.shape(100, 20e-3); link.host"""

    def __init__(self, scratch):
        self.scratch = scratch
        self.relay_program = build("relay", scratch)
        self.processes = []
        self.relay = None
        self.host = ITS + ":5000"

    def __enter__(self):
        subprocess.run(["ip", "netns", "del", NS], capture_output=True)
        sh("ip", "netns", "add", NS)
        sh("ip", "link", "add", OUR_END, "type", "veth", "peer", "name",
           ITS_END, "netns", NS)
        sh("ip", "addr", "add", OURS + "/24", "dev", OUR_END)
        sh("ip", "link", "set", OUR_END, "up")
        for words in (("addr", "add", ITS + "/24", "dev", ITS_END),
                      ("link", "set", ITS_END, "up"),
                      ("link", "set", "lo", "up")):
            sh("ip", "-n", NS, *words)
        config = os.path.join(self.scratch, "registry.yml")
        with open(config, "w") as f:
            f.write("version: 0.1\nlog:\n  level: error\n  accesslog:\n"
                    "    disabled: true\n"
                    "storage:\n  filesystem:\n    rootdirectory: %s\n"
                    "http:\n  addr: 127.0.0.1:5001\n" %
                    os.path.join(self.scratch, "registry"))
        self._start("docker-registry", "serve", config)
        self.shape(None, 0)
        return self

    def __exit__(self, *args):
        for process in self.processes:
            process.kill()
            process.wait()
        subprocess.run(["ip", "netns", "del", NS], capture_output=True)

    def _start(self, *argv):
        process = subprocess.Popen(["ip", "netns", "exec", NS, *argv],
                                   stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def shape(self, mbit, rtt):
        """Megabits a second (None: no limit) and seconds there and back."""
        self.mbit, self.rtt = mbit, rtt
        for ns, dev in (([], OUR_END), (["-n", NS], ITS_END)):
            subprocess.run(["tc", *ns, "qdisc", "del", "dev", dev, "root"],
                           capture_output=True)
            if mbit:
                sh("tc", *ns, "qdisc", "add", "dev", dev, "root", "tbf",
                   "rate", "%gmbit" % mbit, "burst",
                   str(max(128 << 10, int(mbit * 1e6 / 8 / 250))),
                   "latency", "60ms")
        if self.relay:
            self.processes.remove(self.relay)
            self.relay.kill()
            self.relay.wait()
        self.relay = self._start(self.relay_program, ITS, "5000", "127.0.0.1",
                                 "5001", str(int(rtt / 2 * 1e6)))
        self._wait()

    def _wait(self):
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                opener = urllib.request.build_opener(
                    urllib.request.ProxyHandler({}))
                opener.open("http://%s/v2/" % self.host, timeout=5).close()
                return
            if time.monotonic() > end:
                raise SystemExit("bench: no registry")
            time.sleep(0.05)

    def rate(self):
        """Bytes of a stream that fit in a second."""
        return self.mbit * 1e6 / 8 / FRAME
