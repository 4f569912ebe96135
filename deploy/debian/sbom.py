#!/usr/bin/env python3
"""deploy/debian/sbom.py VERSION TARGET...: bill of materials of the binaries for these targets, CycloneDX 1.5, to standard output.

Lists the crates that are compiled into the gateway with version, licence, checksum of Cargo.lock and who needs whom, and
what cargo does not know of: the standard library and SQLite's C source. Crates that only make code while the
gateway is compiled have the scope `excluded`. The same input gives the same bytes: the time is SOURCE_DATE_EPOCH, there is no
random serial number, and no folder is named.
"""

import datetime
import json
import os
import re
import subprocess
import sys
import tomllib

from crates import REPOSITORY, key, linked, shipped


def purl(kind, name, version):
    return f"pkg:{kind}/{name}@{version.replace('+', '%2B')}"


def licence(text):
    """SPDX; old crates write a slash where `OR` is meant."""
    return [{"expression": re.sub(r"\s*/\s*", " OR ", text)}]


def component(package, checksum, scope):
    name, version = key(package)
    ref = purl("cargo", name, version)
    found = {"type": "library", "bom-ref": ref, "name": name, "version": version, "scope": scope}
    if package["description"]:
        found["description"] = " ".join(package["description"].split())
    found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    found["licenses"] = licence(package["license"])
    found["purl"] = ref
    if (package["repository"] or "").startswith("https://"):
        found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return found


def sqlite(packages):
    """The version of the C source that libsqlite3-sys carries."""
    folder = next(os.path.dirname(p["manifest_path"]) for p in packages if p["name"] == "libsqlite3-sys")
    with open(os.path.join(folder, "sqlite3", "sqlite3.h"), encoding="utf-8") as header:
        version = re.search(r'^#define SQLITE_VERSION\s+"([^"]+)"', header.read(), re.M).group(1)
    ref = purl("generic", "sqlite", version)
    return {
        "type": "library", "bom-ref": ref, "name": "sqlite", "version": version, "scope": "required",
        "licenses": [{"license": {"id": "blessing"}}], "purl": ref, "cpe": f"cpe:2.3:a:sqlite:sqlite:{version}:*:*:*:*:*:*:*"}


def standard_library():
    said = subprocess.run(["rustc", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    version = said.split()[1]
    ref = purl("generic", "rust-std", version)
    return {
        "type": "library", "bom-ref": ref, "name": "rust-std", "version": version, "scope": "required",
        "licenses": licence("MIT OR Apache-2.0"), "purl": ref,
        "externalReferences": [{"type": "vcs", "url": "https://github.com/rust-lang/rust"}]}


def bill(version, targets):
    with open(os.path.join(REPOSITORY, "Cargo.lock"), "rb") as file:
        checksums = {key(entry): entry.get("checksum") for entry in tomllib.load(file)["package"]}
    crates, needs, inside = {}, {}, set()
    for target in targets:
        own, others, needed = shipped(target)
        inside |= linked(own, needed, others)
        crates |= {key(package): package for package in others}
        for name, found in needed.items():
            needs.setdefault(name, set()).update(found)
    components = [
        component(package, checksums[name], "required" if name in inside else "excluded")
        for name, package in sorted(crates.items())]
    more = [sqlite(crates.values()), standard_library()]
    refs = {name: purl("cargo", *name) for name in needs}
    edges = {refs[name]: {refs[other] for other in found} for name, found in needs.items()}
    edges[refs[key(own)]].add(more[1]["bom-ref"])
    edges[next(ref for name, ref in refs.items() if name[0] == "libsqlite3-sys")].add(more[0]["bom-ref"])
    now = int(os.environ.get("SOURCE_DATE_EPOCH") or datetime.datetime.now().timestamp())
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(now, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application", "bom-ref": refs[key(own)], "name": own["name"], "version": version,
                "description": own["description"], "licenses": licence(own["license"])},
            "properties": [{"name": "retrovolt:target", "value": target} for target in targets],
        },
        "components": components + more,
        "dependencies": [{"ref": ref, "dependsOn": sorted(found)} for ref, found in sorted(edges.items())],
    }


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: deploy/debian/sbom.py VERSION TARGET...")
    json.dump(bill(sys.argv[1], sys.argv[2:]), sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
