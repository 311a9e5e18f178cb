"""The keyspaces of memories. Section 11."""
import struct
from collections import defaultdict

from .basics import Bytes, U64, Unsupported, be64_at, need
from .logs import KEYSPACE_VECTORS

KEYSPACE_TIME, KEYSPACE_ID, KEYSPACE_RECORD, KEYSPACE_INDEX = 0xF0000000, 0xF0000010, 0xF0000011, 0xF0000012
KEYSPACE_SESSION, KEYSPACE_ACCESS, KEYSPACE_DEAD, KEYSPACE_HEAD = 0xF0000013, 0xF0000014, 0xF0000015, 0xF0000016

FIELDS = {0: "id", 2: "kind", 3: "layer", 4: "tier", 5: "status", 6: "importance_score", 7: "created_at",
          8: "updated_at", 9: "expires_at", 10: "user_id", 11: "agent_id", 12: "session_id", 13: "role", 14: "tags",
          15: "metadata", 16: "position"}
ALWAYS = {0, 4, 5, 6, 7, 8}
INDEXED = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}


def parse_attributes(value, what):
    r = Bytes(value, what)
    version, flags, present = r.u8(), r.u8(), r.u32()
    if version != 1 or flags != 0 or present >> 19:
        raise Unsupported(f"{what}: version {version}, flags {flags:#x}, fields {present:#x}")
    numbers = {n for n in range(19) if present >> n & 1}
    need(ALWAYS <= numbers and not numbers & {1, 17, 18} and (12 in numbers) == (16 in numbers), f"{what}: fields")
    memory = {}
    for n in sorted(numbers):
        if n in (7, 8, 9):
            field = r.i64()
        elif n == 16:
            field = r.u64()
        elif n == 6:
            field = struct.unpack("<d", r.take(8))[0]
            need(0 <= field <= 1, f"{what}: importance")
        elif n == 14:
            field = [r.string() for _ in range(r.varint())]
            need(1 <= len(field) <= 64, f"{what}: tags")
        else:
            field = r.string()
            need(len(field) > 0 or n in (4, 5), f"{what}: an empty {FIELDS[n]}")
        memory[FIELDS[n]] = field
    memory["spaces"] = [r.u32() for _ in range(r.varint())]
    need(memory["spaces"] == sorted(set(memory["spaces"])), f"{what}: spaces")
    r.end()
    return memory


def index_text(text):
    return text.replace(b"\0", b"\0\xff") + b"\0\1"


def index_integer(number):
    return struct.pack(">Q", (number & U64) ^ 1 << 63)


def index_number(number):
    bits = struct.unpack(">Q", struct.pack(">d", number + 0.0))[0]
    return struct.pack(">Q", bits ^ U64 if bits >> 63 else bits | 1 << 63)


def keyspace_key(keyspace, rest):
    return struct.pack(">I", keyspace) + rest


def index_keys(memory, row):
    keys = set()
    for n in INDEXED:
        field = memory.get(FIELDS[n])
        if field is None or field == b"" or (n in (7, 8, 9) and field == 0):
            continue
        if n == 6:
            values = [index_number(field)]
        elif n in (7, 8, 9):
            values = [index_integer(field)]
        else:
            values = [index_text(text) for text in (field if n == 14 else [field])]
        keys |= {keyspace_key(KEYSPACE_INDEX, bytes([n]) + value + struct.pack(">Q", row)) for value in values}
    return keys


def read_memories(store, content):
    """Memories in order of id, checked against the derived keyspaces."""
    names = {space["number"]: (name, space) for name, space in store.spaces.items()}
    by_space = defaultdict(dict)
    for key, value in content.items():
        by_space[struct.unpack_from(">I", key)[0]][key[4:]] = value
    memories, derived, rows = [], defaultdict(set), set()
    for id, value in sorted(by_space[KEYSPACE_ID].items()):
        need(len(value) == 8, "row of an id")
        row = be64_at(value, 0)
        what = f"row {row}"
        need(row < store.row and row not in rows, f"{what}: not handed out, or of two ids")
        rows.add(row)
        attributes = by_space[KEYSPACE_RECORD].get(value + b"\0")
        text = by_space[KEYSPACE_RECORD].get(value + b"\1")
        need(attributes is not None and text is not None, f"{what}: attributes or text are missing")
        memory = parse_attributes(attributes, what)
        need(memory["id"] == id, f"{what}: of another id")
        memory["text"] = text
        count = last = 0
        access = by_space[KEYSPACE_ACCESS].get(id)
        if access is not None:
            need(len(access) == 18 and access[0] == 1 and access[9] == 2, f"{what}: access counts")
            count, last = struct.unpack_from("<q", access, 1)[0], struct.unpack_from("<q", access, 10)[0]
        memory["access_count"], memory["last_accessed_at"] = count, last
        memory["embeddings"] = []
        for number in memory["spaces"]:
            vector = content.get(keyspace_key(KEYSPACE_VECTORS, struct.pack(">IQ", number, row)))
            need(number in names and vector is not None, f"{what}: no vector in space {number}")
            need(len(vector) == names[number][1]["stride"], f"{what}: length of a vector")
            memory["embeddings"].append((names[number][0], vector))
            derived["vectors"].add(keyspace_key(KEYSPACE_VECTORS, struct.pack(">IQ", number, row)))
        derived["index"] |= index_keys(memory, row)
        if "session_id" in memory:
            key = index_text(memory["session_id"]) + struct.pack(">QQ", memory["position"], row)
            derived["session"].add(keyspace_key(KEYSPACE_SESSION, key))
        memories.append(memory)
    for name, keyspace in (("vectors", KEYSPACE_VECTORS), ("index", KEYSPACE_INDEX), ("session", KEYSPACE_SESSION)):
        found = {keyspace_key(keyspace, key) for key in by_space[keyspace]}
        need(found == derived[name], f"{name}: {len(found - derived[name])} keys too many, "
                                     f"{len(derived[name] - found)} missing")
    need(set(by_space[KEYSPACE_RECORD]) == {struct.pack(">Q", r) + part for r in rows for part in (b"\0", b"\1")},
         "records of rows that no id leads to")
    need(set(by_space[KEYSPACE_ACCESS]) <= set(by_space[KEYSPACE_ID]), "access counts of no memory")
    dead = {be64_at(key, 0) for key in by_space[KEYSPACE_DEAD]}
    need(not dead & rows, "a row that is alive and dead")
    sessions = defaultdict(list)
    for memory in memories:
        if "session_id" in memory:
            sessions[index_text(memory["session_id"])].append(memory["position"])
    need(set(by_space[KEYSPACE_HEAD]) == set(sessions), "heads of sessions")
    for session, positions in sessions.items():
        head = by_space[KEYSPACE_HEAD][session]
        need(len(head) == 16 and be64_at(head, 8) == len(positions) and be64_at(head, 0) > max(positions),
             "the head of a session")
    return memories
