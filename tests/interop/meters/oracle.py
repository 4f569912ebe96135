#!/usr/bin/env python3
"""Decoders and encoders of meter telegrams that the gateway's authors did not write.

    oracle.py p1 < telegram          values of a P1 telegram as dsmr-parser reads it, its checksum checked
    oracle.py sml < telegram         values of an SML telegram as smllib reads it, its checksums checked
    oracle.py iec '1.8.0(1*kWh)' ... an identification and a readout as the package iec62056-21 writes them, in hexadecimal

P1 and SML: one JSON object, OBIS code to value (SML) or name to value (P1).
"""

import json
import sys


def p1(data):
    from dsmr_parser import telegram_specifications
    from dsmr_parser.parsers import TelegramParser

    telegram = TelegramParser(telegram_specifications.V5).parse(data.decode("ascii"))
    entries = json.loads(telegram.to_json()).items()
    return {name: entry["value"] for name, entry in entries if isinstance(entry, dict) and "value" in entry}


def sml(data):
    from smllib import SmlStreamReader

    reader = SmlStreamReader()
    reader.add(data)
    frame = reader.get_frame()
    values = {}
    for message in frame.parse_frame():
        for entry in getattr(message.message_body, "val_list", []):
            values[entry.obis.obis_short] = entry.get_value()
    return values


def iec(lines):
    from iec62056_21 import messages

    identification = messages.IdentificationMessage(
        identification="TEST", manufacturer="SIM", switchover_baudrate_char="5"
    )
    block = messages.DataBlock([messages.DataLine.from_representation(line) for line in lines])
    readout = messages.ReadoutDataMessage(block)
    return identification.to_bytes().hex(), readout.to_bytes().hex()


match sys.argv[1]:
    case "p1":
        print(json.dumps(p1(sys.stdin.buffer.read())))
    case "sml":
        print(json.dumps(sml(sys.stdin.buffer.read())))
    case "iec":
        print(json.dumps(iec(sys.argv[2:])))
