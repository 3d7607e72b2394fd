"""The dataset card is read by `datasets`, by the Hub's own parser and by people."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from markdown_it import MarkdownIt

from synrs_data.recipe import Recipe
from synrs_data.report import BuildFacts, render_card
from synrs_data.report.card import card_data, size_category
from synrs_data.report.scores import score_rows, sparkline
from synrs_data.report.templates import plain
from synrs_data.resources import shipped
from tests.report.fake_build import make_build, shuffled, tiny_image

HOSTILE = 'a | b\n---\nlicense: other\n# title <script>alert(1)</script> `x` [a](b) "q" \\'


def front_matter(card: str) -> dict[str, Any]:
    """Return the metadata of a card."""
    _, block, _ = re.split(r"^---$", card, maxsplit=2, flags=re.M)
    found: dict[str, Any] = yaml.safe_load(block)
    return found


def html(markdown: str) -> str:
    """Return what a reader of CommonMark with tables shows."""
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))


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
    assert data["task_ids"] == ["multi-class-image-classification"]
    assert [config["config_name"] for config in data["configs"]] == ["scene-caption"]


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
    shown = html(body)

    assert data["license"] == "cc-by-4.0"
    names = next(item for item in data["dataset_info"]["features"] if item["name"] == "cls")
    assert list(names["dtype"]["class_label"]["names"].values()) == facts.labels.names
    assert "<script" not in shown
    assert len(re.findall("<h1>", shown)) == 1
    assert not re.search("^---", body, flags=re.M)
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


def test_other_licence_has_its_name_and_link(tmp_path: Path) -> None:
    named = {"license": "other", "license_name": "our-terms", "license_link": "https://example.org/terms"}
    folder, facts = make_build(tmp_path / "build", recipe=named)
    card = render_card(folder, facts)

    data = front_matter(card)
    assert {key: data[key] for key in named} == named
    assert "**our-terms** (https://example.org/terms)" in card


def test_card_lists_each_part_with_what_its_licence_binds_to(tmp_path: Path) -> None:
    captions = {"method": "from-file", "path": "/somewhere/captions.csv"}
    folder, facts = make_build(tmp_path / "build", recipe={"captions": captions})
    card = render_card(folder, facts)

    assert "| the generator's weights | eurosat-tiny | apache-2.0 | attribution |" in card
    assert "| the captions | captions.csv | unknown | not known |" in card
    assert "which is the strictest is open" in card

    facts = replace(facts, recipe=facts.recipe.model_copy(update={"licenses": {"captions": "cc-by-sa-4.0"}}))
    card = render_card(folder, facts)
    assert "| the captions | captions.csv | cc-by-sa-4.0 | attribution, share-alike |" in card
    assert "The strictest of them is **cc-by-sa-4.0**" in card


def test_every_number_of_the_metadata_is_counted(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build", splits={"train": 0.5, "test": 0.5})

    splits = front_matter(render_card(folder, facts))["dataset_info"]["splits"]

    for split in splits:
        own = facts.packed.filter(pl.col("split") == split["name"])
        assert split["num_examples"] == own.height
        assert split["num_bytes"] == own["length"].sum()


def test_card_has_no_gap_and_no_empty_section(tmp_path: Path) -> None:
    for number, options in enumerate([{}, {"scored": False}, {"recipe": {"description": "What it is for."}}]):
        folder, facts = make_build(tmp_path / str(number), **options)  # type: ignore[arg-type]
        card = render_card(folder, facts)
        assert "More Information Needed" not in card
        assert not re.search(r"^#+ .*\n+#+ ", card, flags=re.M)
        assert not card.rstrip().endswith("#")
        assert "\n\n\n\n" not in card


def test_scores_have_quantiles_threshold_and_a_histogram_of_known_shape(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build")
    packed = pl.Series("quality_entropy", [float(i) for i in range(facts.packed.height)])
    rejected = pl.Series("quality_entropy", [float(facts.packed.height)] * facts.rejected.height)
    facts = replace(
        facts, packed=facts.packed.with_columns(packed), rejected=facts.rejected.with_columns(rejected)
    )
    card = render_card(folder, facts)

    accepted = next(
        row for row in score_rows(facts) if row.score == "quality_entropy" and row.group == "accepted"
    )
    assert accepted.quantiles == ["0.950", "4.75", "9.50", "14.2", "18.1"]
    assert "| `clip_agreement_p` | probability of the label among all labels, 0 to 1 | at least 0.1 |" in card
    assert f"|  | accepted | {' | '.join(accepted.quantiles)} | {accepted.histogram} |" in card
    candidates = next(row for row in score_rows(facts) if row.score == "quality_entropy")
    assert candidates.histogram[-1] == "█"
    assert set(candidates.histogram[:-1]) == {"▂", "▃"}  # one or two of ten


def test_a_histogram_shows_empty_bins_few_and_many() -> None:
    values = np.array([0.0] * 70 + [15.5] + [16.0] * 9)
    assert sparkline(values, 0.0, 16.0) == "█▁▁▁▁▁▁▁▁▁▁▁▁▁▁▂"
    assert sparkline(np.array([2.0, 2.0]), 2.0, 2.0) == "█"


def with_leak(facts: BuildFacts) -> BuildFacts:
    """Return facts as of a build with the filter `leak`: one packed copy, one rejected, the others far."""
    meaning = {"leak_hash_distance": "bits to the nearest real image", "leak_similarity": "cosine"}
    distances = ([0.0] + [20.0] * (facts.packed.height - 1), [2.0] + [20.0] * (facts.rejected.height - 1))
    tables = [
        table.with_columns(
            pl.Series("leak_hash_distance", values), pl.Series("leak_similarity", [0.5] * table.height)
        )
        for table, values in zip((facts.packed, facts.rejected), distances, strict=True)
    ]
    rules = ["leak_hash_distance", *facts.rejected["rule"].to_list()[1:]]
    spec = {"method": "leak", "real": "/data/private/eurosat-test/"}
    return replace(
        facts,
        recipe=Recipe.model_validate(facts.recipe.model_dump() | {"filters": [spec]}),
        packed=tables[0],
        rejected=tables[1].with_columns(pl.Series("rule", rules)),
        columns=facts.columns | meaning,
        compared={"leak": 3600},
    )


def test_card_tells_what_copies_were_looked_for_and_found(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build")
    assert "No filter looked for copies of real images" in render_card(folder, facts)

    facts = with_leak(facts)
    card = render_card(folder, facts)

    assert "No filter looked for copies" not in card
    assert "the real images of “eurosat-test” (3,600 images)" in card
    assert "rejected as too near a real image | 1 of 30 |" in card
    assert "| Candidates with the very hash of a real image | 1 |" in card
    assert "| of them packed all the same | 1 |" in card
    assert "| bits of the 64-bit hash that differ | 10.1 | 20.0 | 20.0 | 20.0 | 20.0 |" in card
    assert "| cosine of features | 0.500 | 0.500 | 0.500 | 0.500 | 0.500 |" in card
    assert "/data/private" not in card


def test_the_recipe_on_the_card_is_the_resolved_one_and_ends_its_own_fence(tmp_path: Path) -> None:
    text = "before\n```\n# no heading\n<!-- end:load -->\n"
    folder, facts = make_build(tmp_path / "build", recipe={"description": text})
    card = render_card(folder, facts)

    block = re.search(r"^(`{4,})yaml\n(.*?)^\1$", card, flags=re.M | re.S)
    assert block is not None
    assert yaml.safe_load(block[2]) == facts.recipe.model_dump(mode="json")
    assert html(card.split("\n---\n", 1)[1]).count("<h1>") == 1


def test_only_what_this_build_used_is_cited(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "build")
    keys = re.findall(r"^@\w+\{(.*?),", render_card(folder, facts), flags=re.M)

    assert keys[:2] == ["synrs_data", "aizman2019webdataset"]
    assert {"rombach2022high", "helber2019eurosat", "he2023synthetic"} <= set(keys)
    assert not {"wang2021realesrgan", "khanna2024diffusionsat", "zhang2023adding"} & set(keys)

    spec = facts.recipe.generator.model_copy(update={"model": "BiliSakura/DiffusionSat-Single-512"})
    generator = facts.generator | {"model": "BiliSakura/DiffusionSat-Single-512"}
    facts = replace(facts, generator=generator, recipe=facts.recipe.model_copy(update={"generator": spec}))
    assert "@inproceedings{khanna2024diffusionsat," in render_card(folder, facts)


def test_every_citation_is_well_formed_and_can_be_used() -> None:
    table = yaml.safe_load(shipped("cards", "citations.yaml").read_text(encoding="utf-8"))
    kinds = [
        "always",
        "generator",
        "model",
        "family",
        "scheduler",
        "captions",
        "backend",
        "templates",
        "dataset",
        "labels",
        "filter",
        "encoder",
    ]
    kinds += ["degradation", "preset", "sources"]
    keys = []
    for entry in table:
        found = re.fullmatch(r"@[a-z]+\{([\w-]+),\n(  [a-z]+ = \{.*\},?\n)+\}\n", entry["bibtex"])
        assert found, entry["bibtex"]
        assert entry["bibtex"].count("{") == entry["bibtex"].count("}")
        keys.append(found[1])
        assert all(use.partition(":")[0] in kinds for use in entry["uses"])
    assert len(keys) == len(set(keys))


def test_large_label_sets_are_folded_away(tmp_path: Path) -> None:
    names = [f"label {number}" for number in range(40)]
    folder, facts = make_build(tmp_path / "build", labels=names, candidates=40)
    shown = html(render_card(folder, facts).split("\n---\n", 1)[1])

    assert "<summary>All 40 labels</summary>" in shown
    inside = shown[shown.index("<summary>All 40 labels") :]
    assert "<td>label 39</td>" in inside[: inside.index("</details>")]
    assert "40 labels with 0 to 1 samples, 1 in the middle." in shown
