"""The parts of systemd-timedated and systemd-timesyncd that tell of the clock, on the bus that DBUS_SYSTEM_BUS_ADDRESS names.

Said:   {"ready": 0}, {"synchronised": flag}.
Orders: {"synchronised": flag}: how the kernel is to see its clock.
End of stdin ends the program.
"""

import asyncio
import sys

from dbus_fast import BusType, PropertyAccess
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_property

from rig import Rig


class Date(ServiceInterface):
    def __init__(self):
        super().__init__("org.freedesktop.timedate1")
        self.synchronised = True

    @dbus_property(access=PropertyAccess.READ)
    def NTP(self) -> "b":
        return True

    @dbus_property(access=PropertyAccess.READ)
    def NTPSynchronized(self) -> "b":
        return self.synchronised


class Sync(ServiceInterface):
    def __init__(self):
        super().__init__("org.freedesktop.timesync1.Manager")

    @dbus_property(access=PropertyAccess.READ)
    def ServerName(self) -> "s":
        return "time.example"

    @dbus_property(access=PropertyAccess.READ)
    def NTPMessage(self) -> "(uuuuittayttttbtt)":
        return [0, 4, 4, 2, -24, 20000, 7000, b"\x01\x02\x03\x04", 1, 2, 3, 4, False, 9, 500]


async def command(order):
    date.synchronised = order["synchronised"]
    rig.say(synchronised=date.synchronised)


async def main():
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    bus.export("/org/freedesktop/timedate1", date)
    bus.export("/org/freedesktop/timesync1", sync)
    await bus.request_name("org.freedesktop.timedate1")
    await bus.request_name("org.freedesktop.timesync1")
    rig.say(ready=0)
    await rig.run()
    sys.exit(0)


rig = Rig(command)
date, sync = Date(), Sync()
asyncio.run(main())
