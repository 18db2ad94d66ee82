"""Files of this machine: sources are sent to the bucket, stems are fetched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx

from stemline.client import jobs
from stemline.client.errors import ObjectMissing, TransferFailed
from stemline.client.exchange import reaching, reason_of_transfer
from stemline.client.job import Job
from stemline.client.names import DEFAULT_PATTERN, file_names, new_key
from stemline.client.objects import Bucket, Progress, write_whole
from stemline.client.retry import Retry
from stemline.client.sender import Sender
from stemline.client.sending import send_file
from stemline.client.target import Target


class Files(Sender):
    """Sends and fetches files, over S3 where the bucket is accessible, else through links of the service."""

    def __init__(self, target: Target, *, retry: Retry | None = None, timeout_s: float = 40.0) -> None:
        """Open no connection yet; the arguments are those of :class:`~stemline.client.sender.Sender`."""
        super().__init__(target, retry=retry, timeout_s=timeout_s)
        self._bucket = None if target.s3 is None else Bucket(target.s3, target.bucket, target.region)

    def close(self) -> None:
        """Close the connections."""
        super().close()
        if self._bucket is not None:
            self._bucket.close()

    @property
    def bucket(self) -> Bucket:
        """The bucket over S3.

        Raises:
            TransferFailed: The client has no access to it.
        """
        if self._bucket is None:
            raise TransferFailed(
                f"{self.target.origin} gives no access to the bucket {self.target.bucket}: "
                "set AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL_S3, or add it with `stemline login`"
            )
        return self._bucket

    def upload(self, path: str | Path, key: str = "", *, progress: Progress | None = None) -> str:
        """Send a file to the bucket and return its key.

        Args:
            path: Path of the file.
            key: That it gets, where it replaces another object; by default a new one that ends with the name
                of the file. Without access to the bucket the file is sent through URLs of the service, which
                chooses the key.
            progress: Called with the bytes sent.

        Raises:
            TransferFailed: It could not be sent.
        """
        file = Path(path)
        if self._bucket is None:
            return send_file(self, file, progress)
        key = key or new_key(file.name)
        self.bucket.upload(file, key, progress)
        return key

    def download(
        self,
        job: Job,
        folder: str | Path,
        *,
        pattern: str = DEFAULT_PATTERN,
        values: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Path]:
        """Fetch the stems of a job; files of the same names are replaced.

        Args:
            job: Job that has succeeded.
            folder: Where the files are put.
            pattern: Pattern of their names: ``{stem}``, ``{name}``, ``{dir}``, ``{jobid}`` and ``{ext}``.
            values: Other values for these names.
            progress: Called with the bytes received.

        Returns:
            The files by the names of the stems.

        Raises:
            TransferFailed: A stem could not be fetched.
        """
        paths = file_names(job, Path(folder), pattern, values)
        links = {} if self._bucket is not None else self.send(jobs.links(job.id))
        for stem in job.stems:
            path = paths[stem.name]
            if self._bucket is not None and stem.bucket == self._bucket.name:
                self._bucket.download(stem.key, path, md5=stem.md5, progress=progress)
            else:
                links = links or self.send(jobs.links(job.id))
                self._fetch(links.get(stem.key, ""), path, md5=stem.md5, progress=progress)
        return paths

    @staticmethod
    def _fetch(url: str, path: Path, *, md5: str, progress: Progress | None) -> None:
        try:
            with httpx.stream("GET", url, timeout=40, **reaching(url)) as response:
                if response.status_code == 404:
                    raise ObjectMissing(f"{path.name} is in the bucket no more")
                response.raise_for_status()
                write_whole(path, response.iter_bytes(), md5=md5, progress=progress)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise TransferFailed(f"{path.name} could not be fetched: {reason_of_transfer(error)}") from error
