"""Mutations of small files: of their bits, of the fields that a reader trusts, of the nodes of a text's tree."""

import json
import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Random = random.Random
Mutation = Callable[[Random, bytes, "Seed"], bytes]

NUMBERS = [0, 1, 2, 3, 4, 5, 7, 8, 16, 24, 32, 64, 100, 127, 128, 255, 256, 1000, 32767, 32768, 65535, 65536]
NUMBERS += [2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1]
TEXTS = [
    "",
    " ",
    "0",
    "-1",
    "1e400",
    "-0.0",
    "NaN",
    "Infinity",
    "9" * 25,
    "9" * 5000,
    "--5",
    "\u00b2",
    "\u0663",
    "\x00",
]
TEXTS += ["../../x", "a" * 300, "\ud800", "\U0001f52c", "None", "1,5", "0x10", "1_0", "a\nb", '"', "tumor", "hole", "*"]
VALUES = [None, True, False, 0, -1, 1.5, 1e308, float("nan"), float("inf"), 2**31, 2**63, 10**400, [], {}, [[]], [[[]]]]
VALUES += [[None], [[1, 2]], [[1, 2], [3]], {"name": []}, {"a": {}}, *TEXTS]
JSON_TOKENS = [b"[", b"]", b"{", b"}", b",", b":", b'"', b"null", b"NaN", b"1e999", b"-", b"\\ud800", b"[" * 3000]
JSON_TOKENS += [
    b'{"a":' * 3000,
    b'"features"',
    b'"type"',
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x1f\x8b",
    b"9" * 5000,
    b"{[1]:2}",
]
XML_TOKENS = [b"<", b">", b"/>", b"&", b"&#0;", b"&#xD800;", b"<!DOCTYPE a>", b'encoding="utf-7"', b"<a>" * 3000]
RUN_TOKENS = [
    b"0",
    b"-1",
    b"1",
    b"2",
    b"9" * 18,
    b"9" * 19,
    b"1.5",
    b"nan",
    b"1e1",
    b"\t",
    b"\n",
    b",",
    b"\xc2\xb2",
    b"+1",
]


@dataclass(frozen=True)
class Seed:
    """A good file: its ending, its bytes, and places (first byte, length) of the fields that a reader trusts."""

    ending: str
    data: bytes
    places: tuple[tuple[int, int], ...] = ()
    is_little: bool = True


def mutate(rng: Random, seeds: Sequence[Seed]) -> tuple[Seed, bytes, bool]:
    """A seed, what became of it, and whether all that was done to it is that its end was cut off."""
    seed = rng.choice(seeds)
    if rng.random() < 0.1:
        return seed, seed.data[: rng.randrange(len(seed.data) + 1)], True
    data = seed.data
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 5])):
        if rng.random() < 0.03:
            other = rng.choice(seeds).data
            data = data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]
        else:
            data = rng.choice(MUTATIONS[seed.ending])(rng, data, seed)
    return seed, (_sealed(data) if seed.ending == ".png" and rng.random() < 0.9 else data), False


def _bits(rng: Random, data: bytes, seed: Seed) -> bytes:
    """Flip up to eight bits."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8) if data else 0):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _inserted(rng: Random, data: bytes, seed: Seed) -> bytes:
    """Put some bytes in between: any, or a part of the file itself."""
    place, length = rng.randrange(len(data) + 1), rng.choice([1, 2, 4, 16, 100])
    first = rng.randrange(len(data) + 1)
    return data[:place] + (rng.randbytes(length) if rng.random() < 0.5 else data[first : first + length]) + data[place:]


def _deleted(rng: Random, data: bytes, seed: Seed) -> bytes:
    """Take some bytes away."""
    place = rng.randrange(len(data) + 1)
    return data[:place] + data[place + rng.choice([1, 2, 4, 16, 100, 1000]) :]


def _cut(rng: Random, data: bytes, seed: Seed) -> bytes:
    """Leave the end out."""
    return data[: rng.randrange(len(data) + 1)]


def _number(rng: Random, data: bytes, seed: Seed) -> bytes:
    """Write a number that readers stumble over into a field, or somewhere."""
    if seed.places and rng.random() < 0.9:
        place, length = rng.choice(seed.places)
    else:
        place, length = rng.randrange(len(data) + 1), rng.choice([1, 2, 4, 8])
    value = rng.choice(NUMBERS) if rng.random() < 0.8 else rng.getrandbits(8 * length)
    raw = (value % 256**length).to_bytes(length, "little" if seed.is_little else "big")
    return data[:place] + raw + data[place + length :]


def _moved(rng: Random, data: bytes, seed: Seed) -> bytes:
    """Write one field over another."""
    (source, length), (target, _) = (rng.choice(seed.places or ((0, 1),)) for _ in range(2))
    return data[:target] + data[source : source + length] + data[target + length :]


def _token(tokens: Sequence[bytes]) -> Mutation:
    """Put a word of a language somewhere, or in place of what stands there."""

    def place_token(rng: Random, data: bytes, seed: Seed) -> bytes:
        place, token = rng.randrange(len(data) + 1), rng.choice(tokens)
        return data[:place] + token + data[place + rng.choice([0, 0, 1, len(token)]) :]

    return place_token


def _node(rng: Random, data: bytes, seed: Seed) -> bytes:
    """Change a node of a JSON tree: another value, another name, none, twice."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return _bits(rng, data, seed)
    nodes = list(_nodes(tree))
    if not nodes:
        return data
    parent, key = rng.choice(nodes)
    what = rng.random()
    if what < 0.6:
        parent[key] = rng.choice(VALUES)
    elif what < 0.75:
        other, name = rng.choice(nodes)
        parent[key] = json.loads(json.dumps(other[name]))
    elif what < 0.9:
        del parent[key]
    elif isinstance(parent, list):
        parent[:] = parent * 2
    else:
        parent[rng.choice(TEXTS)] = parent.pop(key)
    return json.dumps(tree, ensure_ascii=rng.random() < 0.7).encode("utf-8", "surrogatepass")


