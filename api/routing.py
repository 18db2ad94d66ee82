"""Routes: each operation is a function of a request's context and of the parameters in its path."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar, get_type_hints

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from stemline.api.admission import Access, admitted

Operation = Callable[..., Response] | Callable[..., Awaitable[Response]]
F = TypeVar("F", bound=Operation)


class Router:
    """The routes of one resource."""

    def __init__(self) -> None:
        self.routes: list[Route] = []

    def get(self, path: str, *, name: str, **options: Any) -> Callable[[F], F]:
        """Return what makes a function the answer to GET; ``options`` are those of :meth:`route`."""
        return self.route(["GET"], path, name=name, **options)

    def post(self, path: str, *, name: str) -> Callable[[F], F]:
        """Return what makes a function the answer to POST."""
        return self.route(["POST"], path, name=name)

    def put(self, path: str, *, name: str) -> Callable[[F], F]:
        """Return what makes a function the answer to PUT."""
        return self.route(["PUT"], path, name=name)

    def delete(self, path: str, *, name: str) -> Callable[[F], F]:
        """Return what makes a function the answer to DELETE."""
        return self.route(["DELETE"], path, name=name)

    def route(
        self, methods: Iterable[str], path: str, *, name: str, include_in_schema: bool = True
    ) -> Callable[[F], F]:
        """Return what makes a function an operation.

        A function takes the ``context`` of the request, annotated with its access, the ``request``, both or
        none of them, and the parameters of the path by their names. One that is not a coroutine runs in a
        thread.

        Args:
            methods: Methods that it answers; HEAD is not implied by GET.
            path: With parameters in braces.
            name: Name of the operation, in metrics, log and OpenAPI.
            include_in_schema: Whether it is described in the OpenAPI document.
        """

        def add(function: F) -> F:
            endpoint = Endpoint(function, name)
            route = Route(path, endpoint, name=name, include_in_schema=include_in_schema)
            route.methods = set(methods)
            self.routes.append(route)
            return function

        return add


class Endpoint:
    """An operation as an ASGI application."""

    def __init__(self, function: Operation, name: str) -> None:
        self._function = function
        self._name = name
        self._is_coroutine = inspect.iscoroutinefunction(function)
        self._takes_request = "request" in inspect.signature(function).parameters
        context = get_type_hints(function, include_extras=True).get("context")
        self._access: Access | None = context.__metadata__[0] if context is not None else None
        self.__doc__ = function.__doc__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit the request, answer it, and send the answer."""
        scope["operation"] = self._name
        request = Request(scope, receive, send)
        values: dict[str, Any] = dict(scope["path_params"])
        if self._takes_request:
            values["request"] = request
        if self._access is None:
            await (await self._answer(values))(scope, receive, send)
            return
        async with admitted(request, self._access) as values["context"]:
            await (await self._answer(values))(scope, receive, send)

    async def _answer(self, values: dict[str, Any]) -> Response:
        call: Callable[..., Any] = partial(self._function, **values)
        response: Response = await (call() if self._is_coroutine else run_in_threadpool(call))
        return response
