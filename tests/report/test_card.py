"""The dataset card is read by `datasets`, by the Hub's own parser and by people."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from synrs_data.report import render_card
from synrs_data.report.card import card_data, size_category
from synrs_data.report.templates import plain
from tests.report.fake_build import make_build, shuffled, tiny_image

HOSTILE = 'a | b\n---\nlicense: other\n# title <script>alert(1)</script> `x` [a](b) "q" \\'


def front_matter(card: str) -> dict[str, Any]:
    """Return the metadata of a card."""
    _, block, _ = re.split(r"^---$", card, maxsplit=2, flags=re.M)
    found: dict[str, Any] = yaml.safe_load(block)
    return found


@pytest.mark.parametrize("image_format", ["jpg", "png", "webp"])
@pytest.mark.parametrize("scored", [True, False], ids=["scores", "no-scores"])
@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
def test_datasets_loads_the_folder_by_its_card(
    tmp_path: Path, image_format: str, scored: bool, streaming: bool
) -> None:
    from datasets import load_dataset

    folder, facts = make_build(
        tmp_path / "build",
        splits={"train": 0.5, "test": 0.5},
        scored=scored,
        image=lambda index: tiny_image(index, image_format),
        recipe={"image": {"format": image_format}},
    )
    folder.card.write_text(render_card(folder, facts), encoding="utf-8")

    data = load_dataset(str(folder.root), streaming=streaming, cache_dir=str(tmp_path / "cache"))

    expected = dict(facts.packed.group_by("split").len().iter_rows())
    samples = {name: list(split) for name, split in data.items()}
    assert {name: len(split) for name, split in samples.items()} == expected
    assert data["train"].features["cls"].names == facts.labels.names
    rows = {row["key"]: row for row in facts.packed.to_dicts()}
    for sample in samples["train"] + samples["test"]:
        row = rows[sample["__key__"]]
        assert sample[image_format].size == (16, 16)
        assert (sample["txt"], sample["cls"], sample["json"]["seed"]) == (
            row["caption"],
            row["label"],
            row["seed"],
        )
        assert sample["json"]["synthetic"] is True
        if scored:
            assert sample["json"]["scores"]["clip_agreement_p"] == row["clip_agreement_p"]


def test_datasets_takes_all_of_the_metadata(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from datasets import load_dataset

    folder, facts = make_build(tmp_path / "build")
    folder.card.write_text(render_card(folder, facts), encoding="utf-8")

    load_dataset(str(folder.root), streaming=True, cache_dir=str(tmp_path / "cache"))

    assert not caplog.records


def test_wrong_number_of_samples_on_the_card_is_seen_by_datasets(tmp_path: Path) -> None:
    from datasets import load_dataset
    from datasets.utils.info_utils import NonMatchingSplitsSizesError

    folder, facts = make_build(tmp_path / "build")
    card = render_card(folder, facts).replace("num_examples: 20", "num_examples: 21")
    folder.card.write_text(card, encoding="utf-8")

    with pytest.raises(NonMatchingSplitsSizesError):
        load_dataset(str(folder.root), cache_dir=str(tmp_path / "cache"))


def test_code_on_the_card_runs_in_the_folder(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build")
    card = render_card(folder, facts)
    folder.card.write_text(card, encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", card, flags=re.S)
    assert len(blocks) == 3
    blocks[0] += "\nassert len(data) == 20 and data[0]['jpg'].size == (16, 16)"
    blocks[1] += "\nassert image.size == (16, 16) and label in (0, 1, 2)"
    blocks[2] += "\nassert rows.height == 20"

    result = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=folder.root,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
    )

    assert result.returncode == 0, result.stderr


def test_several_shards_are_named_by_their_range(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build")
    files = [f"data/train-{i // 8:05d}.tar" for i in range(facts.packed.height)]
    facts = replace(facts, packed=facts.packed.with_columns(pl.Series("file", files)))

    assert '"data/train-{00000..00002}.tar"' in render_card(folder, facts)


def test_card_says_licence_size_and_that_it_is_synthetic(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build")
    data = front_matter(render_card(folder, facts))

    assert data["license"] == "cc-by-4.0"
    assert data["pretty_name"] == "Fake scenes"
    assert data["size_categories"] == ["n<1K"]
    assert {"synthetic", "remote-sensing", "geospatial", "webdataset"} <= set(data["tags"])
    assert "text-to-image" in data["task_categories"]


def test_hub_parser_reads_the_metadata_unchanged(tmp_path: Path) -> None:
    from huggingface_hub import DatasetCard

    folder, facts = make_build(tmp_path / "build", recipe={"title": HOSTILE})

    data: Any = DatasetCard(render_card(folder, facts)).data

    assert data.to_dict() == card_data(facts)


def test_hostile_texts_break_neither_metadata_nor_tables(tmp_path: Path) -> None:
    folder, facts = make_build(
        tmp_path / "build",
        labels=[HOSTILE, "River", "yes", "0x1f"],
        caption=lambda index, name: HOSTILE,
        recipe={"title": HOSTILE, "description": HOSTILE, "license": "cc-by-4.0"},
    )
    card = render_card(folder, facts)
    data = front_matter(card)
    body = card.split("\n---\n", 1)[1]

    assert data["license"] == "cc-by-4.0"
    names = next(item for item in data["dataset_info"]["features"] if item["name"] == "cls")
    assert list(names["dtype"]["class_label"]["names"].values()) == facts.labels.names
    assert "<script" not in body
    assert not re.search(r"^(---|# title|license:)", body, flags=re.M)
    table = [line for line in body.splitlines() if line.startswith("| 0 | a ")]
    assert len(table) == 1
    assert len(re.findall(r"(?<!\\)\|", table[0])) == 6


def test_one_line_text_keeps_its_words_and_loses_its_markup() -> None:
    assert plain("1. first\n- second") == "1\\. first - second"
    assert plain("- item") == "\\- item"
    assert plain("3.11.7") == "3.11.7"
    assert plain("rs-basic, 64 x 64") == "rs-basic, 64 x 64"


def test_same_build_gives_the_same_card_in_any_order_of_rows(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build", splits={"train": 0.5, "test": 0.5})

    assert render_card(folder, facts) == render_card(folder, shuffled(facts))


def test_card_shows_no_path_of_this_machine(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build", recipe={"labels": str(tmp_path / "labels.yaml")})

    assert str(tmp_path) not in render_card(folder, facts)


def test_build_without_samples_has_a_card_without_configurations(tmp_path: Path) -> None:
    folder, facts = make_build(
        tmp_path / "build", verdict=lambda index: ("quality_entropy", "quality_entropy 1 is below 1.5")
    )
    card = render_card(folder, facts)

    assert "configs" not in front_matter(card)
    assert "| quality\\_entropy | 30 | 0 |" in card


@pytest.mark.parametrize(
    ("samples", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**9 - 1, "100M<n<1B")],
)
def test_size_category_follows_the_hub(samples: int, category: str) -> None:
    assert size_category(samples) == category
