"""PyPI `ocpp-csms` (OCPP 1.6) behind the orders of rig.py: its own server, its own answers.

    ocpp_csms_rig.py password [server.pem]

It lets in who shows that password (security profile 1), and with a PEM file of key and certificate over TLS only (profile
2). Profile 3 is not offered by it: with a context of its own it could ask for a client certificate, but looks at no name
in it.

Said besides what rig.py names: {"refused": cp}, a login was wrong.
"""

import asyncio
import dataclasses
import ssl
import sys

from ocpp.v16 import call
from ocpp_csms import CentralSystem

from rig import Rig


class Foreign:
    def __init__(self):
        self.rig = Rig(self.command)
        self.system = None
        self.port = 0
        self.password, *files = sys.argv[1:]
        self.tls = None
        if files:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(files[0])

    async def serve(self):
        await self.open()
        self.rig.say(ready=self.port)
        await self.rig.run()
        await self.system.async_stop()

    async def open(self):
        self.system = CentralSystem(
            host="127.0.0.1", port=self.port, ssl_context=self.tls, authenticate=self.authenticate
        )
        self.system.add_listener(self.event)
        await self.system.async_start()
        self.port = self.system.port

    async def authenticate(self, cp, password):
        if password == self.password:
            return True
        self.rig.say(refused=cp)
        return False

    def event(self, event):
        # An event is a dataclass that names its charge point and kind; the test awaits it by class name.
        fields = {f.name: str(getattr(event, f.name)) for f in dataclasses.fields(event)}
        cp = getattr(event, "charge_point_id", None) or fields.get("charge_point_id", "")
        self.rig.say(event=type(event).__name__, cp=str(cp), fields=fields)

    async def command(self, order):
        if "call" in order:
            asyncio.ensure_future(self.call(order))
        elif order.get("reach") == "refuse":
            await self.system.async_stop()
        elif order.get("reach") == "up":
            await self.open()

    async def call(self, order):
        try:
            point = self.system.charge_points[order["cp"]]
            request = getattr(call, order["call"])(**order["payload"])
            answer = await point.async_call(request)
            self.rig.say(answered=order["n"], payload={k: str(v) for k, v in dataclasses.asdict(answer).items()})
        except Exception as error:  # the test decides whether it was to be expected
            self.rig.say(answered=order["n"], error=type(error).__name__, description=str(error))


if __name__ == "__main__":
    asyncio.run(Foreign().serve())
