"""The published schema of results is that of the code, and results fit it."""

from __future__ import annotations

import json
from pathlib import Path

from synrs_data.evaluate.results import result_schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "result.schema.json"


def test_the_published_schema_is_what_the_command_prints() -> None:
    from typer.testing import CliRunner

    from synrs_data.cli import app

    printed = CliRunner().invoke(app, ["eval", "schema"]).stdout
    assert json.loads(printed) == result_schema()
    assert PUBLISHED.read_text(encoding="utf-8") == printed, (
        "run `synrs-data eval schema > docs/result.schema.json`"
    )


def test_a_result_has_the_keys_of_the_schema_and_no_others(result: Path) -> None:
    schema, values = result_schema(), json.loads((result / "result.json").read_text())
    assert set(schema["required"]) <= set(values) == set(schema["properties"])
    arm = schema["$defs"]["ArmValue"]
    assert all(set(arm["required"]) <= set(each) == set(arm["properties"]) for each in values["arms"])
    assert schema["properties"]["schema_version"]["const"] == values["schema_version"] == 2