def _nodes(tree: object) -> list[tuple]:
    """Each place of a JSON tree as its list or object and the key there."""
    keys = range(len(tree)) if isinstance(tree, list) else list(tree) if isinstance(tree, dict) else ()
    return [(tree, key) for key in keys] + [node for key in keys for node in _nodes(tree[key])]


def _attribute(rng: Random, data: bytes, seed: Seed) -> bytes:
    """Another value of an attribute."""
    found = list(re.finditer(rb'"[^"<>]*"', data))
    if not found:
        return data
    place, text = rng.choice(found), rng.choice([*TEXTS, *map(str, NUMBERS)])
    return data[: place.start() + 1] + text.encode("utf-8", "surrogatepass") + data[place.end() - 1 :]


def _element(rng: Random, data: bytes, seed: Seed) -> bytes:
    """A tag less, twice, or in another's place."""
    found = list(re.finditer(rb"<[^<>]+>", data))
    if not found:
        return data
    place, other = rng.choice(found), rng.choice(found)
    new = rng.choice([b"", place[0] * 2, other[0]])
    return data[: place.start()] + new + data[place.end() :]


def _word(rng: Random, data: bytes, seed: Seed) -> bytes:
    """Another number, or a pair in another place, in a text of run lengths."""
    words = data.split(b" ")
    if rng.random() < 0.3:
        first, second = (rng.randrange(len(words)) // 2 * 2 for _ in range(2))
        words[first : first + 2], words[second : second + 2] = words[second : second + 2], words[first : first + 2]
    else:
        own = [*RUN_TOKENS, str(rng.randrange(200)).encode(), str(rng.choice(NUMBERS)).encode()]
        words[rng.randrange(len(words))] = rng.choice(own)
    return b" ".join(words)


def _sealed(data: bytes) -> bytes:
    """A PNG whose chunks have the check sums of what they hold, or a reader would look no further."""
    place, parts = 8, [data[:8]]
    while place + 12 <= len(data):
        length = struct.unpack(">I", data[place : place + 4])[0]
        end = place + 8 + length
        if end + 4 > len(data):
            break
        parts += [data[place:end], struct.pack(">I", zlib.crc32(data[place + 4 : end]))]
        place = end + 4
    return b"".join([*parts, data[place:]])


_ANY = [_bits, _inserted, _deleted, _cut]
_FIELDS = [*_ANY, _number, _number, _number, _number, _moved]
_JSON = [*_ANY, *[_node] * 8, *[_token(JSON_TOKENS)] * 2]
MUTATIONS: dict[str, list[Mutation]] = {
    **dict.fromkeys((".tiff", ".png", ".jpg", ".bmp", ".dcm"), _FIELDS),
    **dict.fromkeys((".geojson", ".json"), _JSON),
    ".geojson.gz": _ANY,
    ".xml": [*_ANY, *[_attribute] * 5, _element, _element, _token(XML_TOKENS)],
    ".rle": [*_ANY, *[_word] * 8, *[_token(RUN_TOKENS)] * 3],
}
