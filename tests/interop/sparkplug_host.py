"""PyPI `pysparkplug` as a host application: it decodes every message of one edge node and holds it to the session rules.

    sparkplug_host.py PORT GROUP NODE [HOST_ID]

One JSON object a line on stdin (orders, answered by their number) and stdout. With HOST_ID it is a primary host.

Orders: {"await": messages}, {"tags": device or ""}, {"ncmd": {name: [type, value]}}, {"dcmd": device, "write": {...}},
        {"state": online, "timestamp": ms}, {"totals": true}, {"deaf": messages}; all with "n": number.
Said:   {"ready": 1}, {"heard": type, "device": d, "seq": s, "bdseq": b} for births and deaths, {"violation": text},
        {"answered": n, "payload": ...}.

Deaf, it misses so many messages as if its own connection had lost them. It sees that by the next number, says
{"heard": "GAP"} and takes nothing in until the next NBIRTH.
End of stdin ends the program.
"""

import json
import sys
import threading

from pysparkplug import (
    Client,
    DataType,
    DCmd,
    Message,
    MessageType,
    Metric,
    NCmd,
    QoS,
    State,
    Topic,
    get_current_timestamp,
)


class Host:
    def __init__(self, port, group, node, host_id=None):
        self.group, self.node, self.host_id = group, node, host_id
        self.heard = threading.Condition()
        self.messages = self.gaps = self.births = self.historical = 0
        self.next_seq = None
        self.bdseq = None
        self.alive = {}
        self.old = []
        self.deaf = 0
        self.missed = self.waits_for_birth = False
        self.client = Client("host")
        self.client.subscribe(Topic(group, "+", node, "#"), QoS.AT_LEAST_ONCE, self.hear)
        connected = threading.Event()
        self.client.connect("127.0.0.1", port=port, callback=lambda _client: connected.set())
        if not connected.wait(30):
            self.violation("no connection to the broker")

    def say(self, **what):
        sys.stdout.write(json.dumps(what, default=str) + "\n")
        sys.stdout.flush()

    def violation(self, text):
        self.say(violation=text)

    # Called by the client's own thread.
    def hear(self, _client, message):
        kind, device = message.topic.message_type, message.topic.device_id or ""
        if kind in (MessageType.NCMD, MessageType.DCMD):
            return
        with self.heard:
            try:
                self.take(kind, device, message)
            except Exception as error:  # the test must see it, whatever it is
                self.violation(f"{kind} {device}: {error!r}")
            self.heard.notify_all()

    def take(self, kind, device, message):
        if message.retain:
            self.violation(f"{kind} is retained")
        payload = message.payload
        if self.deaf:
            self.deaf -= 1
            self.missed = True
            return
        if kind == MessageType.NDEATH:
            number = payload.bd_seq_metric.value
            self.say(heard=str(kind), device="", bdseq=number)
            if number == self.bdseq:
                self.alive, self.next_seq, self.bdseq = {}, None, None
            return
        self.messages += 1
        if kind == MessageType.NBIRTH:
            self.births += 1
            self.missed = self.waits_for_birth = False
            if payload.seq != 0:
                self.violation(f"NBIRTH with seq {payload.seq}")
            self.alive = {}
            numbers = [m.value for m in payload.metrics if m.name == "bdSeq"]
            (self.bdseq,) = numbers
        elif self.waits_for_birth:
            return
        elif payload.seq != self.next_seq and self.missed:
            self.waits_for_birth = True
            self.say(heard="GAP", device="", seq=payload.seq)
            return
        elif payload.seq != self.next_seq:
            self.gaps += 1
            self.violation(f"{kind} {device}: seq {payload.seq} where {self.next_seq} was due")
        self.next_seq = (payload.seq + 1) % 256
        if kind in (MessageType.NBIRTH, MessageType.DBIRTH):
            self.alive[device] = {m.name: m for m in payload.metrics}
            self.say(heard=str(kind), device=device, seq=payload.seq, bdseq=self.bdseq)
        elif kind == MessageType.DDEATH:
            del self.alive[device]
            self.say(heard=str(kind), device=device, seq=payload.seq)
        else:
            for metric in payload.metrics:
                if metric.name not in self.alive[device]:
                    self.violation(f"{kind} {device}: {metric.name} was not announced")
                if metric.is_historical:
                    self.historical += 1
                    self.old.append([device, metric.name, metric.value, metric.timestamp])
                else:
                    self.alive[device][metric.name] = metric

    def metrics(self, writes):
        now = get_current_timestamp()
        return tuple(
            Metric(timestamp=now, name=name, datatype=DataType[kind], value=value)
            for name, (kind, value) in writes.items()
        )

    def obey(self, order):
        now = get_current_timestamp()
        if "await" in order:
            with self.heard:
                wanted = order["await"]
                self.heard.wait_for(lambda: self.messages >= wanted, 30)
                return self.messages
        if "tags" in order:
            with self.heard:
                tags = self.alive.get(order["tags"])
                return tags and {name: m.value for name, m in tags.items()}
        if "ncmd" in order:
            topic = Topic(self.group, MessageType.NCMD, self.node)
            payload = NCmd(timestamp=now, metrics=self.metrics(order["ncmd"]))
            self.client.publish(Message(topic, payload, QoS.AT_MOST_ONCE, False), include_dtypes=True)
        if "dcmd" in order:
            topic = Topic(self.group, MessageType.DCMD, self.node, order["dcmd"])
            payload = DCmd(timestamp=now, metrics=self.metrics(order["write"]))
            self.client.publish(Message(topic, payload, QoS.AT_MOST_ONCE, False), include_dtypes=True)
        if "state" in order:
            topic = Topic(message_type=MessageType.STATE, sparkplug_host_id=self.host_id)
            payload = State(timestamp=order["timestamp"], online=order["state"])
            self.client.publish(Message(topic, payload, QoS.AT_LEAST_ONCE, True))
        if "deaf" in order:
            with self.heard:
                self.deaf = order["deaf"]
        if "totals" in order:
            with self.heard:
                return {
                    "messages": self.messages,
                    "gaps": self.gaps,
                    "births": self.births,
                    "historical": self.old,
                    "alive": sorted(self.alive),
                }
        return None


def main():
    host = Host(int(sys.argv[1]), *sys.argv[2:])
    host.say(ready=1)
    for line in sys.stdin:
        order = json.loads(line)
        host.say(answered=order["n"], payload=host.obey(order))
    host.client.disconnect()


main()
