"""Folders of labelled real images: both layouts, and a choice that depends on contents and seed alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from synrs_data.errors import UserError
from synrs_data.real_images import LabelledFolder
from tests.real_folder import real_folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return real_folder(tmp_path / "real", count=8)


def _digests(root: Path, label: str = "Forest", shots: int | None = 4, seed: int = 0) -> list[str]:
    return [image.sha256 for image in LabelledFolder(root).choose(label, shots, seed)]


def test_fewer_shots_are_some_of_more(root: Path) -> None:
    assert _digests(root, shots=2) == _digests(root, shots=8)[:2]
    assert len(set(_digests(root, shots=None))) == 8


def test_another_seed_chooses_others(root: Path) -> None:
    assert len({tuple(_digests(root, seed=seed)) for seed in range(5)}) > 1


def test_names_do_not_count_and_contents_do(root: Path, tmp_path: Path) -> None:
    before = _digests(root)
    flat = tmp_path / "flat"
    flat.mkdir()
    for label in ("Forest", "River"):
        for number, path in enumerate(sorted((root / label).iterdir(), reverse=True)):
            shutil.copyfile(path, flat / f"{label}_{number}.png")
    assert _digests(flat) == before
    assert LabelledFolder(flat).digest() != LabelledFolder(root).digest()


def test_a_copy_counts_once(root: Path) -> None:
    shutil.copyfile(root / "Forest/0.png", root / "Forest/copy.png")
    assert len(_digests(root, shots=None)) == 8


def test_a_label_that_begins_like_another_is_another(tmp_path: Path) -> None:
    root = real_folder(tmp_path / "real", labels=("Crop", "CropLand"), count=2)
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sorted(root.rglob("*.png")):
        shutil.copyfile(path, flat / f"{path.parent.name}{path.name}")
    assert len(_digests(flat, "Crop", None)) == 2


def test_a_changed_file_changes_the_digest(root: Path) -> None:
    before = LabelledFolder(root).digest()
    shutil.copyfile(root / "River/0.png", root / "Forest/0.png")
    assert LabelledFolder(root).digest() != before


@pytest.mark.parametrize(("label", "shots"), [("Forest", 9), ("Lake", 1), ("Lake", None)])
def test_too_few_images_of_a_label_are_named(root: Path, label: str, shots: int | None) -> None:
    with pytest.raises(UserError, match=f"different images of the label '{label}'") as caught:
        LabelledFolder(root).choose(label, shots, 0)
    assert caught.value.where == str(root)


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_images_says_so(tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "real").mkdir()
        (tmp_path / "real/notes.txt").write_text("x")
    with pytest.raises(UserError, match="there are no images"):
        LabelledFolder(tmp_path / "real").digest()


def test_a_file_that_changes_after_it_was_chosen_is_refused(root: Path) -> None:
    image = LabelledFolder(root).choose("Forest", 1, 0)[0]
    image.path.write_bytes(b"another")
    with pytest.raises(UserError, match="has changed during the build"):
        image.read()
