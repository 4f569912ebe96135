"""The part of systemd-logind that an inhibitor needs, on the bus that DBUS_SYSTEM_BUS_ADDRESS names.

Said:   {"ready": 0}, {"inhibit": [what, who, why, mode]}, {"released": mode}.
Orders: {"refuse": mode} or {"refuse": ""}: which mode is denied, as polkit denies it to services.
End of stdin ends the program.
"""

import asyncio
import os
import sys

from dbus_fast import BusType, DBusError
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, dbus_method

from rig import Rig


class Manager(ServiceInterface):
    def __init__(self):
        super().__init__("org.freedesktop.login1.Manager")
        self.refuse = ""
        self.given = []

    @dbus_method()
    def Inhibit(self, what: "s", who: "s", why: "s", mode: "s") -> "h":
        if mode == self.refuse:
            raise DBusError("org.freedesktop.DBus.Error.AccessDenied", "Permission denied")
        ours, theirs = os.pipe()
        rig.say(inhibit=[what, who, why, mode])
        loop = asyncio.get_running_loop()
        loop.call_later(0.2, os.close, theirs)  # it has been sent by then
        loop.add_reader(ours, self.released, ours, mode)
        return theirs

    def released(self, ours, mode):
        # Readable without data: the last descriptor of the other end is closed.
        if os.read(ours, 1) == b"":
            asyncio.get_running_loop().remove_reader(ours)
            os.close(ours)
            rig.say(released=mode)


async def command(order):
    manager.refuse = order["refuse"]
    rig.say(refusing=manager.refuse)


async def main():
    bus = await MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True).connect()
    bus.export("/org/freedesktop/login1", manager)
    await bus.request_name("org.freedesktop.login1")
    rig.say(ready=0)
    await rig.run()
    sys.exit(0)


rig = Rig(command)
manager = Manager()
asyncio.run(main())
