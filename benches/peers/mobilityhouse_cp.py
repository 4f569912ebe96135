#!/usr/bin/env python3
"""Charge points of PyPI `ocpp` (mobilityhouse), all in one process, OCPP 1.6.

    mobilityhouse_cp.py HOW_MANY URL        {id} in the URL is replaced

Each boots, then sends MeterValues with ten sampled values every 10 s.
"""

import asyncio
import sys
from datetime import datetime, timezone

import websockets
from ocpp.v16 import ChargePoint, call

EVERY = 10
MEASURANDS = [
    ("Energy.Active.Import.Register", None),
    *(("Current.Import", phase) for phase in ("L1", "L2", "L3")),
    *(("Voltage", phase) for phase in ("L1", "L2", "L3")),
    *(("Power.Active.Import", phase) for phase in ("L1", "L2", "L3")),
]


def sample():
    values = [
        {"value": "230", "measurand": measurand, **({"phase": phase} if phase else {})}
        for measurand, phase in MEASURANDS
    ]
    return [{"timestamp": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "sampled_value": values}]


async def charge_point(number, count, url):
    name = f"PEER-{number}"
    async with websockets.connect(url.replace("{id}", name), subprotocols=["ocpp1.6"]) as link:
        point = ChargePoint(name, link)

        async def talk():
            await point.call(call.BootNotification(charge_point_model="Bench", charge_point_vendor="Bench"))
            await asyncio.sleep(EVERY * number / count)
            while True:
                await point.call(call.MeterValues(connector_id=1, meter_value=sample()))
                await asyncio.sleep(EVERY)

        await asyncio.gather(point.start(), talk())


async def main():
    count, url = int(sys.argv[1]), sys.argv[2]
    await asyncio.gather(*(charge_point(n, count, url) for n in range(1, count + 1)))


asyncio.run(main())
