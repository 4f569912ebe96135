"""From one message per device to one per entity and back, and a charge point that is configured no more."""

from parts import wait_for

# How Home Assistant says that a change from device messages to entity messages is done.
CHANGED = ("No device components to cleanup",)


def tell(story):
    change(story, "entity")
    change(story, "device")
    removed(story)


def change(story, form):
    """Everything stays, with the names a user has given. A quantity that has its first value meanwhile comes on top."""
    before = story.wanted().keys()
    name = f"My own name {form}"
    power = f"{story.point}_power"
    story.home.do(rename=story.home.entities()[power]["entity_id"], name=name)
    wholes = lambda: [t for t, text in story.witness.texts().items() if t.startswith("homeassistant/device/") and text]
    story.ask(f"reload {form} 2")
    changed = lambda: bool(wholes()) == (form == "device") and before <= story.wanted().keys()
    wait_for(lambda: f"form {form}, without {before - story.wanted().keys()}, with {wholes()}", changed, 30)
    count = story.everything(20)
    assert story.home.entities()[power]["name"] == name
    assert story.home.entities().keys() == story.wanted().keys()
    more = story.wanted().keys() - before
    story.told(f"announced by {form}: {count} entities, none lost, with the name a user has given{f'; new: {more}' if more else ''}")


def removed(story):
    """It is taken back a minute after it went missing, and its topics go another minute later."""
    story.ask("reload device 1")
    gone = lambda: story.other not in story.home.devices()
    wait_for("the charge point gone", gone, 90)
    wait_for("its entities gone", lambda: not any(k.startswith(story.other) for k in story.home.entities()), 10)
    passing = ("/event/", "/record")
    ours = lambda topic: topic.startswith("retrovolt/gw1/cp/kill-2/") and not any(words in topic for words in passing)
    left = lambda: [topic for topic, text in story.witness.texts().items() if ours(topic) and text]
    wait_for(lambda: f"its topics gone, not {left()}", lambda: not left(), 90)
    count = story.everything(15)
    story.told(f"a charge point that is configured no more is gone, with its topics; {count} entities stay")
