"""Holds traffic of the gateway against its published contract: reads JSON lines {topic, payload, qos, retained} from
stdin; docs/mqtt is the first argument. Every topic must be of exactly one channel of the AsyncAPI file, and its payload
valid by that channel's schema. Says how many messages of each channel were seen."""

import json
import pathlib
import re
import sys

import yaml
from jsonschema import Draft202012Validator

docs = pathlib.Path(sys.argv[1])
contract = yaml.safe_load((docs / "asyncapi.yaml").read_text())
assert contract["asyncapi"] == "3.0.0" and contract["info"]["version"].startswith("1.")


def payload_schema(channel):
    (message,) = channel["messages"].values()
    payload = message["payload"]
    if "$ref" in payload:
        payload = json.loads((docs / payload["$ref"]).read_text())
    Draft202012Validator.check_schema(payload)
    plain = message.get("contentType") == "text/plain"
    return Draft202012Validator(payload, format_checker=Draft202012Validator.FORMAT_CHECKER), plain


channels = {}
for name, channel in contract["channels"].items():
    pattern = channel["address"]
    for parameter in re.findall(r"{(\w+)}", pattern):
        declared = channel["parameters"][parameter]
        allowed = "|".join(declared["enum"]) if "enum" in declared else "[^/]+"
        if declared.get("$ref"):
            assert declared["$ref"].rsplit("/", 1)[1] in contract["components"]["parameters"]
            allowed = "[a-z0-9][a-z0-9_-]{0,31}"
        pattern = pattern.replace("{" + parameter + "}", f"(?:{allowed})")
    channels[name] = (re.compile(pattern + r"\Z"), *payload_schema(channel))

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
    fits = [name for name, (pattern, _, _) in channels.items() if pattern.match(topic)]
    assert len(fits) == 1, f"{topic}: {fits}"
    (name,) = fits
    _, validator, plain = channels[name]
    if text:
        try:
            value = text if plain else json.loads(text, parse_constant=lambda word: sys.exit(f"{topic}: {word}"))
        except json.JSONDecodeError:
            # A command may be a plain word.
            assert name == "set", f"{topic}: {text}"
            value = text
        errors = [error.message for error in validator.iter_errors(value)]
        assert not errors, f"{topic}: {errors}: {text}"
    if message["retained"]:
        assert bindings[name]["retain"], f"{topic} is kept"
    assert message["qos"] <= bindings[name]["qos"], f"{topic}: QoS {message['qos']}"
    seen[name] = seen.get(name, 0) + 1
print(json.dumps(seen, sort_keys=True))
