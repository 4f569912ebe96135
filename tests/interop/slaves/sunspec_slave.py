#!/usr/bin/env python3
"""A SunSpec device over Modbus TCP: the models are pysunspec2's, the server is pymodbus's.

    sunspec_slave.py --base 40000 --models 1,103,1,203

Says `READY tcp 127.0.0.1:PORT`. Orders on stdin set points of the last model, by name and as raw values:
`set W=345 W_SF=1`. The registers are encoded from the definitions of the SunSpec Alliance that pysunspec2 carries.
"""

import argparse
import asyncio
import struct
import sys

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from sunspec2.file.client import FileClientModel

COMMON = {"Mn": "Maker", "Md": "Meter", "Vr": "1.2", "SN": "S-4711", "DA": 1}


def words(data):
    return list(struct.unpack(f">{len(data) // 2}H", data))


class Chain:
    """The marker, the models and the mark of the end."""

    def __init__(self, ids):
        self.models = [FileClientModel(model_id=i, data={"ID": i} | (COMMON if i == 1 else {})) for i in ids]
        for model in self.models:
            # What the definition says, as a device would.
            model.points["L"].value = model.len - 2

    def registers(self):
        data = b"SunS" + b"".join(model.get_mb() for model in self.models)
        return words(data) + [0xFFFF, 0]

    def set(self, pairs):
        for name, value in (pair.split("=") for pair in pairs):
            point = self.models[-1].points[name]
            point.value = float(value) if "." in value else int(value)


async def orders(chain, server):
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await reader.readline():
        match line.decode().split():
            case ["set", *pairs]:
                chain.set(pairs)
                print("SET", *pairs, flush=True)
            case ["quit"]:
                break
    await server.shutdown()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", type=int, default=40000)
    parser.add_argument("--models", default="1,203")
    args = parser.parse_args()
    chain = Chain([int(i) for i in args.models.split(",")])

    async def show(function, start, address, count, registers, values):
        if function == 3:
            now = chain.registers()
            at = args.base - start
            registers[at : at + len(now)] = now
        return None

    bits = [SimData(0, count=16, values=False, datatype=DataType.BITS)]
    unused = [SimData(0, count=16, datatype=DataType.INVALID)]
    block = [SimData(args.base, values=chain.registers(), datatype=DataType.REGISTERS)]
    device = SimDevice(id=1, simdata=(bits, list(bits), block, unused), action=show)
    server = ModbusTcpServer([device], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    host, port = server.transport.sockets[0].getsockname()
    print("READY", "tcp", f"{host}:{port}", flush=True)
    await orders(chain, server)


asyncio.run(main())
