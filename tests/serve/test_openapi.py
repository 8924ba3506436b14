"""schemathesis asks a server what /openapi.json allows and forbids: the answers are as it describes them."""

import base64

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

schemathesis = pytest.importorskip("schemathesis")
from schemathesis import GenerationMode  # noqa: E402
from schemathesis.openapi import format as text_format  # noqa: E402
from schemathesis.openapi import media_type  # noqa: E402
from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402

pytestmark = pytest.mark.slow

IMAGES = [cv2.imencode(kind, np.full((9, 12, 3), 90, np.uint8))[1].tobytes() for kind in (".png", ".jpg", ".bmp")]
CONTENT = st.sampled_from(IMAGES) | st.binary(max_size=80)
for name in ("image/*", "application/octet-stream"):
    media_type(name, CONTENT)
text_format("binary", CONTENT)
text_format("byte", CONTENT.map(lambda content: base64.b64encode(content).decode()))

GET = ("/v1/models", "/health/live", "/health/ready", "/metrics", "/v1/networks")
POST = {"/v1/poses": 150, "/v1/poses/batch": 80, "/v1/videos": 40}
"""Paths with bodies, and how many requests of each kind they get."""
WAYS = {"0", "off", "f", "false", "n", "no", "1", "on", "t", "true", "y", "yes"}
"""What is taken for a boolean in text."""


def is_told(case) -> bool:
    """Whether a query and a form say what they were made of.

    They hold text alone: a list of one value is that value there, an empty list is nothing, and 0 and "no" are ways to
    say false.
    """
    form = case.body if case.media_type == "multipart/form-data" and isinstance(case.body, dict) else {}
    lists = {"image"} if case.path == "/v1/poses/batch" else set()
    return all(
        value is not None and isinstance(value, list | dict) == (name in lists) for name, value in form.items()
    ) and not any(
        value == [] or is_a_way_to_say_flip(name, value) for name, value in [*form.items(), *case.query.items()]
    )


def is_a_way_to_say_flip(name: str, value: object) -> bool:
    return name == "flip" and not isinstance(value, bool) and str(value).lower() in WAYS


@pytest.fixture(scope="module")
def api(server):
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


def test_all_paths_of_the_description_are_asked_here(api):
    described = {(each.ok().path, each.ok().method.upper()) for each in api.get_all_operations()}
    assert described == {(path, "GET") for path in GET} | {(path, "POST") for path in POST}


@pytest.mark.parametrize("path", GET)
def test_facts_are_as_they_are_described(api, path):
    api[path]["GET"].Case().call_and_validate()


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("path", POST)
def test_answers_are_as_they_are_described_whatever_is_asked(api, path, mode):
    """No 5xx, no status, kind of content or form of answer that is not described, and nothing forbidden is accepted."""
    found = set()

    @given(case=api[path]["POST"].as_strategy(generation_mode=mode))
    @settings(max_examples=POST[path], deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def ask(case):
        assume(is_told(case))
        # a description cannot say which bytes are an image, so what fits it may still be refused
        answer = case.call_and_validate(excluded_checks=[positive_data_acceptance])
        found.add(answer.status_code)

    ask()
    assert found & {400, 415, 422}
    assert 200 in found or mode is GenerationMode.NEGATIVE or path == "/v1/videos"
