"""Pages far behind the last one, on a real Valkey."""

from __future__ import annotations

import pytest

from stemline.testing.api_server import ApiServer

FAR = "pageNumber=999999999&pageSize=100"


@pytest.mark.parametrize(
    "path",
    [
        f"/callbacks?{FAR}",
        f"/callbacks?states=All&{FAR}",
        f"/callbacks?states=Dead,Pending&host=a.example&{FAR}",
        f"/batches?{FAR}",
        f"/template?{FAR}",
        f"/asrqueue?{FAR}",
        f"/queue?{FAR}",
        f"/asrbucket?{FAR}",
        "/jobs?tag=VoiceSeparate&nextToken=9999999999999999&size=100",
        "/jobs?tag=VoiceSeparate&nextToken=0&size=100",
        "/console/jobs?offset=99999999&size=200",
        "/console/jobs?cursor=0&text=x",
    ],
)
def test_a_page_behind_the_last_is_empty(path: str, server: ApiServer) -> None:
    """However far it is, the answer is an empty page, not an error."""
    answer = server.client.request("GET", path, headers={"Accept": "application/json"})
    assert 200 == answer.status, answer.body
