#!/usr/bin/env python3
"""A master of pymodbus on a serial line: reads input registers of units 1 to N in turn, back to back.

    pymodbus_master.py sync|async PATH BAUD UNITS REGISTERS MILLISECONDS TIMEOUT_MS

Says `good bad seconds processor-seconds`. A pseudo-terminal has no parity bit, so none is asked for; the line paces it all the same.
"""

import asyncio
import inspect
import logging
import sys
import time

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusSerialClient, ModbusSerialClient


async def done(result):
    return await result if inspect.isawaitable(result) else result


async def main():
    mode, path, (baud, units, registers, millis, timeout) = *sys.argv[1:3], map(int, sys.argv[3:8])
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    kind = AsyncModbusSerialClient if mode == "async" else ModbusSerialClient
    client = kind(path, baudrate=baud, parity="N", timeout=timeout / 1000, retries=0)
    if not await done(client.connect()):
        sys.exit(f"cannot open {path}")
    good = bad = unit = 0
    begin, used = time.monotonic(), time.process_time()
    while time.monotonic() < begin + millis / 1000:
        try:
            answer = await done(client.read_input_registers(0, count=registers, device_id=unit + 1))
            good, bad = (good, bad + 1) if answer.isError() else (good + 1, bad)
        except ModbusException:
            bad += 1
            if not client.connected:
                await done(client.connect())
        unit = (unit + 1) % units
    print(good, bad, f"{time.monotonic() - begin:.6f} {time.process_time() - used:.6f}")
    client.close()


asyncio.run(main())
