# SPDX-License-Identifier: Apache-2.0
"""Peak memory of one program.

What a child counts begins with its parent's memory at fork, and a parent keeps
the largest of all its children: so a small process of its own is between."""

import os
import subprocess
import sys

from lib.run import environment

BETWEEN = """
import resource, subprocess, sys
cpu, size, pipe = (int(x) for x in sys.argv[1:4])
def limits():
    if cpu:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    if size:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
code = subprocess.call(sys.argv[4:], preexec_fn=limits)
with open(pipe, "w") as out:
    out.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code if code >= 0 else 128 - code)
"""


class Measured:
    def __init__(self, code, out, err, peak):
        self.code, self.out, self.err = code, out, err
        self.peak = peak  # bytes


def run(argv, cpu=0, size=0, stdin=None):
    """argv with at most so many seconds of CPU and bytes of a file; 0: any."""
    reader, writer = os.pipe()
    with subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", BETWEEN, str(cpu), str(size),
             str(writer), *argv], env=environment(), stdin=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=[writer]) as child:
        os.close(writer)
        out, err = child.communicate()
    with open(reader) as told:
        peak = int(told.read() or 0) * 1024
    return Measured(child.returncode, out, err, peak)
