"""The server of the job store in a run: the commands' model in Lua, or a real Valkey that keeps nothing.

The model runs the product's scripts in an interpreter of the version that Valkey has, without a way there and
back between processes, which takes most of the time. ``test_model.py`` holds its answers against Valkey's.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import redis
from lupa import lua51  # type: ignore[import-untyped]
from redis.exceptions import NoScriptError, ResponseError

from stemline.deploy.local.servers import valkey_program

_TEXTS: Final = Path(__file__).parent
_NAME: Final = re.compile(r"\w+")
_COMMENT: Final = re.compile(r"--.*")  # no script has the two signs in a string
_FUNCTION: Final = re.compile(r"^local function (\w+).*\n(?:[ \t].*\n|\n(?=[ \t]))*(?:end\n)?", re.MULTILINE)


class Valkey(Protocol):
    """A server."""

    def load(self, source: str) -> str:
        """Load a script; return its digest."""

    def execute(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Run commands one after the other; return their answers, of a refused one its error."""

    def clear(self) -> None:
        """Forget everything but the scripts."""


class Model:
    """The model: ``commands.lua`` and ``sorted_sets.lua``."""

    def __init__(self) -> None:
        """Start an interpreter."""
        lua = lua51.LuaRuntime(unpack_returned_tuples=True)
        lua.execute("collectgarbage('setpause', 500)")  # memory is cheaper here than time
        lua.globals().SORTED_SETS = (_TEXTS / "sorted_sets.lua").read_text()
        load = lua.eval("function(text, name, ...) return assert(loadstring(text, name))(...) end")

        def decode(text: str) -> Any:
            found = json.loads(text)
            return lua.table_from(found, recursive=True) if isinstance(found, dict | list) else found

        self._run, self._load, self._call, self._reset = load(
            (_TEXTS / "commands.lua").read_text(), "@commands.lua", sha1, decode, json.dumps
        )
        self._items = lua.eval("function(table) return #table, unpack(table) end")
        self._scripts = set[str]()
        self._table = type(lua.table())

    def load(self, source: str) -> str:
        """Load a script; return its digest."""
        digest = sha1(source)
        if digest not in self._scripts:
            self._load(digest, _needed(source.partition("\n")[2]))  # without the line of flags
            self._scripts.add(digest)
        return digest

    def execute(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Run commands one after the other; return their answers, of a refused one its error."""
        return [self._answer(command) for command in commands]

    def clear(self) -> None:
        """Forget everything but the scripts."""
        self._reset()

    def _answer(self, command: Sequence[Any]) -> Any:
        name, *words = [each if type(each) is str else _text(each) for each in command]
        try:
            if name == "EVALSHA":
                if words[0] not in self._scripts:
                    return NoScriptError("No matching script.")
                return self._plain(self._run(words[0], *words[2:]))
            if name == "EVAL":
                return self._plain(self._run(self.load(words[0]), *words[2:]))
            return self._plain(self._call(name, *words))
        except lua51.LuaError as error:
            return ResponseError(str(error))

    def _plain(self, answer: Any) -> Any:
        if answer is False:
            return None
        if type(answer) is not self._table:
            return 1 if answer is True else answer
        if (status := answer["ok"]) is not None:
            return status
        if (error := answer["err"]) is not None:
            return ResponseError(error)
        count, *items = self._items(answer) if len(answer) else (0,)
        return [each if type(each) is str else self._plain(each) for each in items[: int(count)]]


class RealValkey:
    """A Valkey behind a socket."""

    def __init__(self, socket: Path) -> None:
        """Connect."""
        self._client = redis.Redis(unix_socket_path=str(socket), decode_responses=True, protocol=2)
        self._connection = self._client.connection_pool.get_connection()

    def load(self, source: str) -> str:
        """Load a script; return its digest."""
        return str(self._client.script_load(source))

    def execute(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Run commands one after the other; return their answers, of a refused one its error."""
        connection = self._connection
        connection.send_packed_command(connection.pack_commands(commands))
        return [self._answer() for _ in commands]

    def clear(self) -> None:
        """Forget everything but the scripts."""
        self._client.flushdb()

    def _answer(self) -> Any:
        try:
            return self._connection.read_response()
        except ResponseError as refused:
            return refused


@contextmanager
def real_valkey(folder: Path) -> Iterator[RealValkey]:
    """Run a Valkey that keeps nothing."""
    socket = folder / "valkey.sock"
    options = {"port": "0", "unixsocket": str(socket), "save": "", "appendonly": "no", "dir": str(folder)}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    process = subprocess.Popen([valkey_program(), *words], stdout=subprocess.DEVNULL, cwd=folder)
    try:
        deadline = time.monotonic() + 60
        while not socket.exists():
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError("Valkey does not start")
            time.sleep(0.01)
        yield RealValkey(socket)
    finally:
        process.kill()
        process.wait()


def _needed(source: str) -> str:
    """Return a script without the shared functions that it does not call: they take most of its time."""
    source = _COMMENT.sub("", source)
    functions = {found[1]: found[0] for found in _FUNCTION.finditer(source)}
    rest, kept = _FUNCTION.sub("", source), set[str]()
    found = set(_NAME.findall(rest)) & functions.keys()
    while found:
        kept |= found
        found = {name for each in found for name in _NAME.findall(functions[each])} & functions.keys() - kept
    return _FUNCTION.sub(lambda function: function[0] if function[1] in kept else "", source)


def sha1(text: str) -> str:
    """Return the digest of a script, hex."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _text(word: Any) -> str:
    return word.decode() if isinstance(word, bytes) else repr(word) if isinstance(word, float) else str(word)
