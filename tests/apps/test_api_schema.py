"""The web API against its own description, by requests that schemathesis makes up."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.pictures import save_weights
from tests.server import running

WRONG, RIGHT = schemathesis.GenerationMode.NEGATIVE, schemathesis.GenerationMode.POSITIVE
PATH = "POST /api/process_image"
TRIED = [(PATH, RIGHT), (PATH, WRONG), ("GET /health", RIGHT), ("GET /model", RIGHT)]
NO_PICTURES = [positive_data_acceptance]  # bytes that were made up are no picture, and are refused


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    with running(save_weights(tmp_path_factory.mktemp("weights"))) as address:
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        yield {found.ok().label: found.ok() for found in schema.get_all_operations()}


def test_every_operation_is_tried(operations):
    assert set(operations) == {label for label, _ in TRIED}


@pytest.mark.parametrize(("label", "mode"), TRIED)
def test_what_the_api_answers_is_what_it_describes(label, mode, operations):
    tried = []

    @given(case=operations[label].as_strategy(generation_mode=mode))
    @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def check(case):
        tried.append(case.call_and_validate(excluded_checks=NO_PICTURES).status_code)

    check()
    assert tried
    assert not set(tried) & {500, 503}
