#!/usr/bin/env python3
"""A charger and a meter served by pymodbus: a slave the gateway's authors did not write.

    pymodbus_slave.py --tcp [--framer socket|rtu|ascii] [--map map.json]
    pymodbus_slave.py --rtu /path/of/port [--framer rtu|ascii] [--baud 19200] [--parity N]

Says on stdout `READY tcp 127.0.0.1:PORT` or `READY rtu PATH`, then `WRITE unit address value...` for every write
taken. Reads `plug`, `unplug` and `quit` from stdin; says `ENERGY Wh` when unplugged. Behaviour "heidelberg": the status follows limit and plug.
Behaviour "sdm630": shows the current of the charger and counts its energy. A pseudo-terminal has no parity bit and pyserial takes offence when it asks for one: leave
the parity at N there.
"""

import argparse
import asyncio
import functools
import json
import pathlib
import struct
import sys
import time

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

VOLTS = 230.0
HIGHEST = 160


def say(*words):
    print(*words, flush=True)


class Box:
    """What the two devices share: the plug, the limit, the energy."""

    def __init__(self):
        self.plugged = False
        self.limit = HIGHEST
        self.energy_wh = 1_234_500.0
        self.seen = time.monotonic()

    def deciamps(self):
        return min(self.limit, HIGHEST) if self.plugged and self.limit >= 60 else 0

    def watts(self):
        return self.deciamps() / 10 * VOLTS * 3

    def count(self):
        now = time.monotonic()
        self.energy_wh += self.watts() * (now - self.seen) / 3600
        self.seen = now

    def status(self):
        if not self.plugged:
            return 3 if self.limit >= 60 else 2
        return 7 if self.limit >= 60 else 6


def put(registers, start, address, words):
    """Sets words where the block has them."""
    at = address - start
    if 0 <= at and at + len(words) <= len(registers):
        registers[at : at + len(words)] = words


def float_words(value):
    return list(struct.unpack(">HH", struct.pack(">f", value)))


def show_charger(box, start, registers):
    put(registers, start, 5, [box.status()] + [box.deciamps()] * 3)
    put(registers, start, 14, [int(box.watts())])
    put(registers, start, 17, list(struct.unpack(">HH", struct.pack(">I", int(box.energy_wh)))))


def show_meter(box, start, registers):
    amps = box.deciamps() / 10
    for phase in range(3):
        put(registers, start, 6 + 2 * phase, float_words(amps))
        put(registers, start, 12 + 2 * phase, float_words(amps * VOLTS))
    put(registers, start, 52, float_words(box.watts()))
    for address in (72, 342):
        put(registers, start, address, float_words(box.energy_wh / 1000))


async def act(box, unit, behaviour, function, start, address, count, registers, values):
    """Called by pymodbus before every access to a block."""
    box.count()
    if values is not None and function in (5, 6, 15, 16):
        words = [int(value) for value in values]
        say("WRITE", unit, address, *words)
        if behaviour == "heidelberg" and address <= 261 < address + count:
            box.limit = words[261 - address]
    elif function == 4:
        (show_charger if behaviour == "heidelberg" else show_meter)(box, start, registers)
    return None


def device(box, entry):
    def block(name):
        cells = sorted((int(address), words) for address, words in entry.get(name, {}).items())
        return [SimData(address, values=words, datatype=DataType.REGISTERS) for address, words in cells]

    bits = [SimData(0, count=16, values=False, datatype=DataType.BITS)]
    unused = [SimData(0, count=16, datatype=DataType.INVALID)]
    action = functools.partial(act, box, entry["unit"], entry["behaviour"])

    async def called(function, start, address, count, registers, values):
        return await action(function, start, address, count, registers, values)

    tables = (bits, list(bits), block("holding") or unused, block("input") or unused)
    return SimDevice(id=entry["unit"], simdata=tables, action=called)


async def orders(box, server):
    """Obeys stdin until it ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        box.count()
        match line.decode().split():
            case ["plug"]:
                box.plugged = True
            case ["unplug"]:
                box.plugged = False
                say("ENERGY", round(box.energy_wh, 2))
            case ["quit"]:
                break
    await server.shutdown()


async def main():
    parser = argparse.ArgumentParser()
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--tcp", action="store_true")
    where.add_argument("--rtu", metavar="PATH")
    parser.add_argument("--framer", choices=[framer.value for framer in FramerType])
    parser.add_argument("--baud", type=int, default=19200)
    parser.add_argument("--parity", default="N")
    parser.add_argument("--map", default=pathlib.Path(__file__).with_name("map.json"))
    args = parser.parse_args()

    box = Box()
    units = json.loads(pathlib.Path(args.map).read_text())["units"]
    devices = [device(box, entry) for entry in units]
    if args.tcp:
        # Units that are not there must stay silent, as on a real line.
        server = ModbusTcpServer(
            devices,
            framer=FramerType(args.framer or "socket"),
            address=("127.0.0.1", 0),
            ignore_missing_devices=True,
        )
    else:
        server = ModbusSerialServer(
            devices,
            framer=FramerType(args.framer or "rtu"),
            port=args.rtu,
            baudrate=args.baud,
            parity=args.parity,
            ignore_missing_devices=True,
        )
    await server.serve_forever(background=True)
    if args.tcp:
        host, port = server.transport.sockets[0].getsockname()
        say("READY", "tcp", f"{host}:{port}")
    else:
        say("READY", "rtu", args.rtu)
    await orders(box, server)


asyncio.run(main())
