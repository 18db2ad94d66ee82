"""The model of Valkey's commands against Valkey."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from tests.simulation.run import Result, simulator
from tests.simulation.valkey import Model, RealValkey, Valkey, real_valkey

SEEDS = range(7)
KEYS, NAMES = ("a", "b"), ("x", "y", "z", "10", "9")
LIMITS = ("-inf", "+inf", "0", "(1", "1.5", "-3")
SCORES = ("0", "1", "1.5", "-3", "1800000000000123", "0.1")


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealValkey]:
    with real_valkey(tmp_path) as made:
        yield made


def same(answer: Any) -> Any:
    """Return an answer as it is compared: hashes have an order of their own in Valkey, errors a text."""
    if isinstance(answer, RedisError):
        return type(answer)
    if not isinstance(answer, list):
        return answer
    names = answer[::2]
    is_text = all(isinstance(each, str) for each in answer)
    if is_text and len(set(names)) * 2 == len(answer) and not any(c.isdigit() for c in "".join(names)):
        return dict(zip(names, answer[1::2], strict=True))
    return [same(each) for each in answer]


def calls_of(is_real: bool) -> tuple[list[Result], list[Any]]:
    """Run some seeds; return what they gave, and every command with its answer."""
    made: list[Any] = []
    with simulator(is_real=is_real) as sim:
        execute = sim.valkey.execute

        def noted(commands: Sequence[Sequence[Any]]) -> list[Any]:
            answers = execute(commands)
            made.extend(zip(map(tuple, commands), map(same, answers), strict=True))
            return answers

        sim.valkey.execute = noted  # type: ignore[method-assign]
        return [sim.run(seed) for seed in SEEDS], made


def test_runs_are_the_same_with_the_model() -> None:
    """The same seeds make the same choices and commands, and get the same answers to all of them."""
    (runs, calls), (real_runs, real_calls) = calls_of(False), calls_of(True)
    assert [(run.steps, run.choices, run.faults) for run in runs] == [
        (run.steps, run.choices, run.faults) for run in real_runs
    ]
    assert len(calls) == len(real_calls) > 3000
    for one, other in zip(calls, real_calls, strict=True):
        assert one == other


def some_command(draw: random.Random) -> list[str]:
    """Return a command that the model has."""
    key, name, score = draw.choice(KEYS), draw.choice(NAMES), draw.choice(SCORES)
    low, high = draw.choice(LIMITS), draw.choice(LIMITS)
    first, last = str(draw.randrange(-4, 4)), str(draw.randrange(-4, 4))
    only = draw.choice([[], ["NX"], ["XX"]])
    more = draw.choice([[], ["WITHSCORES"], ["LIMIT", "1", "2"], ["WITHSCORES", "LIMIT", "0", "-1"]])
    scores = draw.choice([[], ["WITHSCORES"]])
    return draw.choice(
        [
            *(["SET", f"s{key}", last], ["GET", f"s{key}"], ["MGET", f"s{key}", f"z{key}"]),
            *(["INCRBY", f"s{key}", first], ["EXISTS", f"s{key}", f"z{key}"], ["PERSIST", f"s{key}"]),
            *(["HSET", f"h{key}", name, last], ["HSETNX", f"h{key}", name, last], ["HGET", f"h{key}", name]),
            *(["HINCRBY", f"h{key}", name, first], ["HDEL", f"h{key}", name, "x"], ["HLEN", f"h{key}"]),
            *(["HMGET", f"h{key}", name, "x"], ["HEXISTS", f"h{key}", name], ["HKEYS", f"h{key}"]),
            *(["HGETALL", f"h{key}"], ["SADD", f"m{key}", name], ["SREM", f"m{key}", name]),
            *(["SCARD", f"m{key}"], ["SISMEMBER", f"m{key}", name], ["PTTL", "nothing"], ["TTL", f"h{key}"]),
            *(["RPUSH", f"l{key}", name, last], ["LPOP", f"l{key}"], ["LRANGE", f"l{key}", first, last]),
            *(["LTRIM", f"l{key}", first, last], ["LLEN", f"l{key}"], ["GET", f"h{key}"]),
            *(["ZADD", f"z{key}", *only, score, name], ["ZADD", f"z{key}", score, "x", "2", "y"]),
            *(["ZREM", f"z{key}", name], ["ZCARD", f"z{key}"], ["ZSCORE", f"z{key}", name]),
            *(
                ["ZMSCORE", f"z{key}", name, "x"],
                ["ZRANK", f"z{key}", name],
                ["ZCOUNT", f"z{key}", low, high],
            ),
            *(["ZINCRBY", f"z{key}", score, name], ["ZRANGE", f"z{key}", first, last, *scores]),
            *(["ZREVRANGE", f"z{key}", first, last, *scores], ["ZPOPMIN", f"z{key}"]),
            *(["ZRANGEBYSCORE", f"z{key}", low, high, *more], ["ZREMRANGEBYSCORE", f"z{key}", "1", "1.5"]),
            *(["ZREVRANGEBYSCORE", f"z{key}", high, low, *more], ["DEL", f"z{key}", f"h{key}"]),
            *(["ZRANGESTORE", "zb", "za", first, last], ["PEXPIRE", f"h{key}", "99999999"]),
        ]
    )


def test_commands_answer_as_those_of_valkey(real: RealValkey) -> None:
    """Any commands give the same answers."""
    draw, model = random.Random(19), Model()
    for _ in range(40):
        servers: list[Valkey] = [model, real]
        commands = [some_command(draw) for _ in range(100)]
        for server in servers:
            server.clear()
        for command, *found in zip(commands, *(server.execute(commands) for server in servers), strict=True):
            assert same(found[0]) == same(found[1]), command


def test_scripts_see_values_as_those_of_valkey(real: RealValkey) -> None:
    """Numbers, nothing, errors and JSON look the same to a script and to its caller."""
    script = """#!lua flags=allow-oom
local failed = redis.pcall('HINCRBY', 'text', 'x', 1)
redis.call('HSET', 'h', 'whole', 1800000000000123, 'part', 0.1, 'large', 2^52)
redis.call('SET', 's', cjson.encode({a = {1, 'two'}}))
local spec = cjson.decode('{"a": null, "b": [1, {"c": true}]}')
return {ARGV[1], 1.9, -1.9, false, true, redis.call('GET', 'nothing'), redis.call('GET', 's'),
  redis.call('HMGET', 'h', 'none', 'whole', 'part', 'large'), redis.sha1hex('x'), type(failed.err),
  spec.b[1], spec.b[2].c, #spec.b, type(spec.a) == 'table', pcall(cjson.decode, '{'), {},
  redis.call('HGET', 'h', 'none'), nil, 'cut off'}
"""
    answers = []
    for server in (Model(), real):
        server.execute([["SET", "text", "x"]])
        digest = server.load(script)
        answers.append(server.execute([["EVALSHA", digest, 0, "a\xe4"], ["EVAL", script, 0, 7]]))
        refused, unknown = server.execute([["EVAL", "#!lua\nerror('no')", 0], ["EVALSHA", "0" * 40, 0]])
        assert "no" in str(refused)
        assert type(unknown).__name__ == "NoScriptError"
    assert answers[0] == answers[1]
