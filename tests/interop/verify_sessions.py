"""Checks `retrovolt sessions --json` (stdin) against a public key (first argument: PEM file), knowing only docs/sessions.md.

Prints one JSON object: how many records and sessions there are, their energy, and the first record that is wrong.
"""

import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key


def canonical(record):
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def main():
    with open(sys.argv[1], "rb") as file:
        key = load_pem_public_key(file.read())
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    key_id = hashlib.sha256(raw).hexdigest()[:16]
    number, before, wrong, energy, sessions = 0, "0" * 64, None, 0, 0
    for entry in json.load(sys.stdin)["records"]:
        record = entry["record"]
        text = canonical(record)
        sound = record["n"] == number + 1 and record["prev"] == before and record["key"] == key_id
        try:
            key.verify(bytes.fromhex(entry["signature"]), text)
        except InvalidSignature:
            sound = False
        if not sound and wrong is None:
            wrong = record["n"]
        number, before = record["n"], hashlib.sha256(text).hexdigest()
        if record["kind"] == "session":
            sessions += 1
            energy += record["energy_mwh"]
            assert record["energy_mwh"] == record["meter_stop_mwh"] - record["meter_start_mwh"]
    print(json.dumps({"records": number, "sessions": sessions, "energy_mwh": energy, "head": f"{number}:{before}",
                      "wrong": wrong}))


main()
