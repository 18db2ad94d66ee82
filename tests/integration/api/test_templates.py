"""Templates over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from stemline.runtime.settings import Credential
from stemline.testing.api_server import TENANT, ApiServer
from stemline.testing.client import BUCKET, REGION, Answer, Client


def body(
    name: str = "vs_mp3_both", mode: str = "AudioAndBackground", config: str = "", tag: str = "VoiceSeparate"
) -> str:
    config = config or "<AudioConfig><Codec>mp3</Codec><Samplerate>44100</Samplerate></AudioConfig>"
    return f"<Request><Tag>{tag}</Tag><Name>{name}</Name><AudioMode>{mode}</AudioMode>{config}</Request>"


def create(client: Client, name: str) -> str:
    answer = client.post("/template", body(name))
    assert 200 == answer.status, answer.body
    return answer.text("Template/TemplateId") or ""


@pytest.mark.shows("POST /template", "Category, CreateTime, UpdateTime")
def test_created(client: Client) -> None:
    """A new template is answered whole, in the wire's order, with only what was given."""
    answer = client.post("/template", body())
    template = answer.text("Template/TemplateId") or ""
    made = answer.text("Template/CreateTime") or ""
    assert re.fullmatch(r"t1[0-9a-f]{32}", template)
    assert answer.body.decode() == (
        f"<Response><RequestId>{answer.headers['x-ci-request-id']}</RequestId><Template><Tag>VoiceSeparate</Tag>"
        f"<TemplateId>{template}</TemplateId><Name>vs_mp3_both</Name><BucketId>{BUCKET}</BucketId>"
        "<Category>Custom</Category><VoiceSeparate><AudioMode>AudioAndBackground</AudioMode><AudioConfig>"
        "<Codec>mp3</Codec><Samplerate>44100</Samplerate></AudioConfig></VoiceSeparate>"
        f"<CreateTime>{made}</CreateTime><UpdateTime>{made}</UpdateTime></Template></Response>"
    )


@pytest.mark.shows("Name")
@pytest.mark.parametrize("name", ["a", "人声_分离-1*", "x" * 64])
def test_good_names(client: Client, name: str) -> None:
    """Chinese characters, letters, digits, ``_``, ``-`` and ``*`` make a name, up to 64."""
    assert name == client.post("/template", body(name)).text("Template/Name")


@pytest.mark.parametrize(
    "request_body",
    [
        body(""),
        body("x" * 65),
        body("a b"),
        body("a.b"),
        body("é"),
        body(tag="Transcode"),
        body(tag=""),
        body(mode=""),
        body(mode="Karaoke"),
        body(config="<AudioConfig><Codec>ogg</Codec></AudioConfig>"),
        body(mode="MusicMode", config="<AudioConfig><Codec>amr</Codec></AudioConfig>"),
    ],
)
def test_refused(client: Client, request_body: str) -> None:
    """A bad name, tag, mode or codec is refused, and nothing is kept."""
    answer = client.post("/template", request_body)
    assert (400, "InvalidArgument") == (answer.status, answer.code)
    assert "0" == client.get("/template").text("TotalCount")


def test_duplicate_name(client: Client) -> None:
    """A name is there once in a bucket, also after an update; another bucket may have it too."""
    first, second = create(client, "one"), create(client, "two")
    for answer in (client.post("/template", body("one")), client.put(f"/template/{second}", body("one"))):
        assert (400, "TemplateNameDuplicate") == (answer.status, answer.code)
    assert 200 == client.put(f"/template/{first}", body("one")).status
    assert create(Client(client.port, f"other-1250000000.ci.{REGION}.myqcloud.com"), "one")


@pytest.mark.shows("PUT /template/{template_id}", "Go, Java, PHP, iOS, Android, Terraform")
def test_update(client: Client) -> None:
    """An update replaces what it gives and keeps the rest, such as the AudioConfig Terraform omits."""
    template = create(client, "one")
    before = client.get("/template", ids=template)
    partial = "<Request><Tag>VoiceSeparate</Tag><Name>new</Name><AudioMode>IsAudio</AudioMode></Request>"
    answer = client.put(f"/template/{template}", partial)
    assert ["new", "IsAudio", "mp3"] == [
        answer.text(f"Template/{path}")
        for path in ("Name", "VoiceSeparate/AudioMode", "VoiceSeparate/AudioConfig/Codec")
    ]
    assert before.text("TemplateList/CreateTime") == answer.text("Template/CreateTime")
    whole = client.put(
        f"/template/{template}", body("new", config="<AudioConfig><Codec>wav</Codec></AudioConfig>")
    )
    config = whole.xml.find("Template/VoiceSeparate/AudioConfig")
    assert config is not None
    assert [("Codec", "wav")] == [(child.tag, child.text) for child in config]


