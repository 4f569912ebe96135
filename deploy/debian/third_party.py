#!/usr/bin/env python3
"""Licence inventory of everything that is compiled into the gateway.

deploy/debian/third_party.py TARGET FOLDER writes two files to the folder: `copyright` (DEP-5, one paragraph for each crate) and
`THIRD-PARTY.txt` (every licence text that crates carry, each text once). Crates that only build or test the gateway are left out.
"""

import os
import re
import sys
import textwrap

from crates import shipped

COMMON = {  # Debian keeps these for everybody.
    "Apache-2.0": "Apache-2.0",
    "GPL-3.0-only": "GPL-3",
    "MPL-2.0": "MPL-2.0",
}
LICENCE_FILE = re.compile(r"(?i)^(licen[cs]e|copying|unlicense|notice|copyright)")
# Which file of a crate tells which licence, where the paragraph needs its text.
TELLS = {
    "MIT": ("permission is hereby granted, free of charge", "deal in the software without restriction"),
    "0BSD": ("permission to use, copy, modify, and/or distribute this software for any purpose with or without fee",),
    "ISC": ("permission to use, copy, modify, and/or distribute this software for any",),
    "BSD-3-Clause": ("redistributions in binary form", "neither the name"),
    "Zlib": ("this software is provided 'as-is'", "origin of this software must not be misrepresented"),
    "Unlicense": ("this is free and unencumbered software released into the public domain",),
    "Unicode-3.0": ("unicode license v3",),
}
LLVM_EXCEPTION = (
    "Apache License, Version 2.0, with the LLVM exceptions: where portions of the software are embedded into an object form by "
    "compiling, the conditions of sections 4(a), 4(b) and 4(d) need not be met for them; and where the software is combined with "
    "software under GPLv2, conflicting indemnity provisions may be waived prospectively."
)
OTHERS = [
    ("rust-standard-library", "The Rust Project contributors", "MIT or Apache-2.0"),
    ("sqlite (in libsqlite3-sys)", "none, dedicated to the public domain by its authors", "public-domain"),
]


def texts(package):
    """Licence files of a crate by name."""
    folder = os.path.dirname(package["manifest_path"])
    found = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if LICENCE_FILE.match(name) and os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                found[name] = file.read().replace("\r\n", "\n").strip("\n")
    return found


def expression(package):
    """DEP-5's way to write what SPDX writes."""
    text = package["license"].replace("/", " OR ").replace("(", "").replace(")", "")
    text = text.replace("Apache-2.0 WITH LLVM-exception", "Apache-2.0-with-LLVM-exception")
    return re.sub(r"\s+", " ", text.replace(" OR ", " or ").replace(" AND ", ", and ")).strip()


def holders(package, files):
    """Copyright lines of the licence files, else the authors, else the project."""
    lines = []
    for text in files.values():
        for line in text.splitlines():
            match = re.match(r"(?i)^\W*copyright (?:\(c\)|©)?\s*(\d{4}.*|.*\d{4}.*)$", line.strip())
            if match and "year" not in line.lower() and match.group(1) not in lines:
                lines.append(match.group(1).strip())
    return lines or package["authors"] or [f"The authors of {package['name']}"]


def body(text):
    """A text inside a DEP-5 field."""
    return "\n".join(" " + line.rstrip() if line.strip() else " ." for line in text.strip().splitlines())


def licence_paragraphs(names, packages):
    """One paragraph for each licence; the text of a licence is taken from the first crate that carries it."""
    everything = [(package, text) for package in packages for text in texts(package).values()]
    for name in sorted(names):
        if name in COMMON:
            yield name, f"On Debian systems the full text is in /usr/share/common-licenses/{COMMON[name]}."
        elif name == "Apache-2.0-with-LLVM-exception":
            yield name, "\n".join(textwrap.wrap(LLVM_EXCEPTION, 100)) + (
                "\n\nOn Debian systems the text of the Apache License is in /usr/share/common-licenses/Apache-2.0.")
        elif name == "public-domain":
            yield name, "The authors disclaim copyright to this source code."
        else:
            marks = TELLS.get(name)
            if marks is None:
                sys.exit(f"third_party.py does not know the licence {name}: add it to TELLS")
            flat = [(" ".join(text.lower().split()), text) for _, text in everything]
            fitting = [text for low, text in flat if all(mark in low for mark in marks)]
            if not fitting:
                sys.exit(f"no crate carries the text of {name}")
            lines = min(fitting, key=len).splitlines()
            yield name, "\n".join(line for line in lines if not line.lower().startswith("copyright ")).strip()


def copyright_file(own, others):
    paragraphs = [
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
        f"Upstream-Name: {own['name']}\nSource: https://github.com/retrovolt/retrovolt\n"
        "Comment: The paragraphs on crates/ tell what is compiled into the binary; their texts are in THIRD-PARTY.txt.gz.",
        "Files: *\nCopyright: 2026 The Retrovolt contributors\nLicense: MIT or Apache-2.0",
    ]
    names = {"MIT", "Apache-2.0", "public-domain"}
    for package in others:
        licence = expression(package)
        names |= set(re.split(r" or |, and ", licence))
        who = holders(package, texts(package))
        paragraphs.append(
            f"Files: crates/{package['name']}-{package['version']}/*\n"
            "Copyright: " + "\n ".join(who) + f"\nLicense: {licence}")
    for name, who, licence in OTHERS:
        paragraphs.append(f"Files: {name.split()[0]}/*\nCopyright: {who}\nLicense: {licence}")
    for name, text in licence_paragraphs(names, [own, *others]):
        paragraphs.append(f"License: {name}\n{body(text)}")
    return "\n\n".join(paragraphs) + "\n"


def third_party_file(others):
    users, order = {}, []
    bare = []
    for package in others:
        label = f"{package['name']} {package['version']}"
        found = texts(package)
        if not found:
            bare.append(f"{label}: {package['license']}, {', '.join(package['authors']) or 'no authors named'}")
        for text in found.values():
            if text not in users:
                users[text] = []
                order.append(text)
            if label not in users[text]:
                users[text].append(label)
    parts = ["What is compiled into Retrovolt, and under which terms. Each text is told once, with the crates that carry it."]
    parts.append("\n".join(f"{p['name']} {p['version']}: {p['license']}" for p in others))
    for text in order:
        parts.append("=" * 80 + "\n" + "\n".join(textwrap.wrap(", ".join(users[text]), 100)) + "\n" + "-" * 80 + "\n" + text)
    parts.append("=" * 80 + "\nCrates that name a licence and carry no text of it:\n" + "\n".join(bare))
    return "\n\n".join(parts) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: deploy/debian/third_party.py TARGET FOLDER")
    own, others, _ = shipped(sys.argv[1])
    folder = sys.argv[2]
    for name, text in (("copyright", copyright_file(own, others)), ("THIRD-PARTY.txt", third_party_file(others))):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
