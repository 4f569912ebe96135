"""A CSMS that believes nothing: every frame in either direction is checked against the official JSON schemas
(shipped with PyPI `ocpp`) by an independent validator. Speaks OCPP 1.6 and 2.0.1.

One JSON object a line: commands on stdin, what happened on stdout. See rig.py.

With three arguments (certificate, key, root of the clients' certificates; PEM files) it also listens with TLS and tells in
`opened` who a client's certificate is for, and the login it showed.
"""

import asyncio
import base64
import importlib.resources
import json
import re
import ssl
import sys
from datetime import datetime, timezone

import jsonschema
import websockets

from rig import Rig

PROTOCOLS = {"ocpp1.6": "v16", "ocpp2.0.1": "v201"}
# Interop rule: UTC with Z and no or exactly three fraction digits.
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$")

COMMON = {
    "NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError", "PropertyConstraintViolation",
    "TypeConstraintViolation", "GenericError",
}
# The tables of codes of OCPP-J 1.6 (as misspelt there) and 2.0.1.
CODES = {
    "ocpp1.6": COMMON | {"FormationViolation", "OccurenceConstraintViolation"},
    "ocpp2.0.1": COMMON | {"FormatViolation", "OccurrenceConstraintViolation", "MessageTypeNotSupported", "RpcFrameworkError"},
}


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Schemas:
    """The schemas of one version."""

    def __init__(self, folder):
        self.root = importlib.resources.files("ocpp") / folder / "schemas"
        self.suffix = "" if folder == "v16" else "Request"
        self.cache = {}

    def problems(self, action, answer, payload):
        name = f"{action}Response" if answer else f"{action}{self.suffix}"
        if name not in self.cache:
            path = self.root / f"{name}.json"
            if not path.is_file():
                return [f"no such message: {name}"]
            schema = json.loads(path.read_text(encoding="utf-8-sig"))
            kind = jsonschema.validators.validator_for(schema, jsonschema.Draft7Validator)
            self.cache[name] = kind(schema)
        found = [f"{name}: {e.json_path}: {e.message}" for e in self.cache[name].iter_errors(payload)]
        return found + [f"{name}: {path}: not a UTC time: {value}" for path, value in times(payload)]


def times(value, path="$"):
    if isinstance(value, dict):
        for key, inner in value.items():
            at = f"{path}.{key}"
            if key.lower().endswith("timestamp") and not (isinstance(inner, str) and TIME.match(inner)):
                yield at, inner
            yield from times(inner, at)
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from times(inner, f"{path}[{n}]")


