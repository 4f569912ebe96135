"""What Home Assistant tells the gateway: what is taken, and what is rejected and leaves the truth on the screen."""

import json
import time

from parts import wait_for
from witness import Client

AS = "retrovolt/gw1/as"
ANSWERS = "retrovolt/gw1/response"


def answer(story, deed, key, user="homeassistant"):
    """What the gateway answers to what is done."""
    topic, before = f"{ANSWERS}/{user}/{key}", time.time()
    deed()

    def said():
        last = story.witness.last.get(topic)
        return last and last[1] >= before and json.loads(last[0])

    return wait_for(topic, said, 20)


def on_record(story, verdict, key, reason=""):
    """The record of a command in the gateway's log."""
    topic = f'topic="as/homeassistant/cp/kill-1/{key}/set"'

    def there():
        lines = [line for line in story.log.read_text().splitlines() if f"MQTT command {verdict}" in line]
        return any(topic in line and reason in line for line in lines)

    wait_for(f"record: {key} {verdict} {reason}", there, 5)


def tag(story):
    """A card at the charge point that wants one."""
    installer = Client(story.broker.port, "installer")
    try:
        publish = lambda: installer.publish(f"{AS}/installer/cp/kill-2/authorize/set", "CARD1", retain=False)
        assert answer(story, publish, "authorize", "installer")["status"] == "ok"
    finally:
        installer.end()
    story.until("tag", "tag", lambda s: s.startswith("20"), of=story.other)
    story.told("a tag arrives as an event")


def accepted(story):
    home = story.home
    number, switch = story.entity_id("limit_set"), story.entity_id("enabled")
    said = answer(story, lambda: home.call("number.set_value", entity_id=number, value=10), "limit_a")
    assert said["status"] == "ok" and said["data"]["new"] == 10, said
    story.until("limit", "limit", lambda s: float(s) == 10)
    story.until("number", "limit_set", lambda s: float(s) == 10)
    story.until("current", "current_l1", lambda s: abs(float(s) - 10) < 0.5)
    on_record(story, "accepted", "limit_a")
    assert story.state("phases") == "3"
    said = answer(story, lambda: phases(story, "1"), "phases")
    assert said["status"] == "ok" and (said["data"]["old"], said["data"]["new"]) == (3, 1), said
    story.until("one phase", "phases", lambda s: s == "1")
    on_record(story, "accepted", "phases")
    said = answer(story, lambda: home.call("switch.turn_off", entity_id=switch), "enabled")
    assert said["status"] == "ok", said
    story.until("held back", "enabled", lambda s: s == "off")
    story.until("no power", "power", lambda s: float(s) == 0)
    on_record(story, "accepted", "enabled")
    assert story.state("phases") == "1"
    story.told("number, select and switch: answered, on record, the charger obeys")


def phases(story, option):
    story.home.call("select.select_option", entity_id=story.entity_id("phases"), option=option)


def allowed(story):
    """What closes a contactor is taken once a minute; a gateway that has just started remembers none."""
    assert story.state("enabled") == "off"
    switch = story.entity_id("enabled")
    said = answer(story, lambda: story.home.call("switch.turn_on", entity_id=switch), "enabled")
    assert said["status"] == "ok", said
    story.until("allowed", "enabled", lambda s: s == "on")
    story.until("power again", "power", lambda s: float(s) > 1000)
    story.told("the hold has outlived the kill; switch on, the charger obeys")


def rejected(story):
    home = story.home
    ids = {key: story.entity_id(key) for key in ("limit_set", "enabled", "unlock")}
    deeds = [
        ("limit_a", "least current", lambda: home.call("number.set_value", entity_id=ids["limit_set"], value=3)),
        ("enabled", "too often", lambda: home.call("switch.turn_on", entity_id=ids["enabled"])),
        ("phases", "too often", lambda: phases(story, "3")),
        ("unlock", "", lambda: home.call("button.press", entity_id=ids["unlock"])),
        (
            "authorize",
            "may not send",
            lambda: home.call("mqtt.publish", topic=f"{AS}/homeassistant/cp/kill-1/authorize/set", payload="CARD1"),
        ),
    ]
    before = {key: story.state(key) for key in ("limit_set", "limit", "enabled", "phases", "status")}
    for key, reason, deed in deeds:
        said = answer(story, deed, key)
        assert said["status"] == "rejected" and reason in said["error"], said
        on_record(story, "rejected", key, said["error"])
    assert {key: story.state(key) for key in before} == before
    story.everything(5)
    # The broker lets nobody write below another's name: nothing comes of it, not even a rejection.
    topic, since = f"{AS}/installer/cp/kill-1/authorize/set", time.time()
    home.call("mqtt.publish", topic=topic, payload="CARD1", qos=1)
    answer(story, lambda: home.call("number.set_value", entity_id=ids["limit_set"], value=3), "limit_a")
    last = story.witness.last.get(f"{ANSWERS}/installer/authorize")
    assert last is None or last[1] < since, last
    story.told(f"{len(deeds)} commands rejected with a reason and on record, one stopped by the broker; the true state is shown")


def pressed(story):
    home = story.home
    said = answer(
        story, lambda: home.call("button.press", entity_id=story.entity_id("unlock", story.other)), "unlock"
    )
    assert said["status"] == "ok", said
    said = answer(story, lambda: home.call("button.press", entity_id=story.entity_id("reset")), "reset")
    assert said["status"] == "ok", said
    story.until("the end of the session", "status", lambda s: s == "finishing")
    story.until("CSMS", "csms", lambda s: s == "on", 30)
    story.told("buttons: the plug is released, the charge point restarts")
