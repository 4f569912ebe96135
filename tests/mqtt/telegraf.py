"""What Telegraf makes of the traffic of the gateway with an example configuration (first argument): reads JSON lines {topic,
payload, qos, retained} from stdin. No package of any registry has a Telegraf to run, so this follows the rules of its documentation
and source: plugins `inputs.mqtt_consumer` and `parsers.json_v2`, plain keys only.

* `topic` under `topic_parsing`: as many levels as the message has; all but `+` and `#` are taken literally, `_` too.
* `timestamp_path`: neither missing nor null, in the layout of `timestamp_format`.
* A field or tag that is missing loses the whole message, unless it is `optional`; null is passed over.
* Types: a number for `int` and `float`; an `int` loses its decimals.

Says how many points each measurement got, and the last of them."""

import json
import pathlib
import re
import sys
import tomllib

RFC3339_MS = ("2006-01-02T15:04:05.000Z07:00", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)\Z"))
KNOWN = {
    "": {"servers", "username", "password", "topics", "qos", "persistent_session", "client_id", "name_override", "data_format",
         "topic_parsing", "json_v2"},
    "topic_parsing": {"topic", "tags"},
    "json_v2": {"timestamp_path", "timestamp_format", "field", "tag"},
    "field": {"path", "type", "optional"},
    "tag": {"path", "optional"},
}


def knows(table, of=""):
    """Nothing that these rules do not follow."""
    assert table.keys() <= KNOWN[of], f"{of}: {table.keys() - KNOWN[of]}"
    for key, rows in table.items():
        for row in rows if key in KNOWN and isinstance(rows, list) else []:
            knows(row, key)


def covers(pattern, topic):
    parts, levels = pattern.split("/"), topic.split("/")
    return len(parts) == len(levels) and all(part in ("+", level) for part, level in zip(parts, levels))


def converted(value, kind, path):
    if kind in ("int", "float"):
        assert isinstance(value, (int, float)) and not isinstance(value, bool), f"{path}: {value!r} is no number"
        assert kind == "float" or value == int(value), f"{path}: {value} would lose its decimals"
        return float(value) if kind == "float" else int(value)
    assert not isinstance(value, (dict, list)), f"{path}: {value!r} is no single value"
    return value if isinstance(value, str) else json.dumps(value)


def values(payload, rows, kind_of):
    found = {}
    for row in rows:
        path = row["path"]
        assert re.fullmatch(r"\w+", path), f"{path} is no plain key"
        assert path in payload or row.get("optional"), f"{path} is missing: the whole message is lost"
        if payload.get(path) is not None:
            found[path] = converted(payload[path], kind_of(row), path)
    return found


def point(consumer, topic, text):
    (parser,) = consumer["json_v2"]
    (parsing,) = consumer["topic_parsing"]
    payload = json.loads(text)
    layout, looks = RFC3339_MS
    assert parser["timestamp_format"] == layout
    assert looks.match(payload[parser["timestamp_path"]] or ""), f"time {payload[parser['timestamp_path']]}"
    tags = values(payload, parser.get("tag", []), lambda _: "string")
    fields = values(payload, parser.get("field", []), lambda row: row["type"])
    if covers(parsing["topic"], topic):
        names = zip(parsing["tags"].split("/"), topic.split("/"), strict=True)
        tags |= {name: level for name, level in names if name != "_"}
    return {"measurement": consumer["name_override"], "tags": tags, "fields": fields, "time": payload[parser["timestamp_path"]]}


def main():
    consumers = tomllib.loads(pathlib.Path(sys.argv[1]).read_text())["inputs"]["mqtt_consumer"]
    seen = {consumer["name_override"]: [] for consumer in consumers}
    for consumer in consumers:
        knows(consumer)
    for line in sys.stdin:
        message = json.loads(line)
        for consumer in consumers:
            if message["payload"] and any(covers(topic, message["topic"]) for topic in consumer["topics"]):
                made = point(consumer, message["topic"], message["payload"])
                assert {"gateway", "cp"} <= made["tags"].keys(), f"whose is it? {made}"
                seen[made["measurement"]].append(made)
    for consumer in consumers:
        made = seen[consumer["name_override"]]
        wanted = {row["path"] for row in consumer["json_v2"][0]["field"]}
        came = {key for one in made for key in one["fields"]}
        assert came == wanted, f"{consumer['name_override']}: {wanted - came} never came"
    print(json.dumps({name: {"points": len(made), "last": made[-1]} for name, made in seen.items()}))


if __name__ == "__main__":
    main()