class Strict:
    def __init__(self):
        self.rig = Rig(self.command)
        self.links = {}
        self.pending = {}
        self.schemas = {name: Schemas(folder) for name, folder in PROTOCOLS.items()}
        self.tokens = {}
        self.next_tx = 4711
        self.refusing = False
        self.calls = 0

    async def serve(self):
        server = await websockets.serve(
            self.link, "127.0.0.1", 0, subprotocols=list(PROTOCOLS), process_request=self.door, ping_interval=None
        )
        port = server.sockets[0].getsockname()[1]
        if len(sys.argv) == 4:
            secure = await websockets.serve(
                self.link, "127.0.0.1", 0, subprotocols=list(PROTOCOLS), process_request=self.door,
                ping_interval=None, ssl=self.tls(*sys.argv[1:]),
            )
            self.rig.say(ready=port, secure=secure.sockets[0].getsockname()[1])
        else:
            self.rig.say(ready=port)
        await self.rig.run()

    @staticmethod
    def tls(certificate, key, clients):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def door(self, connection, request):
        return connection.respond(503, "closed for the test\n") if self.refusing else None

    async def link(self, ws):
        cp = ws.request.path.rsplit("/", 1)[-1]
        if ws.subprotocol is None:
            self.rig.violation(cp, "no sub-protocol offered")
            return
        self.links[cp] = ws
        self.rig.say(opened=cp, protocol=ws.subprotocol, **self.identity(ws))
        try:
            async for text in ws:
                await self.frame(cp, ws, text)
        except websockets.ConnectionClosed:
            pass
        finally:
            if self.links.get(cp) is ws:
                del self.links[cp]
            self.rig.say(closed=cp)

    @staticmethod
    def identity(ws):
        tls = ws.transport.get_extra_info("ssl_object")
        peer = (tls.getpeercert() if tls else None) or {}
        subject = {name: value for part in peer.get("subject", ()) for name, value in part}
        login = ws.request.headers.get("Authorization", "")
        login = base64.b64decode(login.removeprefix("Basic ")).hex() if login else None
        return {"tls": tls is not None, "subject": subject, "login": login}

    async def frame(self, cp, ws, text):
        if not isinstance(text, str):
            self.rig.violation(cp, "binary frame")
            return
        try:
            frame = json.loads(text)
            kind, mid = frame[0], frame[1]
        except (ValueError, LookupError, TypeError):
            self.rig.violation(cp, f"not a frame: {text[:200]}")
            return
        if not isinstance(mid, str) or not 0 < len(mid) <= 36:
            self.rig.violation(cp, f"message id: {mid!r}")
        if kind == 2 and len(frame) == 4:
            await self.called(cp, ws, mid, frame[2], frame[3])
        elif kind in (3, 4):
            self.answered(cp, ws, mid, frame)
        else:
            self.rig.violation(cp, f"frame of type {kind} and {len(frame)} elements")

    async def called(self, cp, ws, mid, action, payload):
        schemas = self.schemas[ws.subprotocol]
        for problem in schemas.problems(action, False, payload):
            self.rig.violation(cp, problem)
        answer = self.answer(ws.subprotocol, action, payload)
        for problem in schemas.problems(action, True, answer):
            self.rig.violation(cp, f"our own answer: {problem}")
        self.rig.say(call=action, cp=cp, payload=payload, answer=answer)
        await ws.send(json.dumps([3, mid, answer]))

    def answer(self, protocol, action, payload):
        token = payload.get("idTag") or (payload.get("idToken") or {}).get("idToken")
        verdict = {"status": self.tokens.get(token, "Accepted")}
        if action == "BootNotification":
            return {"status": "Accepted", "currentTime": now(), "interval": 30}
        if action == "Heartbeat":
            return {"currentTime": now()}
        if action == "SignCertificate":
            return {"status": "Accepted"}
        if action == "DataTransfer":
            return {"status": "UnknownVendorId"}
        if protocol == "ocpp2.0.1":
            if action == "Authorize" or (action == "TransactionEvent" and token):
                return {"idTokenInfo": verdict}
            return {}
        if action == "Authorize":
            return {"idTagInfo": verdict}
        if action == "StartTransaction":
            self.next_tx += 1
            return {"transactionId": self.next_tx, "idTagInfo": verdict}
        return {}

    def answered(self, cp, ws, mid, frame):
        if frame[0] == 4:
            self.broken_error(cp, ws, frame)
        action, number = self.pending.pop((cp, mid), (None, None))
        if action is None:
            self.rig.violation(cp, f"answer to no CALL: {frame}")
        elif frame[0] == 4:
            self.rig.say(answered=number, error=frame[2], description=frame[3])
        else:
            for problem in self.schemas[ws.subprotocol].problems(action, True, frame[2]):
                self.rig.violation(cp, problem)
            self.rig.say(answered=number, payload=frame[2])

    def broken_error(self, cp, ws, frame):
        known = len(frame) == 5 and frame[2] in CODES[ws.subprotocol]
        if not known or not isinstance(frame[3], str) or len(frame[3]) > 255 or not isinstance(frame[4], dict):
            self.rig.violation(cp, f"not a CALLERROR: {frame}")

    async def command(self, order):
        if "call" in order:
            cp = order["cp"]
            ws = self.links.get(cp)
            if ws is None:
                self.rig.say(answered=order["n"], error="NotConnected", description=cp)
                return
            self.calls += 1
            mid = f"strict-{self.calls}"
            for problem in self.schemas[ws.subprotocol].problems(order["call"], False, order["payload"]):
                self.rig.violation(cp, f"our own CALL: {problem}")
            self.pending[(cp, mid)] = (order["call"], order["n"])
            await ws.send(json.dumps([2, mid, order["call"], order["payload"]]))
        elif "token" in order:
            self.tokens[order["token"]] = order["verdict"]
        elif "reach" in order:
            self.refusing = order["reach"] != "up"
            if self.refusing:
                for ws in list(self.links.values()):
                    ws.transport.abort()


if __name__ == "__main__":
    asyncio.run(Strict().serve())
