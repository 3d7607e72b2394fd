"""What is known of licences can be said after a build: its pages are made anew, and no candidate."""

from __future__ import annotations

from pathlib import Path

from PIL import Image as PillowImage

from synrs_data.build.run import build
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import verify
from tests.build.painted import final_hashes, painted

CHANGED = {"README.md", "croissant.json", "report.html", "recipe.yaml", "manifest.json"}


def test_a_licence_that_is_said_later_changes_pages_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(painted(), out, engine="inline")
    before = final_hashes(out)

    result = build(painted(licenses={"generator": "cc-by-nc-4.0"}), out, engine="inline", resume="require")

    after = final_hashes(out)
    assert result.manifest is not None
    assert before.keys() == after.keys()
    assert {name for name in after if after[name] != before[name]} <= CHANGED
    assert "| the generator's weights | paint | cc-by-nc-4.0 |" in (out / "README.md").read_text()
    assert list(verify(BuildFolder(out))) == []


def test_the_picture_is_a_file_that_the_manifest_promises(tmp_path: Path) -> None:
    result = build(painted(), tmp_path / "out", engine="inline")
    assert result.manifest is not None
    entry = result.manifest["files"]["samples.jpg"]
    assert entry["bytes"] <= 300_000
    with PillowImage.open(result.folder.samples) as image:
        assert image.format == "JPEG"
    result.folder.samples.write_bytes(b"broken")
    assert any(fault.startswith("samples.jpg: ") for fault in verify(result.folder))
