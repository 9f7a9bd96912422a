"""Mutations of the bytes of a file; all randomness comes from the given generator."""

from __future__ import annotations

import gzip
import json
import random
import struct
from collections.abc import Callable

Mutation = Callable[[random.Random, bytes], bytes]

_BYTES = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)
_NUMBERS = (0, 1, -1, 2, 7, 64, 255, 32767, -32768, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**62)
_FLOATS = (0.0, -1.0, 1e-30, 1e30, 1e300, float("nan"), float("inf"), float("-inf"))
_WORDS = (
    b"nan", b"inf", b"-inf", b"1e999", b"-1", b"0", b"1_0", b"9" * 30, b"9" * 5000, b"0x1F",
    b"null", b"true", b"", b" ", b"\0", b"\xff\xfe", "\u0663".encode(), b"*a", b"&a ", b"<<",
    b"!!python/none ", b"[" * 2000, b'{"a":' * 2000, b"- " * 500, b"'", b'"', b",", b":", b"\n",
    b"\r", b"$import os", b"CompositeTransform_double_3_3", b"Parameters: ", b"..", b"2001-99-99",
    b"1:99:99", b".inf",
)  # fmt: skip


def flip_bits(rng: random.Random, content: bytes) -> bytes:
    """Flip one to eight bits."""
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        damaged[_position(rng, content)] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def set_bytes(rng: random.Random, content: bytes) -> bytes:
    """Replace one to four bytes by extreme values."""
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        damaged[_position(rng, content)] = rng.choice(_BYTES)
    return bytes(damaged)


def set_number(rng: random.Random, content: bytes) -> bytes:
    """Replace a binary number by an extreme one, in one of the usual types and byte orders."""
    kind = rng.choice("bhiqfd")
    number: float
    if kind in "fd":
        number = rng.choice(_FLOATS[:4] + _FLOATS[5:] if kind == "f" else _FLOATS)
        new = struct.pack(rng.choice("<>") + kind, number)
    else:
        size = struct.calcsize(kind)
        number = rng.choice(_NUMBERS) % (1 << 8 * size)
        new = number.to_bytes(size, rng.choice(("little", "big")))
    start = _position(rng, content)
    start -= start % rng.choice((1, len(new)))
    return content[:start] + new + content[start + len(new) :]


def truncate(rng: random.Random, content: bytes) -> bytes:
    """Cut the end off."""
    return content[: rng.randrange(1, len(content))]


def cut_out(rng: random.Random, content: bytes) -> bytes:
    """Remove a part."""
    start = _position(rng, content)
    return content[:start] + content[start + rng.choice((1, 4, 8, 100)) :] or b"\0"


def repeat(rng: random.Random, content: bytes) -> bytes:
    """Insert a part of the file once or many times at another place."""
    start, place = _position(rng, content), _position(rng, content)
    part = content[start : start + rng.choice((1, 8, 40, 200))]
    return content[:place] + part * rng.choice((1, 2, 50)) + content[place:]


def insert_word(rng: random.Random, content: bytes) -> bytes:
    """Insert a word that parsers treat specially."""
    place = _position(rng, content)
    return content[:place] + rng.choice(_WORDS) + content[place:]


def replace_word(rng: random.Random, content: bytes) -> bytes:
    """Replace a number or a word of a text, or a few bytes of a binary file."""
    place = _position(rng, content)
    end = place
    while end < min(len(content), place + 40) and content[end : end + 1] not in b" \n,:;[]{}\"'":
        end += 1
    return content[:place] + rng.choice(_WORDS) + content[end:]


def append(rng: random.Random, content: bytes) -> bytes:
    """Append zeros, random bytes or the file itself."""
    extra = (bytes(rng.choice((1, 100, 100_000))), rng.randbytes(50), content, b"\n")
    return content + rng.choice(extra)


def edit_safetensors(rng: random.Random, content: bytes) -> bytes:
    """Edit the header of a safetensors file and correct its length."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = rng.choice(sorted(header))
    values = (-1, 0, 2**63, 1.5, None, [], {}, "F32", True, [1] * 5000, [2**60] * 8, {"a": 1})
    if rng.random() < 0.3:
        header[name] = rng.choice(values)
    else:
        key = rng.choice((*sorted(header[name]), "extra"))
        header[name][key] = rng.choice(values)
    text = json.dumps(header).encode()
    if rng.random() < 0.3:
        text = replace_word(rng, text)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def within_gzip(mutation: Mutation) -> Mutation:
    """Return the mutation applied to the decompressed content, with a correct checksum."""

    def mutate(rng: random.Random, content: bytes) -> bytes:
        return gzip.compress(mutation(rng, gzip.decompress(content)), 1, mtime=0)

    return mutate


GENERAL: tuple[Mutation, ...] = (
    flip_bits, set_bytes, set_number, truncate, cut_out, repeat, insert_word, replace_word, append,
)  # fmt: skip


def mutate(rng: random.Random, name: str, content: bytes) -> bytes:
    """Return a mutation, sometimes several, of the valid file `name`."""
    choices: tuple[Mutation, ...] = GENERAL
    if name.endswith(".nii"):
        choices = (*GENERAL, set_number, set_number, set_number)
    elif name.endswith(".gz"):
        choices = (*GENERAL[:4], *map(within_gzip, (*GENERAL, set_number, set_number)))
    elif name.endswith(".safetensors"):
        choices = (*GENERAL, edit_safetensors, edit_safetensors, edit_safetensors)
    result = rng.choice(choices)(rng, content)
    while rng.random() < 0.3:
        result = rng.choice(GENERAL)(rng, result or b"\0")
    return result


def _position(rng: random.Random, content: bytes) -> int:
    """Return a position in a file; half of the time within the first 400 bytes, the header."""
    return rng.randrange(min(400, len(content)) if rng.random() < 0.5 else len(content))
