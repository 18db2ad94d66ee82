"""What the words after ``submit`` mean: one file or object, or many of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stemline.cli.exits import CommandFailed
from stemline.cli.output import printable
from stemline.cli.statuses import NOT_FOUND

if TYPE_CHECKING:
    from stemline.client import Client
    from stemline.client.tracks.sources import Track

LISTS: Final = frozenset({".txt", ".lst", ".list", ".m3u", ".m3u8"})
_S3: Final = "s3://"


def is_many(client: Client, words: Sequence[str]) -> bool:
    """Return whether the words mean more than one file or object."""
    from stemline.client.tracks.sources import is_file, is_folder

    if len(words) > 1 or words[0] == "-":
        return True
    word = words[0]
    path = Path(word)
    if is_folder(path):
        return True
    if is_file(path):
        return path.suffix.lower() in LISTS
    key = key_named(client, word)
    if word.endswith("/"):
        return True
    if client.target.s3 is None:
        return not key
    return not key or (not client.bucket.exists(key) and any(True for _ in client.bucket.list(f"{key}/")))


def key_of(client: Client, word: str) -> str:
    """Return the key that a word names in the client's bucket; empty if it is a file of this machine.

    Raises:
        CommandFailed: It is neither, or it is in another bucket.
    """
    from stemline.client.tracks.sources import is_file

    if not word.startswith(_S3):
        path = Path(word)
        if is_file(path):
            return ""
        if path.exists():
            hint = "give the names of files on the standard input with -, or in a file that ends with .txt"
            raise CommandFailed(f"{printable(word)} is not a regular file", hint=hint)
    key = key_named(client, word)
    if client.target.s3 is not None and not client.bucket.exists(key):
        what = "an object" if word.startswith(_S3) else "neither a file here nor an object"
        verb = "is not" if word.startswith(_S3) else "is"
        raise CommandFailed(
            f"{printable(word)} {verb} {what} in the bucket {client.target.bucket}",
            hint="give a path from the current folder, or a key of the bucket",
            status=NOT_FOUND,
        )
    return key


def find_tracks(client: Client, words: Sequence[str], output: Path) -> tuple[str, list[Track]]:
    """Return a name of where the tracks come from, and the tracks.

    Args:
        client: Client of the bucket.
        words: Words that mean many.
        output: Folder of the stems, which is not searched.

    Raises:
        CommandFailed: There are none.
        ValueError: The output is the folder of the sources, or a line of a list is wrong.
    """
    where, found = _found(client, words, output)
    tracks = list(found)
    if not tracks:
        raise CommandFailed(
            f"there are no media files or objects in {printable(where)}",
            hint="give a folder of this machine that has some, or a prefix of the bucket's keys",
            status=NOT_FOUND,
        )
    return where, tracks


def _found(client: Client, words: Sequence[str], output: Path) -> tuple[str, Iterable[Track]]:
    from stemline.client.tracks import sources

    first, bucket = words[0], client.target.bucket
    is_object = partial(_is_object, client)
    path = Path(first)
    if len(words) > 1:
        if missing := [each for each in words if not sources.is_file(Path(each))]:
            what = (
                "a folder; give it without other sources"
                if sources.is_folder(Path(missing[0]))
                else "not a file"
            )
            raise CommandFailed(f"{printable(missing[0])} is {what}", status=NOT_FOUND)
        return "several files", sources.named([Path(each) for each in words])
    if first == "-":
        lines = sources.lines_of(sys.stdin.buffer.read())
        found = sources.in_list(lines, base=Path(), bucket=bucket, is_object=is_object)
        # Whole paths: a later run elsewhere may list other files with the same names.
        whole = (replace(t, id=t.path.resolve().as_posix()) if t.path is not None else t for t in found)
        return "a list on the standard input", whole
    if sources.is_folder(path):
        return str(path.resolve()), sources.in_folder(path, without=output)
    if sources.is_file(path):
        lines = sources.lines_of(path.read_bytes())
        found = sources.in_list(lines, base=path.parent, bucket=bucket, is_object=is_object)
        return str(path.resolve()), found
    prefix = key_named(client, first)
    prefix = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    return f"{_S3}{bucket}/{prefix}", sources.below_prefix(client.bucket, prefix)


def keys_of_list(client: Client, content: bytes, name: str) -> dict[int, str]:
    """Return the keys of a list by their lines, from 1; it is read as one of tracks is, but without files.

    Args:
        client: Client of the bucket.
        content: Content of the list.
        name: Name of the list, for messages.

    Raises:
        CommandFailed: A line is not UTF-8, or names another bucket or no object.
    """
    from stemline.client.tracks import sources

    keys = {}
    for number, line in enumerate(sources.lines_of(content), 1):
        text = sources.text_of(line, partial(_is_object, client))
        if not text or text.startswith("#"):
            continue
        try:
            keys[number] = object_named(client, text)
        except CommandFailed as error:
            message = f"line {number} of {printable(name)}: {error.message}"
            raise CommandFailed(message, hint=error.hint, status=error.exit_code) from error
    return keys


def object_named(client: Client, word: str) -> str:
    """Return the key of an object, which need not be there.

    Raises:
        CommandFailed: The word names no object, or one in another bucket, or it is not UTF-8.
    """
    from stemline.client.names import is_utf8

    if not is_utf8(word):
        message = f"{printable(word)} is no key: no object has a name that is not UTF-8"
        raise CommandFailed(message, status=NOT_FOUND)
    key = key_named(client, word)
    if not key:
        raise CommandFailed(f"{printable(word)} names no object", hint=f"write {word.rstrip('/')}/KEY")
    return key


def _is_object(client: Client, text: str) -> bool:
    """Return whether a line names an object to the letter; ``False`` where the bucket is not asked."""
    from stemline.client.names import is_utf8

    if client.target.s3 is None or not is_utf8(text):
        return False
    return client.bucket.exists(text.removeprefix(f"{_S3}{client.target.bucket}/"))


def key_named(client: Client, word: str) -> str:
    """Return the key or prefix that a word names, itself or as s3://BUCKET/KEY; it need not be there.

    Raises:
        CommandFailed: It is in another bucket, or not UTF-8.
    """
    from stemline.client.names import is_utf8

    if not is_utf8(word):
        message = f"{printable(word)} is not a file here, and no object has a name that is not UTF-8"
        raise CommandFailed(message, status=NOT_FOUND)
    if not word.startswith(_S3):
        return word
    target = client.target
    bucket, _, key = word.removeprefix(_S3).partition("/")
    if not bucket:
        raise CommandFailed(f"{printable(word)} names no bucket", hint=f"write {_S3}{target.bucket}/KEY")
    if bucket != target.bucket:
        raise CommandFailed(
            f"jobs of {target.origin} read from {target.bucket}, not from {printable(bucket)}",
            hint="give the bucket with --bucket, or use a profile for it",
        )
    return key
