"""PyPI `arthexis` (OCPP 1.6 and 2.0.1) behind the orders of rig.py: its own server, consumer, database and answers.

    arthexis_rig.py [tls=server.pem] CP-1:1.6 CP-2:2.0.1:password ...

enrols these charge points with open authorisation; they connect to `ws://127.0.0.1:<ready>/ws/ocpp/<id>/`, slash
included. arthexis takes nobody without HTTP Basic. A point named with a password has to present it; to one named
without, the rig lends its own login where it brings none, as a reverse proxy would that knows its stations otherwise.
With a PEM file of key and certificate daphne, the server it comes with, speaks TLS only: security profile 2. Profile 3 is
not offered by it: nothing in it looks at a client certificate.

Said besides what rig.py names:
    {"call": action, "cp": ..., "payload": ..., "error": code, "description": ...}   arthexis answered with a CALLERROR
    {"asked": action, "cp": ..., "payload": ...}                                     a CALL of arthexis went out
    {"refused": cp, "code": ...}                                                     it closed before it accepted
Order {"report": true}: {"report": {"transactions": [...]}}, what arthexis itself has on record.

`answer` is what arthexis committed and sent; whether it arrived is for the charge point to say. An order to call a
charge point that is away is answered with an error at once, but arthexis keeps it and sends it at the next connection.
"""

import asyncio
import base64
import contextlib
import io
import json
import os
import secrets
import sys
import tempfile

sys.dont_write_bytecode = True  # the temporary directory is the only place written to

from rig import Rig  # noqa: E402

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Gate:
    """The TCP port that the test sees: hands every byte on, or lets nobody in."""

    def __init__(self, behind, tls):
        self.behind = behind
        self.tls = tls
        self.refusing = False
        self.transports = set()

    async def open(self):
        server = await asyncio.start_server(self.link, "127.0.0.1", 0)
        return server.sockets[0].getsockname()[1]

    def refuse(self):
        self.refusing = True
        for transport in list(self.transports):
            transport.abort()

    async def link(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            if self.refusing and self.tls:
                pass  # it would have to speak TLS to say no
            elif self.refusing:
                await reader.readuntil(b"\r\n\r\n")  # a close over unread bytes would be a reset, not a 503
                writer.write(UNAVAILABLE)
                await writer.drain()
            else:
                async with self.held(writer):
                    await self.relay(reader, writer)
        writer.close()

    async def relay(self, reader, writer):
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.behind)
        async with self.held(inner_writer):
            if self.refusing:  # since before the connection behind was made
                return
            await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

    @contextlib.asynccontextmanager
    async def held(self, writer):
        self.transports.add(writer.transport)
        try:
            yield
        finally:
            self.transports.discard(writer.transport)
            writer.close()


async def pipe(reader, writer):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


class Ear:
    """Between daphne and arthexis: hears every frame of both directions and changes none."""

    def __init__(self, application, rig, logins):
        self.application = application
        self.rig = rig
        self.logins = logins

    async def __call__(self, scope, receive, send):
        if scope["type"] != "websocket":
            await self.application(scope, receive, send)
            return
        talk = Talk(scope["path"].rstrip("/").rsplit("/", 1)[-1], self.rig)

        async def hear():
            event = await receive()
            talk.heard(event)
            return event

        async def tell(event):
            await send(event)
            talk.told(event)

        try:
            await self.application(self.known(talk.cp, scope), hear, tell)
        except Exception as error:  # daphne answers it with a 500 or a close 1011; the test has to see why
            self.rig.violation(talk.cp, f"arthexis raised {type(error).__name__}: {error}")
            raise
        finally:
            talk.close()

    def known(self, cp, scope):
        brought = any(name == b"authorization" for name, _ in scope["headers"])
        if brought or cp not in self.logins:
            return scope
        return {**scope, "headers": [*scope["headers"], (b"authorization", self.logins[cp])]}


class Talk:
    """One connection of one charge point."""

    def __init__(self, cp, rig):
        self.cp = cp
        self.rig = rig
        self.open = False
        self.pending = {}

    def heard(self, event):
        if event["type"] == "websocket.disconnect":
            self.close()
        elif event.get("text"):
            with contextlib.suppress(ValueError):  # arthexis will say what it thinks of it
                match json.loads(event["text"]):
                    case [2, str(mid), action, payload]:
                        self.pending[mid] = (action, payload)

    def told(self, event):
        if event["type"] == "websocket.accept":
            self.open = True
            self.rig.say(opened=self.cp, protocol=event.get("subprotocol"))
        elif event["type"] == "websocket.close" and not self.open:
            self.rig.say(refused=self.cp, code=event.get("code"))
        elif event["type"] == "websocket.send":
            self.sent(json.loads(event["text"]))

    def sent(self, frame):
        if frame[0] == 2:
            self.rig.say(asked=frame[2], cp=self.cp, payload=frame[3])
            return
        action, payload = self.pending.pop(frame[1], (None, None))
        if action is None:  # arthexis answers with an empty id what it cannot read as a frame
            self.rig.violation(self.cp, f"arthexis answered {frame}")
        elif frame[0] == 3:
            self.rig.say(call=action, cp=self.cp, payload=payload, answer=frame[2])
        else:
            self.rig.say(call=action, cp=self.cp, payload=payload, error=frame[2], description=frame[3])

    def close(self):
        if self.open:
            self.open = False
            self.rig.say(closed=self.cp)


