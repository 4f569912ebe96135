"""Foreign file servers for the tests: FTP, FTPS (pyftpdlib) and HTTP, HTTPS (http.server), all over one folder.

Arguments: the folder, a PEM file with key and certificate. Name and password are `op` and `secret`.
Said:   {"ready": 0, "ftp": port, "ftps": port, "http": port, "https": port},
        {"got": name, "by": scheme, "bytes": n}, {"sent": name, "by": scheme}, {"refused": what, "by": scheme},
        {"broke": name, "by": scheme}.
Orders: {"break": n}: the next n transfers of any kind are cut in their middle.
        {"methods": ["POST"]}: what HTTP knows beside GET.
End of stdin ends the program.
"""

import base64
import http.server
import json
import logging
import os
import pathlib
import ssl
import sys
import threading

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import DTPHandler, FTPHandler, TLS_DTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer

FOLDER = pathlib.Path(sys.argv[1])
PEM = sys.argv[2]
LOCK = threading.Lock()
STATE = {"break": 0, "methods": ["PUT", "POST"]}


def say(**what):
    with LOCK:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


def breaks():
    with LOCK:
        broken = STATE["break"] > 0
        STATE["break"] -= broken
        return broken


class Breaking:
    """A data connection that is gone after its first bytes, if the test wants that."""

    def handle_read_event(self):
        if self.receive and breaks():
            self.cmd_channel.broke()
            return
        super().handle_read_event()

    def initiate_send(self):
        if self.file_obj is not None and not self.receive and breaks():
            self.cmd_channel.broke()
            return
        super().initiate_send()


class PlainData(Breaking, DTPHandler):
    pass


class SecureData(Breaking, TLS_DTPHandler):
    pass


class Telling:
    def on_file_received(self, file):
        say(got=os.path.relpath(file, FOLDER), by=self.scheme, bytes=os.path.getsize(file))

    def on_file_sent(self, file):
        say(sent=os.path.relpath(file, FOLDER), by=self.scheme)

    def on_login_failed(self, username, password):
        say(refused=username, by=self.scheme)

    def broke(self):
        say(broke="data", by=self.scheme)
        # The whole session, as a network that goes down does it.
        self.close()


class Plain(Telling, FTPHandler):
    scheme = "ftp"
    dtp_handler = PlainData
    auth_failed_timeout = 0
    # The kernel would send past the place where transfers break.
    use_sendfile = False


class Secure(Telling, TLS_FTPHandler):
    scheme = "ftps"
    dtp_handler = SecureData
    auth_failed_timeout = 0
    certfile = PEM
    tls_control_required = True
    tls_data_required = True


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    scheme = "http"

    def log_message(self, *_):
        pass

    def path_of(self):
        return FOLDER / self.path.split("?")[0].lstrip("/")

    def answer(self, code):
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def permitted(self):
        wanted = "Basic " + base64.b64encode(b"op:secret").decode()
        if self.headers.get("Authorization") == wanted:
            return True
        say(refused=self.path, by=self.scheme)
        self.close_connection = True
        self.answer(401)
        return False

    def cut(self):
        say(broke=self.path, by=self.scheme)
        self.close_connection = True
        self.connection.close()

    def take(self):
        if self.command not in STATE["methods"]:
            self.close_connection = True
            return self.answer(405)
        if not self.permitted():
            return None
        if breaks():
            self.rfile.read(10)
            return self.cut()
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.path_of().write_bytes(data)
        self.answer(201)
        say(got=self.path.lstrip("/"), by=self.scheme, bytes=len(data))
        return None

    do_PUT = take
    do_POST = take

    def do_GET(self):
        if not self.permitted():
            return
        path = self.path_of()
        if not path.is_file():
            self.answer(404)
            return
        data = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if breaks():
            self.wfile.write(data[: len(data) // 2])
            self.cut()
            return
        self.wfile.write(data)
        say(sent=self.path.lstrip("/"), by=self.scheme)


class SecureWeb(Web):
    scheme = "https"


def background(serve):
    threading.Thread(target=serve, daemon=True).start()


def main():
    logging.basicConfig(level=logging.WARNING)
    people = DummyAuthorizer()
    people.add_user("op", "secret", str(FOLDER), perm="elrw")
    ports = {}
    for handler in (Plain, Secure):
        handler.authorizer = people
        server = FTPServer(("127.0.0.1", 0), handler)
        ports[handler.scheme] = server.address[1]
    ftp = server
    # Both live in one loop.
    background(lambda: ftp.serve_forever(handle_exit=False))
    for handler in (Web, SecureWeb):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        ports[handler.scheme] = server.server_address[1]
        if handler is SecureWeb:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(PEM)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        background(server.serve_forever)
    say(ready=0, **ports)
    for line in sys.stdin:
        with LOCK:
            STATE.update(json.loads(line))


main()
