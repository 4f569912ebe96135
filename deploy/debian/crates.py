"""What is compiled into the gateway, asked of cargo, for `third_party.py` and `sbom.py`."""

import json
import os
import subprocess

REPOSITORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def cargo(*arguments):
    """What a cargo verb that reads Cargo.lock prints."""
    return subprocess.run(
        ["cargo", *arguments, "--locked"], cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout


def key(package):
    return package["name"], package["version"]


def shipped(target):
    """Our own package, those that are linked into the binary for a target or make code for it, and who needs whom.

    `cargo metadata` knows licences and edges but also switches on what only tests ask for; `cargo tree` does not.
    The last value holds, for each package by name and version, those it needs.
    """
    meta = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", target))
    tree = cargo("tree", "--edges", "normal", "--target", target, "--prefix", "none", "--format", "{p}")
    kept = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    packages = {
        package["id"]: package for package in meta["packages"] if (package["name"], f"v{package['version']}") in kept}
    root = packages[meta["resolve"]["root"]]
    needs = {}
    for node in meta["resolve"]["nodes"]:
        if node["id"] in packages:
            needs[key(packages[node["id"]])] = sorted(
                key(packages[dep["pkg"]])
                for dep in node["deps"]
                if dep["pkg"] in packages and any(kind["kind"] is None for kind in dep["dep_kinds"]))
    return root, sorted((p for p in packages.values() if p is not root), key=key), needs


def linked(own, needs, packages):
    """Those of them whose code is in the binary: what only procedural macros need runs while compiling."""
    macros = {key(p) for p in packages if any("proc-macro" in t["kind"] for t in p["targets"])}
    seen, stack = set(), [key(own)]
    while stack:
        at = stack.pop()
        if at not in seen and at not in macros:
            seen.add(at)
            stack += needs[at]
    return seen
