"""Routes: functions as operations."""

from __future__ import annotations

import threading

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from stemline.api.admission import Access, ReadContext, StreamContext, WriteContext
from stemline.api.routing import Endpoint, Router

router = Router()


@router.get("/things/{first}/{second}", name="things")
@router.get("/old/{first}/{second}", name="old_things")
def things(second: str, first: str, request: Request) -> Response:
    """Show a thing."""
    return PlainTextResponse(f"{request.method} {first} {second} {threading.current_thread().name}")


@router.route(["GET", "HEAD"], "/here", name="here")
async def here() -> Response:
    """Show where this runs."""
    return PlainTextResponse(threading.current_thread().name)


@pytest.fixture
def client() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Starlette(routes=router.routes))
    return httpx.AsyncClient(transport=transport, base_url="http://local")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_parameters_and_threads(client, anyio_backend):
    """A function gets the parameters by name, in a thread of its own; a coroutine runs in the loop."""
    answer = await client.get("/things/a/b")
    assert answer.text.startswith("GET a b ")
    assert threading.current_thread().name not in answer.text
    assert threading.current_thread().name == (await client.get("/here")).text
    assert (await client.get("/old/a/b")).text.startswith("GET a b ")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_methods(client, anyio_backend):
    """HEAD is answered where it is named, and is not implied by GET."""
    assert (await client.head("/here")).status_code == 200
    assert (await client.head("/things/a/b")).status_code == 405
    assert (await client.post("/here")).status_code == 405


@pytest.mark.parametrize(
    ("annotation", "access"),
    [(ReadContext, Access.READ), (WriteContext, Access.WRITE), (StreamContext, Access.STREAM)],
)
def test_access(annotation, access):
    """The annotation of the context says how a request is admitted."""

    def operation(context):
        """Do nothing."""

    operation.__annotations__["context"] = annotation
    assert Endpoint(operation, "operation")._access is access


def test_names_and_descriptions():
    """Each route has its own name, and the description of its function."""
    assert [route.name for route in router.routes] == ["old_things", "things", "here"]
    assert all(route.endpoint.__doc__ for route in router.routes)
