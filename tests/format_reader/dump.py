"""Dumps, and the manifest of a backup. Section 12."""
import base64
import hashlib
import json
import os
import re
import struct

from .basics import Unsupported, need
from .catalog import ELEMENTS, METRICS, read_file
from .memories import read_memories


def is_text(data):
    try:
        return 0 not in data and data.decode("utf-8") is not None
    except UnicodeDecodeError:
        return False


def json_string(text):
    out = ['"']
    for c in text:
        short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}.get(c)
        out.append(short or (f"\\u{ord(c):04x}" if c < " " else c))
    return "".join(out) + '"'


def base64_json(data):
    return '"' + base64.b64encode(data).decode() + '"'


def json_member(name, data):
    if is_text(data):
        return f'"{name}":{json_string(data.decode())}'
    return f'"{name}_b64":{base64_json(data)}'


def json_tag(data):
    return json_string(data.decode()) if is_text(data) else '{"b64":' + base64_json(data) + "}"


def json_time(time_us):
    days, rest = divmod(time_us, 86400 * 1000000)
    days += 719468                                 # from 0000-03-01
    era, day = divmod(days, 146097)
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    shifted = (5 * day + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    year += era * 400 + (month <= 2)
    if not 0 <= year <= 9999:
        return f'"@{"-" if time_us < 0 else ""}{abs(time_us) // 1000000}.{abs(time_us) % 1000000:06d}"'
    seconds, micro = divmod(rest, 1000000)
    return (f'"{year:04d}-{month:02d}-{day - (153 * shifted + 2) // 5 + 1:02d}T{seconds // 3600:02d}:'
            f'{seconds // 60 % 60:02d}:{seconds % 60:02d}.{micro:06d}Z"')


def json_number(value):
    for precision in range(1, 18):
        digits = "%.*g" % (precision, value)
        if struct.pack("<d", float(digits)) == struct.pack("<d", value):
            break
    return digits


def json_integer(value):
    return str(value) if value < 1 << 63 else f'"{value}"'


def memory_line(memory):
    out = ['"type":"memory"']

    def texts(*names):
        for name in names:
            if memory.get(name) or name in ("id", "text", "tier", "status"):
                out.append(json_member(name, memory[name]))

    texts("id", "text", "kind", "layer", "tier", "status")
    out.append(f'"importance_score":{json_number(memory["importance_score"])}')
    for name in ("created_at", "updated_at", "last_accessed_at", "expires_at"):
        if memory.get(name) or name in ("created_at", "updated_at"):
            out.append(f'"{name}":{json_time(memory[name])}')
    if memory["access_count"] > 0:
        out.append(f'"access_count":{json_integer(memory["access_count"])}')
    texts("user_id", "agent_id", "session_id")
    if "position" in memory:
        out.append(f'"position":{json_integer(memory["position"])}')
    texts("role")
    if memory.get("tags"):
        out.append('"tags":[' + ",".join(json_tag(tag) for tag in memory["tags"]) + "]")
    texts("metadata")
    if memory["embeddings"]:
        items = [f'{{{json_member("space", name)},"data":{base64_json(vector)}}}'
                 for name, vector in sorted(memory["embeddings"])]
        out.append('"embeddings":[' + ",".join(items) + "]")
    return "{" + ",".join(out) + "}"


def dump_lines(store, content):
    spaces = []
    for name, space in sorted(store.spaces.items()):
        spaces.append(f'{{{json_member("name", name)},"dimensions":{space["dimensions"]},'
                      f'"element":"{ELEMENTS[space["element"]]}","metric":"{METRICS[space["metric"]]}",'
                      f'{json_member("model", space["model"])}}}')
    yield '{"lore_dump":1,"spaces":[' + ",".join(spaces) + "]}"
    digest, records, entries = hashlib.sha256(), 0, 0
    for memory in read_memories(store, content):
        line = memory_line(memory)
        digest.update(line.encode() + b"\n")
        records += 1
        yield line
    for key in sorted(content):
        keyspace = struct.unpack_from(">I", key)[0]
        if keyspace >= 0xF0000000:
            break
        line = (f'{{"type":"entry","keyspace":{keyspace},"key":{base64_json(key[4:])},'
                f'"value":{base64_json(content[key])}}}')
        digest.update(line.encode() + b"\n")
        entries += 1
        yield line
    yield f'{{"type":"trailer","records":{records},"entries":{entries},"digest":"sha256:{digest.hexdigest()}"}}'


def check_manifest(directory):
    """Section 12: MANIFEST.json of a backup, against itself and against the files."""
    data = read_file(os.path.join(directory, "MANIFEST.json"))
    match = re.fullmatch(rb'(.*,"self":")(sha256:[0-9a-f]{64})("}\n)', data, re.S)
    need(match is not None, "MANIFEST.json: no digest of its own")
    need(b"sha256:" + hashlib.sha256(match[1] + match[3]).hexdigest().encode() == match[2],
         "MANIFEST.json: fails its own digest")
    manifest = json.loads(data)
    if manifest["format"] != 1:
        raise Unsupported("MANIFEST.json: its format")
    root = hashlib.sha256()
    paths = [file["path"].encode() for file in manifest["files"]]
    need(paths == sorted(paths), "MANIFEST.json: files out of order")
    for file in manifest["files"]:
        content = read_file(os.path.join(directory, file["path"]))
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        need(len(content) == file["size"] and digest == file["sha256"], f"{file['path']}: not as in the manifest")
        root.update(f"{file['path']} {file['size']} {digest}\n".encode())
    need("sha256:" + root.hexdigest() == manifest["root_digest"], "MANIFEST.json: the root digest")
    return manifest
