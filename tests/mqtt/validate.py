"""Holds traffic of the gateway against its published contract: reads JSON lines {topic, payload, qos, retained} from
stdin; docs/mqtt is the first argument. Every topic must be of exactly one channel of the AsyncAPI file, its payload valid by
that channel's schema, its quality and whether it is kept as that channel's operation says: the messages are to be as they
were published (MQTT 5, retain as published). Says how many messages of each channel were seen."""

import json
import pathlib
import re
import sys

import yaml
from jsonschema import Draft202012Validator

docs = pathlib.Path(sys.argv[1])
contract = yaml.safe_load((docs / "asyncapi.yaml").read_text())
assert contract["asyncapi"] == "3.0.0" and contract["info"]["version"].startswith("1.")


def validator(schema):
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def payload_validator(channel):
    (message,) = channel["messages"].values()
    payload = message["payload"]
    if "$ref" in payload:
        payload = json.loads((docs / payload["$ref"]).read_text())
    plain = message.get("contentType") == "text/plain"
    return validator(payload), plain


def mirrored(channel):
    """Validators of the values that a channel of the flat mirror tells, by key; its keys must be those of the payload it
    mirrors, those with a phase the arrays."""
    ((message,), keys) = (channel["messages"].values(), channel["parameters"].get("key", {}).get("enum"))
    if "x-mirrors" not in message:
        return None
    payload = json.loads((docs / message["x-mirrors"]).read_text())
    arrays = {key: rule["items"] for key, rule in payload["properties"].items() if rule.get("type") == "array"}
    plain = {key: rule for key, rule in payload["properties"].items() if key not in arrays and key not in ("ts", "seq")}
    rules = arrays if "phase" in channel["parameters"] else plain
    assert set(keys) == set(rules), f"{channel['address']}: {set(keys) ^ set(rules)}"
    return {key: validator({"$defs": payload.get("$defs", {}), **rule}) for key, rule in rules.items()}


def agrees(text, rule):
    """Whether a plain text is a value of this rule: a word as it is, anything else as JSON writes it."""
    if rule.is_valid(text):
        return True
    try:
        return rule.is_valid(json.loads(text))
    except json.JSONDecodeError:
        return False


channels = {}
for name, channel in contract["channels"].items():
    pattern = channel["address"]
    for parameter in re.findall(r"{(\w+)}", pattern):
        declared = channel["parameters"][parameter]
        allowed = "|".join(declared["enum"]) if "enum" in declared else "[^/]+"
        if declared.get("$ref"):
            assert declared["$ref"].rsplit("/", 1)[1] in contract["components"]["parameters"]
            allowed = "[a-z0-9][a-z0-9_-]{0,31}"
        pattern = pattern.replace("{" + parameter + "}", f"(?P<{parameter}>{allowed})")
    channels[name] = (re.compile(pattern + r"\Z"), *payload_validator(channel), mirrored(channel))

bindings = {}
for operation in contract["operations"].values():
    name = operation["channel"]["$ref"].rsplit("/", 1)[1]
    assert name in channels and name not in bindings
    bindings[name] = operation["bindings"]["mqtt"]
assert set(bindings) == set(channels)

seen = {}
for line in sys.stdin:
    message = json.loads(line)
    topic, text = message["topic"], message["payload"]
    assert len(text.encode()) <= 128 * 1024 and topic.count("/") <= 7, topic
    fits = [name for name, (pattern, *_) in channels.items() if pattern.match(topic)]
    assert len(fits) == 1, f"{topic}: {fits}"
    (name,) = fits
    pattern, payload, plain, mirror = channels[name]
    if text:
        try:
            value = text if plain else json.loads(text, parse_constant=lambda word: sys.exit(f"{topic}: {word}"))
        except json.JSONDecodeError:
            # A command may be a plain word.
            assert name == "set", f"{topic}: {text}"
            value = text
        errors = [error.message for error in payload.iter_errors(value)]
        assert not errors, f"{topic}: {errors}: {text}"
        if mirror:
            key = pattern.match(topic)["key"]
            assert agrees(text, mirror[key]), f"{topic}: {text} is no value of {key}"
    assert message["retained"] == bindings[name]["retain"], f"{topic}: kept {message['retained']}"
    assert message["qos"] == bindings[name]["qos"], f"{topic}: QoS {message['qos']}"
    seen[name] = seen.get(name, 0) + 1
print(json.dumps(seen, sort_keys=True))