def test_update_refused(client: Client) -> None:
    """Another tag, a mode that the kept codec cannot serve, and an unknown id are refused."""
    template = create(client, "one")
    flac = "<AudioConfig><Codec>flac</Codec></AudioConfig>"
    assert 200 == client.put(f"/template/{template}", body("one", config=flac)).status
    music = "<Request><AudioMode>MusicMode</AudioMode></Request>"
    for bad in (body(tag="Transcode"), music, body("a b")):
        assert (400, "InvalidArgument") == ((a := client.put(f"/template/{template}", bad)).status, a.code)
    unknown = client.put("/template/t1" + "0" * 32, body())
    assert (404, "TemplateNotFound") == (unknown.status, unknown.code)
    assert "InvalidContent" == client.put(f"/template/{template}", "x").code


@pytest.mark.shows("DELETE /template/{template_id}")
def test_delete(client: Client) -> None:
    """Deleting answers with the id; a second time the template is unknown."""
    template = create(client, "one")
    answer = client.delete(f"/template/{template}")
    request_id = answer.headers["x-ci-request-id"]
    expected = f"<Response><RequestId>{request_id}</RequestId><TemplateId>{template}</TemplateId></Response>"
    assert (200, expected) == (answer.status, answer.body.decode())
    again = client.delete(f"/template/{template}")
    assert (404, "TemplateNotFound") == (again.status, again.code)
    assert template != create(client, "one")  # its name is free again


def names(answer: Answer) -> list[str]:
    return answer.texts("TemplateList/Name")


@pytest.mark.shows(
    "GET /template", "ids, name, names", "pageNumber, pageSize", "RequestId, TotalCount, PageNumber, PageSize"
)
def test_list(client: Client) -> None:
    """Pages, prefix, tag and category choose as documented."""
    for name in ("a1", "a2", "b1"):
        create(client, name)
    answer = client.get("/template", tag="VoiceSeparate", category="Custom", pageNumber="1", pageSize="10")
    assert {"a1", "a2", "b1"} == set(names(answer))
    totals = [answer.text(name) for name in ("TotalCount", "PageNumber", "PageSize")]
    assert ["3", "1", "10"] == totals
    assert {"a1", "a2"} == set(names(client.get("/template", name="a")))
    assert {"b1"} == set(names(client.get("/template", names="b")))
    pages = [names(client.get("/template", pageSize="2", pageNumber=str(page))) for page in (1, 2, 3)]
    assert [2, 1, 0] == [len(page) for page in pages]
    assert {"a1", "a2", "b1"} == {name for page in pages for name in page}
    for query in ({"category": "Official"}, {"tag": "Transcode"}, {"name": "c"}):
        nothing = client.get("/template", **query)
        assert ("0", []) == (nothing.text("TotalCount"), names(nothing))
        assert nothing.xml.find("TemplateList") is None
    for bad in ({"pageSize": "101"}, {"pageSize": "-1"}, {"pageNumber": "-1"}, {"category": "Mine"}):
        assert "InvalidArgument" == client.get("/template", **bad).code


@pytest.mark.shows(
    "GET /template",
    "ids, name, names",
    "RequestId, TotalCount, PageNumber, PageSize",
    "Template, TemplateList, NonExistTIDs",
)
def test_by_ids(client: Client) -> None:
    """Queried by ids, hits come without page numbers and misses in NonExistTIDs."""
    template = create(client, "one")
    answer = client.get("/template", ids=f"{template},t1x,t1y")
    assert [template] == answer.texts("TemplateList/TemplateId")
    assert ["t1x", "t1y"] == answer.texts("NonExistTIDs/TemplateId")
    assert answer.xml.find("TotalCount") is None
    only = client.get("/template", ids=template)
    assert ["RequestId", "TemplateList"] == [child.tag for child in only.xml]
    assert client.get("/template", ids="t1x").xml.find("TemplateList") is None


def test_number_is_limited(serve: Callable[..., ApiServer]) -> None:
    """A bucket holds so many templates and no more."""
    client = serve(templates_per_bucket=2).client
    create(client, "a")
    create(client, "b")
    answer = client.post("/template", body("c"))
    assert (400, "CreatedTemplateNumLimit") == (answer.status, answer.code)


def test_a_template_names_only_models_that_its_credential_may_choose(serve: Callable[..., ApiServer]) -> None:
    """A model that a credential may not choose is refused in a new template and in a change of one."""
    server = serve(credentials=(Credential(secret_id="id", secret_key="k", models=("htdemucs*",)),))
    client = Client(server.port, secret_id="id", secret_key="k")
    refused = body().replace("</AudioConfig>", "</AudioConfig><Model>other</Model>")
    allowed = refused.replace("other", "htdemucs_ft")
    assert (403, "AccessDenied") == ((answer := client.post("/template", refused)).status, answer.code)
    template = client.post("/template", allowed).text("Template/TemplateId")
    answer = client.put(f"/template/{template}", refused)
    assert (403, "AccessDenied") == (answer.status, answer.code)
    assert 200 == client.put(f"/template/{template}", allowed.replace("_ft", "_6s")).status
    stored = server.store.templates.get(TENANT, template or "")
    assert stored is not None
    assert stored.separate.model == "htdemucs_6s"
