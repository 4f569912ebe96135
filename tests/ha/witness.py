"""Publishes for the test, and remembers what went over the broker."""

import json
import threading
import time

import paho.mqtt.client as mqtt
from parts import PASSWORD


class Client:
    """An account at the broker that knows the last message of each topic and when it came."""

    def __init__(self, port, user, topics=()):
        self.last, self.lock = {}, threading.Lock()
        self.topics = topics
        # The Sparkplug host of the tests wants version 1 of this package, where there is no choice.
        version = getattr(mqtt, "CallbackAPIVersion", None)
        self.client = mqtt.Client(*([version.VERSION2] if version else []), client_id=f"test-{user}")
        self.client.username_pw_set(user, PASSWORD)
        self.client.on_connect = self.subscribe
        self.client.on_message = self.keep
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def subscribe(self, client, *_):
        for topic in self.topics:
            client.subscribe(topic, qos=1)

    def keep(self, _client, _user, message):
        with self.lock:
            self.last[message.topic] = (message.payload.decode(), time.time(), message.retain)

    def publish(self, topic, payload, retain=True):
        text = payload if isinstance(payload, str) else json.dumps(payload)
        self.client.publish(topic, text, qos=1, retain=retain).wait_for_publish(10)

    def text(self, topic):
        with self.lock:
            return self.last.get(topic, (None,))[0]

    def texts(self):
        """The last message of each topic; what was deleted is empty."""
        with self.lock:
            return {topic: last[0] for topic, last in self.last.items()}

    def end(self):
        self.client.loop_stop()
        self.client.disconnect()
