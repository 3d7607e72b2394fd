"""`rebuild`: a packed shard is made again from the published recipe, with the same bytes or a reason why not."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synrs_data.build.run import build
from synrs_data.errors import BuildFolderError, UserError, VerificationError
from synrs_data.hub.compare import compare_shards
from synrs_data.hub.origin import open_origin
from synrs_data.hub.rebuild import Rebuilt, rebuild
from synrs_data.recipe_file import load_recipe
from synrs_data.shards import TarWriter, members, sample_bytes
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import manifest_text, read_manifest, verify
from tests.build.painted import final_hashes, painted
from tests.hub import reading
from tests.hub.client import ROOT, Client, ClientError
from tests.hub.disks import small_disk
from tests.hub.reading import ADDRESS, PATH, put
from tests.hub.server import Hub
from tests.real_folder import real_folder

SHARD = "data/train-00001.tar"

Fields = dict[str, bytes]
Edit = Callable[[Fields], Fields]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reading.scenes(tmp_path_factory.mktemp("scenes") / "out")


def again(location: str | Path, shard: int = 1, **options: Any) -> Rebuilt:
    return rebuild(open_origin(str(location)), shard, device="cpu", workers=1, **options)


def edited(folder: Path, target: Path, edit: Edit, *, other: bool = False) -> Path:
    """Return a copy of a build whose SHARD has other samples, with a manifest that promises them.

    Args:
        folder: The build.
        target: The copy.
        edit: Changes the fields of a sample.
        other: Whether the manifest says that another version made it.
    """
    shutil.copytree(folder, target)
    path = target / SHARD
    samples = [(key, edit(fields)) for key, fields in members(path)]
    with path.open("wb") as file:
        writer = TarWriter(file)
        for key, fields in samples:
            writer.write(sample_bytes(key, fields))
        writer.close()
    manifest = read_manifest(BuildFolder(target))
    entry = {
        **manifest["files"][SHARD],
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    manifest["files"] = {**manifest["files"], SHARD: entry}
    if other:
        manifest["environments"] = [{**manifest["environments"][0], "torch": "0.1"}]
    (target / "manifest.json").write_text(manifest_text(manifest))
    return target


def shifted(fields: Fields, by: int) -> Fields:
    """Return a sample whose image is brighter."""
    with Image.open(io.BytesIO(fields["jpg"])) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=np.int16) + by
    out = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=100, subsampling=0)
    return {**fields, "jpg": out.getvalue()}


def recorded(fields: Fields, **values: Any) -> Fields:
    return {**fields, "json": json.dumps(json.loads(fields["json"]) | values).encode()}


def raised(fields: Fields) -> Fields:
    """Return a sample with other scores."""
    scores = json.loads(fields["json"])["scores"]
    return recorded(fields, scores={name: value + 1e6 for name, value in scores.items()})


def test_every_shard_of_every_split_has_the_same_bytes_again(scenes: Path) -> None:
    before = final_hashes(scenes)
    splits = read_manifest(BuildFolder(scenes))["splits"]
    for split, counts in splits.items():
        for shard in range(counts["shards"]):
            result = again(scenes, shard, split=split)
            assert (result.same, result.environments, result.comparison) == (True, [], None)
            assert result.sha256 == before[f"data/{split}-{shard:05d}.tar"]
    assert final_hashes(scenes) == before


def test_only_the_candidate_shards_behind_it_are_made_and_a_build_goes_on_with_them(
    scenes: Path, tmp_path: Path
) -> None:
    keys = [int(key) for key, _ in members(scenes / SHARD)]
    out = tmp_path / "kept"
    result = again(scenes, out=out)
    assert result.candidates == sorted({key // 8 for key in keys})
    assert 0 < len(result.candidates) < 5
    made = sorted(int(path.name[:5]) for path in (out / "candidates").glob("*.done.json"))
    assert made == result.candidates
    build(painted(), out, engine="inline")
    assert final_hashes(out) == final_hashes(scenes)


def test_a_kept_folder_is_gone_on_with_and_what_is_damaged_in_it_is_made_again(
    scenes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "kept"
    first, *rest = again(scenes, out=out).candidates
    tar = BuildFolder(out).candidate_tar(first)
    times = {shard: BuildFolder(out).done(shard).stat().st_mtime_ns for shard in (first, *rest)}
    content = bytearray(tar.read_bytes())
    place = content.index(b"JFIF")
    content[place] ^= 1
    tar.write_bytes(content)
    damaged = {shard: BuildFolder(out).done(shard).stat().st_mtime_ns for shard in (first, *rest)}
    assert again(scenes, out=out).same
    after = {shard: BuildFolder(out).done(shard).stat().st_mtime_ns for shard in (first, *rest)}
    assert {shard for shard in after if after[shard] != damaged[shard]} <= {first}
    assert {shard: after[shard] for shard in rest} == {shard: times[shard] for shard in rest}


def test_a_published_shard_is_made_again_and_only_what_it_needs_is_fetched(
    hub: Hub, hub_client: Client, scenes: Path
) -> None:
    hub.create(PATH)
    put(hub, {"scene-caption": scenes})
    result = hub_client(reading.rebuild, f"{ADDRESS}@main/scene-caption", 0, "test")
    assert (result.same, result.name) == (True, "data/test-00000.tar")
    asked = {seen.path.partition("/scene-caption/")[2] for seen in hub.requests("GET", "*/resolve/*")}
    assert asked == {
        "manifest.json",
        "recipe.yaml",
        "build.json",
        "captions.jsonl",
        "metadata/test-00000.parquet",
        "data/test-00000.tar",
    }


def test_the_only_config_needs_no_name_and_several_are_named(
    hub: Hub, hub_client: Client, scenes: Path
) -> None:
    hub.create(PATH)
    put(hub, {"scene-caption": scenes})
    assert hub_client(reading.rebuild, ADDRESS, 0).same
    put(hub, {"scene-caption": scenes, "other": scenes})
    with pytest.raises(ClientError, match="holds 2 builds: other, scene-caption"):
        hub_client(reading.rebuild, ADDRESS, 0)
    with pytest.raises(ClientError, match="there is no config 'sr'"):
        hub_client(reading.rebuild, f"{ADDRESS}/sr", 0)


def test_a_missing_or_changed_file_is_one_message(
    hub: Hub, hub_client: Client, scenes: Path, tmp_path: Path
) -> None:
    hub.create(PATH)
    put(hub, {"scene-caption": scenes}, **{f"scene-caption/{SHARD}": None})
    with pytest.raises(ClientError, match=f"{SHARD}: is missing") as caught:
        hub_client(reading.rebuild, ADDRESS, 1)
    assert "VerificationError" in caught.value.kinds
    for name in ("captions.jsonl", "build.json", "recipe.yaml", "metadata/train-00001.parquet", SHARD):
        copy = shutil.copytree(scenes, tmp_path / name.replace("/", "-"))
        with (copy / name).open("ab") as file:
            file.write(b"\n")
        with pytest.raises(VerificationError, match="has other contents than its manifest says"):
            again(copy)
        (copy / name).unlink()
        with pytest.raises(VerificationError, match="is missing"):
            again(copy)


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """Return a build of pairs of real images, with a label set, an evaluation and captions of its own."""
    images = real_folder(tmp_path / "maker" / "images", side=64)
    evaluation = real_folder(tmp_path / "maker" / "evaluation", labels=["Lake"], side=32)
    for path in evaluation.rglob("*.png"):
        with Image.open(path) as image:
            pixels = np.asarray(image)
        Image.fromarray(pixels[::-1, ::-1] ^ np.uint8(255)).save(path)
    captions = tmp_path / "maker" / "captions.jsonl"
    captions.write_text('{"caption": "a place", "label": "town"}\n')
    labels = tmp_path / "maker" / "labels.yaml"
    labels.write_text("name: one\ntitle: One\nsource: test\nlabels:\n- {name: town, phrase: town}\n")
    recipe = painted(
        name="real",
        task="lr-hr",
        labels=str(labels),
        captions={"method": "from-file", "path": str(captions)},
        image={"format": "png"},
        generator={"method": "real-images", "images": str(images), "evaluation": str(evaluation)},
        degradation={"method": "area", "scale": 2},
        filters=[],
        select={"samples_per_shard": 4},
        candidates=8,
        shard_size=4,
    )
    build(recipe, tmp_path / "out", engine="inline")
    return tmp_path / "out"


def test_sources_of_another_machine_are_said_by_set_and_their_contents_decide(
    hub: Hub, hub_client: Client, real: Path, tmp_path: Path
) -> None:
    hub.create(PATH)
    put(hub, {"lr-hr": real})
    assert str(tmp_path).encode() not in hub.repo(PATH).read("lr-hr/recipe.yaml", "main")
    with pytest.raises(ClientError, match="--set labels=PATH"):
        hub_client(reading.rebuild, ADDRESS, 1)
    labels = f"labels={tmp_path / 'maker' / 'labels.yaml'}"
    with pytest.raises(ClientError, match=r"`--set generator\.images=PATH`"):
        hub_client(reading.rebuild, ADDRESS, 1, None, [labels])
    # Neither the captions' file nor the evaluation is asked for.
    images = shutil.copytree(tmp_path / "maker" / "images", tmp_path / "mine" / "images")
    settings = [labels, f"generator.images={images}"]
    assert hub_client(reading.rebuild, ADDRESS, 1, None, settings).same
    next(images.rglob("*.png")).unlink()
    with pytest.raises(ClientError, match="the contents of generator are not those"):
        hub_client(reading.rebuild, ADDRESS, 1, None, settings)


def test_a_path_in_a_setting_starts_from_the_working_folder(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    for name, content in reading.published(real, "copy").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path / "maker")
    settings = ["labels=labels.yaml", "generator.images=../maker/images"]
    assert again(copy, overrides=settings).same
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"there is no such file or folder") as caught:
        again(copy, overrides=["labels=maker/labels.yaml", "generator.images=images"])
    assert "--set generator.images=PATH" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("seed=7", r"is another recipe so: seed \(was 0, is 7\)"),
        ("generator.batch_size=2", r"generator\.batch_size \(was 4, is 2\)"),
        ("candidates=39", r"is another recipe so: candidates \(was 40, is 39\)"),
        ("select.top_k=3", "chooses other samples"),
        ("nonsense=1", "unknown key 'nonsense'"),
        ("labels=resisc45", "the contents of labels are not those|is another recipe|fingerprint"),
    ],
)
def test_a_setting_that_makes_another_recipe_is_refused(scenes: Path, text: str, what: str) -> None:
    with pytest.raises(UserError, match=what):
        again(scenes, overrides=[text])


@pytest.mark.parametrize(
    ("shard", "split", "what"),
    [
        (9, None, "the split 'train' has no shard 9"),
        (0, "validation", "there is no split 'validation'"),
    ],
)
def test_a_shard_that_is_not_there_is_one_message(
    scenes: Path, shard: int, split: str | None, what: str
) -> None:
    with pytest.raises(UserError, match=what):
        again(scenes, shard, split=split)


def test_a_finished_or_foreign_folder_is_not_written_to(scenes: Path, tmp_path: Path) -> None:
    before = final_hashes(scenes)
    with pytest.raises(BuildFolderError, match="holds a finished build"):
        again(scenes, out=scenes)
    assert final_hashes(scenes) == before
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/a.txt").write_text("a")
    with pytest.raises(BuildFolderError, match="holds other things"):
        again(scenes, out=tmp_path / "letters")
    build(painted(seed=3), tmp_path / "other", engine="inline", shards=(0, 1))
    with pytest.raises(BuildFolderError, match="holds a build of another recipe"):
        again(scenes, out=tmp_path / "other")


def test_samples_that_differ_by_the_same_versions_are_named(scenes: Path, tmp_path: Path) -> None:
    keys = [key for key, _ in members(scenes / SHARD)]

    def edit(fields: Fields) -> Fields:
        key = json.loads(fields["json"])["key"]
        if key == keys[0]:
            return shifted(fields, 3)
        if key == keys[2]:
            return recorded(fields, prompt="another")
        return fields

    copy = edited(scenes, tmp_path / "copy", edit)
    assert list(verify(BuildFolder(copy))) == []
    result = again(copy)
    assert result.comparison is not None
    first, second = result.comparison.faults
    assert first.startswith(f"sample {keys[0]}: jpg differs by up to ")
    assert second.startswith(f"sample {keys[2]}: 'prompt' is ")
    assert (result.same, result.environments) == (False, [])


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (lambda fields: shifted(fields, 1), ""),
        (lambda fields: shifted(fields, 60), "jpg differs by "),
        (lambda fields: recorded(fields, software="synrs-data 0.0"), ""),
        (raised, "score '"),
        (lambda fields: recorded(fields, seed=-1), "'seed' is "),
        (lambda fields: {**fields, "txt": b"x"}, "txt differs"),
        (lambda fields: {**fields, "jpg": b"x"}, "cannot be read"),
    ],
    ids=["a level", "sixty levels", "software", "score", "seed", "caption", "damaged"],
)
def test_other_versions_are_compared_within_the_tolerance(
    scenes: Path, tmp_path: Path, edit: Edit, fault: str
) -> None:
    result = again(edited(scenes, tmp_path / "copy", edit, other=True))
    assert any(line.startswith("torch: 0.1 there, ") for line in result.environments)
    assert result.comparison is not None
    assert result.comparison.samples == len(list(members(scenes / SHARD)))
    assert len(result.comparison.faults) == (result.comparison.samples if fault else 0)
    assert all(fault in line for line in result.comparison.faults)


def test_the_differences_of_pixels_are_measured(scenes: Path, tmp_path: Path) -> None:
    copy = edited(scenes, tmp_path / "copy", lambda fields: shifted(fields, 2))
    differences = []
    for (_, old), (_, new) in zip(members(scenes / SHARD), members(copy / SHARD), strict=True):
        with Image.open(io.BytesIO(old["jpg"])) as first, Image.open(io.BytesIO(new["jpg"])) as second:
            differences.append(np.abs(np.asarray(first, dtype=int) - np.asarray(second, dtype=int)))
    found = compare_shards(scenes / SHARD, copy / SHARD, exact=False)
    assert found.pixel_max == max(int(item.max()) for item in differences)
    assert found.pixel_mean == pytest.approx(np.concatenate([item.ravel() for item in differences]).mean())


def run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "synrs_data", "rebuild", *arguments],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_the_embedded_model_gives_the_same_bytes_from_the_published_recipe_alone(
    hub: Hub, tmp_path: Path
) -> None:
    recipe = load_recipe(
        "quickstart",
        [
            "candidates=24",
            "shard_size=12",
            "generator.steps=4",
            "generator.batch_size=6",
            "filters=[{method: quality}, {method: near-duplicate}]",
            "select={splits: {train: 1.0}, samples_per_shard: 30}",
        ],
    )
    build(recipe, tmp_path / "out", engine="inline", device="cpu")
    hub.create(PATH)
    put(hub, {"scene-caption": tmp_path / "out"})
    done = run(hub.env(tmp_path / "home"), ADDRESS, "--shard", "0", "--device", "cpu", "--workers", "1")
    assert done.returncode == 0, done.stderr
    sha256 = hashlib.sha256((tmp_path / "out/data/train-00000.tar").read_bytes()).hexdigest()
    assert done.stdout.splitlines() == [
        "data/train-00000.tar: made again from the candidate shards 0, 1",
        f"the same bytes: {sha256}",
    ]


def test_a_difference_exits_with_3_and_other_versions_with_0(hub: Hub, scenes: Path, tmp_path: Path) -> None:
    env = hub.env(tmp_path / "home") | {"PYTHONPATH": str(ROOT / "tests/plugin")}
    same = edited(scenes, tmp_path / "same", lambda fields: shifted(fields, 1))
    done = run(env, str(same), "--shard", "1")
    assert done.returncode == 3
    assert "jpg differs by up to" in done.stdout
    assert "by the same versions and class of device" in done.stderr
    other = edited(scenes, tmp_path / "other", lambda fields: shifted(fields, 1), other=True)
    done = run(env, str(other), "--shard", "1")
    assert done.returncode == 0
    assert "torch: 0.1 there, " in done.stdout
    assert "allowed in an image: 2 and 32" in done.stdout
    assert "samples are the same within the tolerance" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_recipe_error_exits_with_2(hub: Hub, scenes: Path, tmp_path: Path) -> None:
    env = hub.env(tmp_path / "home") | {"PYTHONPATH": str(ROOT / "tests/plugin")}
    done = run(env, str(scenes), "--shard", "0", "--set", "seed=7")
    assert (done.returncode, done.stdout) == (2, "")
    assert "seed (was 0, is 7)" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_no_build_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"there is no manifest\.json"):
        again(tmp_path)


@pytest.mark.parametrize(("kilobytes", "workers"), [(8, 1), (64, 1), (200, 1), (200, 2)])
def test_a_disk_that_fills_is_one_message_and_leaves_nothing(
    hub: Hub, scenes: Path, tmp_path: Path, kilobytes: int, workers: int
) -> None:
    # Fetching fills the smaller ones, making candidate shards the larger.
    hub.create(PATH)
    put(hub, {"scene-caption": scenes})
    env = hub.env(tmp_path / "home") | {"PYTHONPATH": str(ROOT / "tests/plugin")}
    with small_disk(tmp_path / "disk", kilobytes) as disk:
        done = run(env | {"TMPDIR": str(disk)}, ADDRESS, "--shard", "1", "--workers", str(workers))
        assert (done.returncode, done.stdout) == (2, "")
        assert [line for line in done.stderr.splitlines() if "images" not in line] == [
            f"error: {disk}: the disk is full",
            "  → free some space, or set TMPDIR to a folder on another disk; "
            "with `--out DIR` what is generated lies there and is kept",
        ]
        assert list(disk.iterdir()) == []


def test_a_full_folder_of_ones_own_is_named_and_gone_on_with(scenes: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests/plugin")}
    with small_disk(tmp_path / "disk", 150) as disk:
        done = run(env, str(scenes), "--shard", "1", "--workers", "1", "--out", str(disk / "out"))
        assert (done.returncode, done.stdout) == (2, "")
        assert f"error: {disk}/out/candidates/" in done.stderr
        assert "the disk is full" in done.stderr
        assert "what is finished is kept" in done.stderr
        assert "Traceback" not in done.stderr
        shutil.copytree(disk / "out", tmp_path / "moved")
    kept = {path.name for path in (tmp_path / "moved/candidates").glob("*.done.json")}
    assert kept
    assert again(scenes, out=tmp_path / "moved").same


def test_no_room_for_a_temporary_folder_is_one_message(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(BuildFolderError, match="no temporary folder can be made: No space left") as caught:
        again(scenes)
    assert "TMPDIR" in caught.value.fix