class Foreign:
    def __init__(self, points, tls):
        self.rig = Rig(self.command)
        self.points = points
        self.tls = tls
        self.gate = None
        self.calls = set()

    async def serve(self, server):
        try:
            self.gate = Gate(server.listening_addresses[0][1], self.tls)
            self.rig.say(ready=await self.gate.open())
            await self.rig.run()
        finally:
            server.stop()

    async def command(self, order):
        if "call" in order:
            call = asyncio.ensure_future(self.call(order))
            self.calls.add(call)  # the event loop holds tasks by weak references only
            call.add_done_callback(self.calls.discard)
        elif order.get("reach") == "refuse":
            self.gate.refuse()
        elif order.get("reach") == "up":
            self.gate.refusing = False
        elif order.get("report"):
            from asgiref.sync import sync_to_async

            self.rig.say(report=await sync_to_async(self.report)())

    async def call(self, order):
        """Has arthexis send a CALL by its own operation service and tells how it settled."""
        try:
            done = await self.emit(order)
        except Exception as error:  # the test decides whether it was to be expected
            self.rig.say(answered=order["n"], error=type(error).__name__, description=str(error))
            return
        if done.status == done.Status.COMPLETED:
            self.rig.say(answered=order["n"], payload=done.response_payload)
        elif done.status == done.Status.ERRORED:
            self.rig.say(answered=order["n"], error=done.error_code, description=done.error_description)
        else:  # not connected, or cut off before the answer
            self.rig.say(answered=order["n"], error=done.status, description=done.last_delivery_error)

    async def emit(self, order):
        from apps.ocpp.models import Charger
        from apps.ocpp.transport import operations

        send = {"1.6": operations.emit_v16_operation, "2.0.1": operations.emit_v201_operation}
        charger = await Charger.objects.aget(identity=order["cp"])
        emit = send[self.points[order["cp"]][0]]
        return await emit(charger=charger, action=order["call"], payload=order["payload"])

    def report(self):
        from apps.ocpp.models import OcppTransaction

        rows = OcppTransaction.objects.select_related("charger").order_by("pk")
        return {"transactions": [self.row(row) for row in rows]}

    def row(self, row):
        cp = row.charger.identity
        return {
            "cp": cp,
            # What the charge point knows it by: in 1.6 arthexis gives the number, in 2.0.1 the charge point the name.
            "transaction id": row.pk if self.points[cp][0] == "1.6" else row.remote_id,
            "meter start": number(row.meter_start),
            "meter stop": number(row.meter_stop),
            "ended": row.stopped_at is not None,
            "state": row.recovery_state,
            "token": row.id_tag,
            "started": row.started_at.isoformat(),
            "stopped": row.stopped_at and row.stopped_at.isoformat(),
            "energy kWh": number(row.energy_kwh),
            "samples": row.meter_values.count(),
        }


def number(value):
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else str(value)


def furnish(folder):
    """Sets arthexis up in a folder of its own: SQLite, channel layer in memory, no Redis, no worker."""
    for name in [name for name in os.environ if name.startswith("ARTHEXIS_")]:
        del os.environ[name]
    os.environ["ARTHEXIS_DATA_DIR"] = folder
    os.environ["ARTHEXIS_ALLOWED_HOSTS"] = "127.0.0.1"
    os.environ["DJANGO_SETTINGS_MODULE"] = "arthexis.settings"

    from arthexis.asgi import application
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    call_command("seed", stdout=io.StringIO())
    return application


def enrol(points):
    """Puts the charge points on arthexis' list, as its own enrolment would; says the logins the rig has to lend."""
    from apps.ocpp.models import Charger, StationModel
    from django.contrib.auth.hashers import PBKDF2PasswordHasher
    from django.db import connections
    from django.utils import timezone

    logins = {}
    for cp, (version, password) in points.items():
        if password is None:
            password = secrets.token_hex(10)
            logins[cp] = b"Basic " + base64.b64encode(f"{cp}:{password}".encode())
        model, _ = StationModel.objects.get_or_create(
            vendor="interop", model=version, defaults={"preferred_protocol": f"ocpp{version}"}
        )
        now = timezone.now()
        Charger.objects.create(
            identity=cp,
            # One round: how slowly a guess is checked is not what is tested, and every connection waits for it.
            connection_token_hash=PBKDF2PasswordHasher().encode(password, secrets.token_hex(11), iterations=1),
            enrolled_at=now,
            authority_cutover_at=now,
            authorization_mode=Charger.AuthorizationMode.OPEN,
            station_model=model,
        )
    connections.close_all()
    return logins


def wanted(arguments):
    points = {}
    for argument in arguments:
        cp, version, *password = argument.split(":", 2)
        if version not in ("1.6", "2.0.1"):
            raise SystemExit(f"{argument}: the version is 1.6 or 2.0.1")
        points[cp] = (version, password[0] if password else None)
    return points


def main():
    arguments = sys.argv[1:]
    pem = arguments.pop(0).removeprefix("tls=") if arguments[0].startswith("tls=") else None
    points = wanted(arguments)
    endpoint = f"ssl:port=0:interface=127.0.0.1:privateKey={pem}:certKey={pem}" if pem else "tcp:port=0:interface=127.0.0.1"
    with tempfile.TemporaryDirectory(prefix="arthexis-rig-") as folder:
        from daphne.server import Server, twisted_loop  # before anything else installs a reactor

        application = furnish(folder)
        foreign = Foreign(points, pem is not None)
        ear = Ear(application, foreign.rig, enrol(points))
        server = Server(ear, endpoints=[endpoint])
        # daphne listens before it starts the loop, so this task finds the port open.
        serving = twisted_loop.create_task(foreign.serve(server))
        server.run()
        serving.cancel()  # still there after a signal
        with contextlib.suppress(asyncio.CancelledError):
            twisted_loop.run_until_complete(serving)


if __name__ == "__main__":
    main()
