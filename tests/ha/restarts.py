"""Gateway, broker and Home Assistant each restarted: how long until every value is back."""

import time

from commands import allowed
from parts import wait_for

BACK_WITHIN_S = 10
# Longer than the longest wait of the gateway between two attempts was when it had one for all reasons.
AWAY_S = 75
# What Home Assistant says when its broker goes, which is what this makes happen.
BROKER_GONE = (
    "Disconnected from MQTT server",
    "Failed to connect to MQTT server",
    "The connection was lost",
)


def tell(story):
    gateway(story, "kill")
    allowed(story)
    gateway(story, "stop")
    broker(story, "broker restarted, with nothing kept", 0)
    broker(story, f"broker away for {AWAY_S} s, with nothing kept", AWAY_S)
    home_assistant(story)


def all_lost(story, within_s=60):
    """Waits until nothing is available any more, so that what is there later has come back."""

    def lost():
        states = {key: e["state"] for key, e in story.home.entities().items()}
        return all(state in (None, "unavailable") for state in states.values())

    wait_for("all unavailable", lost, within_s)


def back(story, what, since, more=""):
    last = []
    count = story.everything(within_s=60, last=last)
    took = time.time() - since
    story.told(f"{what}: {count} entities back after {took:.1f} s{more}")
    assert took <= BACK_WITHIN_S, "\n".join([f"{what}: {took:.1f} s; what was late:", *last])


def gateway(story, how):
    ended = time.time()
    story.ask(how)
    all_lost(story)
    away = time.time() - ended
    since = time.time()
    story.ask("start")
    word = "killed" if how == "kill" else "stopped"
    back(story, f"gateway {word} and started", since, f" from its start; Home Assistant knew {away:.1f} s after its end")


def broker(story, what, away_s):
    story.broker.stop()
    all_lost(story)
    time.sleep(away_s)
    since = story.broker.start()
    online = story.broker.heard("retrovolt/gw1/status", "online", 60)
    # Home Assistant looks every ten seconds whether its broker is back.
    there = story.broker.connected("homeassistant", 60)
    assert online - since <= BACK_WITHIN_S, f"the gateway after {online - since:.1f} s"
    more = f", the gateway {online - since:.1f} s and Home Assistant {there - since:.1f} s after the broker"
    back(story, what, there, f" from when Home Assistant has connected{more}")
    # It says so five seconds later, and takes it ill when the broker is gone again by then.
    story.broker.heard("homeassistant/status", "online", 60)


def home_assistant(story):
    story.broker.forget()
    story.home.stop()
    # What happens meanwhile is what is to be seen later.
    began = time.time()
    story.home.start(wait=False)
    there = story.broker.connected("homeassistant", 180)
    birth = story.broker.heard("homeassistant/status", "online", 180)
    more = f", which came {birth - there:.1f} s after it has connected and {birth - began:.1f} s after its start"
    back(story, "Home Assistant restarted", birth, f" from its birth message{more}")
    story.home.wait()
