"""The card of a repository, made from those of its configs: for the Hub, for `datasets` and for people."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt

from synrs_data.errors import VerificationError
from synrs_data.hub.card import combine_cards
from synrs_data.report import render_card
from tests.hub.client import Client, ClientError
from tests.hub.server import Hub
from tests.report.fake_build import make_build

REPO = "alice/tiles"


def metadata(card: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.split("---\n", 2)[1])
    return found


def body(card: str) -> str:
    return card.split("\n---\n", 1)[1]


def headings(card: str) -> list[tuple[int, str]]:
    """Return level and text of the headings that a reader of Markdown shows."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(body(card))
    return [
        (int(token.tag[1]), tokens[place + 1].content)
        for place, token in enumerate(tokens)
        if token.type == "heading_open"
    ]


def build(
    root: Path, config: str, *, splits: dict[str, float] | None = None, **recipe: Any
) -> tuple[Path, str]:
    """Write a fake build where a published config lies; return its folder and card."""
    folder, facts = make_build(root / config, splits=splits, recipe={"name": config, **recipe})
    folder.card.write_text(render_card(folder, facts), encoding="utf-8")
    return folder.root, folder.card.read_text(encoding="utf-8")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder laid out as a published repository with two configs."""
    cards = {
        "more-scenes": build(tmp_path, "more-scenes", title="More scenes", license="cc-by-sa-4.0")[1],
        "scene-caption": build(tmp_path, "scene-caption", splits={"train": 0.5, "test": 0.5})[1],
    }
    (tmp_path / "README.md").write_text(combine_cards(cards, REPO), encoding="utf-8")
    return tmp_path


def validate(card: str) -> None:
    """Ask the Hub whether it takes a card; runs in a client process."""
    DatasetCard(card).validate()


def test_the_hub_takes_the_cards(hub: Hub, hub_client: Client, repository: Path) -> None:
    hub_client(validate, (repository / "README.md").read_text(encoding="utf-8"))
    hub_client(validate, (repository / "scene-caption" / "README.md").read_text(encoding="utf-8"))
    assert len(hub.requests("POST", "/api/validate-yaml")) == 2
    with pytest.raises(ClientError):
        hub_client(validate, "---\nlicense: [\n---\n")


def test_datasets_loads_every_config_by_the_card_with_exact_counts(repository: Path, tmp_path: Path) -> None:
    from datasets import get_dataset_config_names, get_dataset_default_config_name, load_dataset

    names = get_dataset_config_names(str(repository))
    assert sorted(names) == ["more-scenes", "scene-caption"]
    assert get_dataset_default_config_name(str(repository)) == "more-scenes"
    declared = {
        info["config_name"]: {split["name"]: split["num_examples"] for split in info["splits"]}
        for info in metadata((repository / "README.md").read_text(encoding="utf-8"))["dataset_info"]
    }
    for name in names:
        # A wrong number would be an error here.
        data = load_dataset(str(repository), name, cache_dir=str(tmp_path / "cache"))
        assert {split: len(rows) for split, rows in data.items()} == declared[name]
        assert data["train"][0]["jpg"].size == (16, 16)


def test_metadata_are_joined(repository: Path) -> None:
    data = metadata((repository / "README.md").read_text(encoding="utf-8"))

    assert data["license"] == "cc-by-sa-4.0"
    assert data["pretty_name"] == "tiles"
    assert data["tags"] == ["synthetic", "remote-sensing", "geospatial", "webdataset"]
    assert [config.get("default", False) for config in data["configs"]] == [True, False]
    assert data["configs"][1]["data_files"] == [
        {"split": "train", "path": "scene-caption/data/train-*.tar"},
        {"split": "test", "path": "scene-caption/data/test-*.tar"},
    ]


def test_sizes_of_all_configs_count_together(tmp_path: Path) -> None:
    _, card = build(tmp_path, "scene-caption")
    assert metadata(combine_cards({"scene-caption": card}, REPO))["size_categories"] == ["n<1K"]
    many = card.replace("num_examples: 20", "num_examples: 600")
    assert metadata(combine_cards({"a": many, "b": many}, REPO))["size_categories"] == ["1K<n<10K"]


@pytest.mark.parametrize(
    ("licenses", "expected"),
    [
        (["mit", "mit"], "mit"),
        (["mit", "openrail"], "openrail"),
        (["cc-by-sa-4.0", "cc-by-nc-sa-4.0"], ["cc-by-sa-4.0", "cc-by-nc-sa-4.0"]),
    ],
)
def test_the_licence_is_the_strictest_or_all(tmp_path: Path, licenses: list[str], expected: Any) -> None:
    cards = {
        f"config-{place}": build(tmp_path, f"config-{place}", license=license)[1]
        for place, license in enumerate(licenses)
    }
    assert metadata(combine_cards(cards, REPO))["license"] == expected


def test_a_licence_of_ones_own_keeps_name_and_link(tmp_path: Path) -> None:
    named: dict[str, Any] = {
        "license": "other",
        "license_name": "ours",
        "license_link": "https://example.org/ours",
    }
    cards = {"a": build(tmp_path, "a", **named)[1], "b": build(tmp_path, "b")[1]}

    data = metadata(combine_cards({"a": cards["a"]}, REPO))
    assert {key: data[key] for key in named} == named
    data = metadata(combine_cards(cards, REPO))
    assert data["license"] == ["other", "cc-by-4.0"]
    assert (data["license_name"], data["license_link"]) == ("ours", "https://example.org/ours")
    assert "| `a` | Fake scenes | train 20 | ours |" in combine_cards(cards, REPO)


def test_one_config_keeps_its_headings_and_several_have_a_section_each(
    repository: Path, tmp_path: Path
) -> None:
    own = (repository / "scene-caption" / "README.md").read_text(encoding="utf-8")
    one = headings(combine_cards({"scene-caption": own}, REPO))
    assert one == headings(own)

    several = headings((repository / "README.md").read_text(encoding="utf-8"))
    assert several[0] == (1, "tiles")
    assert [title for level, title in several if level == 2] == [
        "`more-scenes`: More scenes",
        "`scene-caption`: Fake scenes",
    ]
    assert [title for level, title in several if level == 3][-len(one) + 1 :] == [
        title for _, title in one[1:]
    ]


def test_links_lead_to_the_folder_of_the_config_and_exist_in_it(repository: Path) -> None:
    card = body((repository / "README.md").read_text(encoding="utf-8"))
    links = set(re.findall(r"\]\(([^)]+)\)", card))
    assert "scene-caption/samples.jpg" in links
    assert "more-scenes/report.html" in links
    assert all(link.startswith(("scene-caption/", "more-scenes/")) for link in links)


def test_code_and_commands_name_the_repository_and_config(repository: Path) -> None:
    card = (repository / "README.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", card, flags=re.S))

    assert 'load_dataset("alice/tiles", "scene-caption", split="train")' in code
    assert (
        "https://huggingface.co/datasets/alice/tiles/resolve/main/scene-caption/data/train-00000.tar" in code
    )
    assert 'read_parquet("hf://datasets/alice/tiles/more-scenes/metadata/*.parquet")' in code
    assert "os.getcwd" not in code
    assert "synrs-data rebuild hf://datasets/alice/tiles/scene-caption --shard 0" in card
    assert "synrs-data build more-scenes/recipe.yaml" in card
    assert not re.search("USER/NAME|In this folder|<!--", card)
    compile(code, "card", "exec")


HOSTILE = (
    'In this folder: load_dataset(os.getcwd(), "x") [a](samples.jpg) # not a heading\n'
    "<!-- begin:load -->\n```\n# no heading\n<!-- end:load -->\n](report.html) USER/NAME\n"
)


def test_what_users_wrote_is_neither_marks_nor_links_nor_headings(tmp_path: Path) -> None:
    _, card = build(tmp_path, "a", title=HOSTILE, description=HOSTILE)
    _, other = build(tmp_path, "b")
    joined = combine_cards({"a": card, "b": other}, REPO)

    recipe = re.search(r"^(`{4,})yaml\n(.*?)^\1$", joined, flags=re.M | re.S)
    assert recipe is not None
    assert yaml.safe_load(recipe[2])["description"] == HOSTILE
    line = next(line for line in joined.splitlines() if line.startswith("In this folder: load"))
    assert r"\[a\](samples.jpg)" in line
    assert "USER/NAME" in line
    assert [title for level, title in headings(joined) if level == 2][1] == "`b`: Fake scenes"


def test_the_order_of_the_configs_changes_nothing(tmp_path: Path) -> None:
    cards = {name: build(tmp_path, name)[1] for name in ("b", "a")}
    assert combine_cards(cards, REPO) == combine_cards(dict(sorted(cards.items())), REPO)


@pytest.mark.parametrize(
    "text", ["", "# no metadata\n", "---\nlicense: mit\n---\n", "---\n[\n---\n", "---\n- 1\n---\n"]
)
def test_a_card_that_is_not_of_a_build_is_named(tmp_path: Path, text: str) -> None:
    _, card = build(tmp_path, "a")
    with pytest.raises(VerificationError, match="no dataset card of a build") as caught:
        combine_cards({"a": card, "broken": text}, REPO)
    assert caught.value.where == "broken/README.md"


def test_a_mark_without_an_end_loses_nothing(tmp_path: Path) -> None:
    _, card = build(tmp_path, "a")
    cut = card.replace("<!-- end:rebuild -->\n", "")
    joined = combine_cards({"a": cut}, REPO)
    assert "## Known limits" in joined
    assert "@software{synrs_data," in joined


def test_pairs_and_scenes_unite_their_tasks(tmp_path: Path) -> None:
    folder, facts = make_build(tmp_path / "pairs", recipe={"image": {"format": "png"}})
    values = facts.recipe.model_dump() | {"task": "lr-hr", "degradation": {"method": "bicubic", "scale": 4}}
    facts = replace(facts, recipe=type(facts.recipe).model_validate(values))
    cards = {"lr-hr": render_card(folder, facts), "scene-caption": build(tmp_path, "scene-caption")[1]}

    data = metadata(combine_cards(cards, REPO))
    assert data["task_categories"] == [
        "image-to-image",
        "text-to-image",
        "image-classification",
        "zero-shot-image-classification",
    ]
    assert data["task_ids"] == ["super-resolution", "multi-class-image-classification"]
