# SPDX-License-Identifier: Apache-2.0
"""The manifests of shared/fixtures as records of the oracle."""

import json
import os

from lib.oracle import Record

TYPES = {8: "file", 4: "dir", 10: "symlink", 2: "char", 6: "block",
         1: "fifo", 12: "socket"}


def load(path):
    """{path: Record} of a manifest; the root is not in it.

    A path that is not UTF-8 stands in the JSON with surrogate escapes.
    """
    records = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            records[os.fsencode(entry["path"])] = _record(entry)
    return records


def _record(entry):
    rec = Record()
    rec["type"] = TYPES[entry["type"]]
    rec["mode"] = int(entry["mode"], 8)
    rec["uid"] = entry["uid"]
    rec["gid"] = entry["gid"]
    rec["mtime"] = entry["mtime_ns"]
    if entry.get("nlink") is not None:
        rec["nlink"] = entry["nlink"]
    for field in ("size", "sha256"):
        if field in entry:
            rec[field] = entry[field]
    if "target" in entry:
        rec["target"] = os.fsencode(entry["target"])
    if "rdev" in entry:
        rec["rdev"] = tuple(entry["rdev"])
    rec["xattrs"] = {os.fsencode(name): bytes.fromhex(value)
                     for name, value in entry.get("xattrs", {}).items()}
    return rec


def restrict(records, like):
    """Records cut to the paths' fields that the manifest speaks of."""
    out = {}
    for path, rec in records.items():
        if path == b".":
            continue
        fields = like[path].keys() if path in like else rec.keys()
        out[path] = Record((k, v) for k, v in rec.items() if k in fields)
    return out
