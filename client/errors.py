"""What the client raises.

::

    ClientError
    ├── NotConfigured         no service is known
    │   └── InvalidTarget     a value that names one cannot be right
    ├── ConnectionFailed      the service gives no answer
    ├── ApiError              the service answers with an error
    │   ├── SlowDown          it asks to come back later
    │   ├── AccessDenied      the key pair is wrong, or may not do this
    │   └── NotFound
    ├── TransferFailed        an object could not be sent or fetched
    │   ├── StoreRefused      the bucket does not exist, or refuses the keys
    │   ├── StoreUnreachable  the store gives no answer
    │   └── ObjectMissing     it is not in the bucket, or no more
    ├── JobEnded              a job that was waited for did not succeed
    └── WaitTimedOut
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemline.client.batches import Batch
    from stemline.client.job import Job


class ClientError(Exception):
    """The service could not do what was asked for."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how it is made again, in another process too: its classes take other arguments."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[ClientError], args: tuple[Any, ...], fields: dict[str, Any]) -> ClientError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class NotConfigured(ClientError):
    """No service is known: neither arguments nor variables, a profile or a local stack name one."""


class InvalidTarget(NotConfigured):
    """A value says how a service is reached, and no service can be reached so."""


class ConnectionFailed(ClientError):
    """The service cannot be reached, or its answer is not one of this service."""


class ApiError(ClientError):
    """The service answered with an error.

    Attributes:
        code: Code of the wire, such as ``InvalidArgument``.
        message: A sentence.
        status: HTTP status.
        request_id: By which the operator finds the request in the logs.
        retry_after_s: How long the service asks to wait, if it says so.
        clock_ahead_s: By how much this machine's clock is ahead of the service's, if its answer says so;
            negative if it is behind.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 0,
        request_id: str = "",
        retry_after_s: float | None = None,
        clock_ahead_s: float | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}" + (f" (request {request_id})" if request_id else ""))
        self.code = code
        self.message = message
        self.status = status
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.clock_ahead_s = clock_ahead_s


class SlowDown(ApiError):
    """The service takes no more at the moment: a rate limit, a full queue, or its store does not answer."""


class AccessDenied(ApiError):
    """The key pair is unknown, the signature is not valid, or the credential does not allow the request."""


class NotFound(ApiError):
    """There is no job, batch, template, queue or callback of this id in the bucket."""


class TransferFailed(ClientError):
    """An object could not be sent to the bucket or fetched from it."""


class StoreRefused(TransferFailed):
    """The bucket does not exist, or does not accept the keys: every other transfer would fail too."""


class StoreUnreachable(TransferFailed):
    """The store of the bucket gives no answer."""


class ObjectMissing(TransferFailed):
    """An object that was to be fetched is not in the bucket, or no more."""


class JobEnded(ClientError):
    """A job ended without success.

    Attributes:
        job: As it ended, with its code and message.
    """

    def __init__(self, job: Job) -> None:
        reason = f": {job.code}: {job.message}" if job.state == "Failed" else ""
        super().__init__(f"job {job.id} ended as {job.state}{reason}")
        self.job = job


class WaitTimedOut(ClientError):
    """The job or batch has not ended in the time that was given; it goes on.

    Attributes:
        job: The job or the batch as it was seen last.
    """

    def __init__(self, job: Job | Batch, timeout_s: float) -> None:
        kind = type(job).__name__.lower()
        super().__init__(f"{kind} {job.id} has not ended in {timeout_s:g} s; it is {job.state}")
        self.job = job


def api_error(status: int, code: str, message: str, **fields: Any) -> ApiError:
    """Return the error of an answer, as the class of its status and code.

    Args:
        status: HTTP status.
        code: Code of the wire.
        message: A sentence.
        fields: The other arguments of :class:`ApiError`.
    """
    kind = {403: AccessDenied, 404: NotFound, 503: SlowDown}.get(status, ApiError)
    if kind is ApiError and code.endswith("NotFound"):  # a queue or template that the body of a request names
        kind = NotFound
    return kind(code, message, status=status, **fields)
