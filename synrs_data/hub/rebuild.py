"""Make one packed shard of a finished build again from its recipe, and compare it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from synrs_data import files
from synrs_data.build.candidates import DoneShard, done_shards, forget
from synrs_data.build.engines import ENGINES, Job
from synrs_data.build.engines.base import TRIES
from synrs_data.build.environment import choose_devices
from synrs_data.build.pack import pack_shard
from synrs_data.build.plan import BuildPlan
from synrs_data.build.state import read_state, refuse_foreign
from synrs_data.errors import (
    BuildFolderError,
    CorruptShardError,
    QuarantineError,
    UserError,
    VerificationError,
)
from synrs_data.events import EventLog, Listener
from synrs_data.hub.compare import Comparison, compare_shards
from synrs_data.hub.origin import Origin
from synrs_data.hub.published_plan import published_plan
from synrs_data.shards.folder import BuildFolder
from synrs_data.shards.manifest import table_of


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A shard that was made again.

    Attributes:
        name: Its path in the build.
        candidates: The candidate shards that were made for it.
        sha256: Of the shard as it was published.
        same: Whether it has the same bytes now.
        environments: In what the machine differs from those that made it, one sentence each; empty if in nothing.
        comparison: Sample by sample; None if the bytes are the same.
    """

    name: str
    candidates: list[int]
    sha256: str
    same: bool
    environments: list[str]
    comparison: Comparison | None


def rebuild(
    origin: Origin,
    shard: int,
    *,
    split: str | None = None,
    overrides: Sequence[str] = (),
    out: Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    listeners: Sequence[Listener] = (),
) -> Rebuilt:
    """Generate the candidate shards behind one packed shard, pack the same samples, and compare.

    Args:
        origin: The finished build.
        shard: Number of the packed shard in its split.
        split: The split; None for the first.
        overrides: Texts such as `generator.images=PATH`: where contents lie that the recipe names.
        out: Folder that keeps what is generated, and is gone on with; None for a temporary one.
        device: "auto", "cpu" or "cuda".
        workers: Worker processes; None for one a GPU, or one a CPU core.
        listeners: Called with each event.

    Raises:
        UserError: There is no such shard, or a source is missing or has other contents.
        VerificationError: A file of the build is not as its manifest says.
        QuarantineError: A candidate shard failed in every try.
        BuildFolderError: The disk is full, or `out` is not a folder to write to.
    """
    name = _shard_name(origin, shard, split)
    with _temporary_folder() as temporary:
        wanted_files = ["recipe.yaml", "build.json", "captions.jsonl", table_of(name), name]
        published = origin.gather(wanted_files, temporary / "published")
        plan = published_plan(origin, published, overrides)
        rows = _rows(published.root / table_of(name), plan, name)
        wanted = sorted(set(rows["shard"].to_list()))
        folder = BuildFolder(out or temporary / "rebuilt")
        refuse_foreign(folder, "auto")
        if folder.manifest.is_file():
            raise BuildFolderError(
                "holds a finished build, of which a shard would be overwritten",
                where=str(folder.root),
                fix="choose another `--out`",
            )
        files.make_folder(folder.candidates)
        with files.FolderLock(folder.root):
            files.remove_temporaries(folder.root)
            _begin(folder, published, plan)
            events = EventLog(folder.events, *listeners)
            done = _make(folder, plan, wanted, rows, name, events, device, workers)
        sha256 = origin.manifest["files"][name]["sha256"]
        same = files.sha256(folder.root / name) == sha256
        environments, equal = _environments(origin.manifest.get("environments", []), done)
        comparison = None if same else compare_shards(published.root / name, folder.root / name, exact=equal)
        return Rebuilt(name, wanted, sha256, same, environments, comparison)


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Yield a folder that is gone after the block, and say of what cannot be written there how to go elsewhere.

    Raises:
        BuildFolderError: It cannot be made, or something in it cannot be written.
    """
    fix = (
        "free some space, or set TMPDIR to a folder on another disk; "
        "with `--out DIR` what is generated lies there and is kept"
    )
    try:
        made = tempfile.TemporaryDirectory(prefix="synrs-data-")
    except OSError as error:
        raise BuildFolderError(f"no temporary folder can be made: {error.strerror}", fix=fix) from error
    with made as name:
        try:
            yield Path(name)
        except BuildFolderError as error:
            if Path(name) not in Path(error.where).parents:
                raise
            # The file itself is gone when this is read.
            raise BuildFolderError(error.what, where=str(Path(name).parent), fix=fix) from error


def _shard_name(origin: Origin, shard: int, split: str | None) -> str:
    splits = origin.manifest["splits"]
    chosen = split or next(iter(splits), "")
    if chosen not in splits:
        raise UserError(
            f"there is no split '{chosen}'", where=origin.where, fix=f"choose one of: {', '.join(splits)}"
        )
    count = splits[chosen].get("shards", 0)
    if not 0 <= shard < count:
        raise UserError(
            f"the split '{chosen}' has no shard {shard}",
            where=origin.where,
            fix=f"give `--shard` a number from 0 to {count - 1}",
        )
    return f"data/{chosen}-{shard:05d}.tar"


def _rows(path: Path, plan: BuildPlan, name: str) -> pl.DataFrame:
    """Return key, candidate shard and split of the samples of a packed shard, in their order."""
    try:
        rows = pl.read_parquet(path, columns=["key", "shard", "split"])
    except (OSError, pl.exceptions.PolarsError) as error:
        raise VerificationError("cannot be read as a table", where=str(path)) from error
    indices = rows["key"].cast(pl.Int64)
    fits = (indices // plan.recipe.shard_size == rows["shard"]) & (indices < plan.recipe.candidates)
    if not rows.height or not fits.all():
        raise VerificationError(f"does not name candidates of the recipe for {name}", where=str(path))
    return rows


def _begin(folder: BuildFolder, published: BuildFolder, plan: BuildPlan) -> None:
    """Make the folder one of the same build, which `build` could go on with."""
    if folder.state.is_file():
        if read_state(folder)["fingerprint"] != plan.fingerprint:
            raise BuildFolderError(
                "holds a build of another recipe", where=str(folder.root), fix="choose another `--out`"
            )
        return
    files.write_bytes(folder.captions, published.captions.read_bytes())
    files.write_text(folder.recipe, plan.recipe.to_yaml())
    files.write_bytes(folder.state, published.state.read_bytes())


def _make(
    folder: BuildFolder,
    plan: BuildPlan,
    wanted: list[int],
    rows: pl.DataFrame,
    name: str,
    events: EventLog,
    device: str,
    workers: int | None,
) -> list[DoneShard]:
    """Generate the candidate shards that are not there yet, and pack the shard."""
    for attempt in range(TRIES):
        done = _generate(folder, plan, wanted, events, device, workers)
        files.make_folder(folder.data)
        try:
            count = pack_shard(folder, folder.root / name, rows)
        except CorruptShardError as error:
            # As in a build: one of a kept folder that was damaged since is made again.
            events.emit("shard_damaged", shard=error.shard, reason=str(error))
            if attempt + 1 == TRIES:
                raise
            forget(folder, error.shard)
            continue
        if count != rows.height:
            raise VerificationError(f"has {count} samples again, not {rows.height}", where=name)
        return done
    raise AssertionError("the last try returns or raises")


def _generate(
    folder: BuildFolder,
    plan: BuildPlan,
    wanted: list[int],
    events: EventLog,
    device: str,
    workers: int | None,
) -> list[DoneShard]:
    there = {shard.shard for shard in done_shards(folder, plan.shards, plan.fingerprint)}
    pending = [shard for shard in wanted if shard not in there]
    for shard in pending:
        files.remove(folder.failed(shard))
    if pending:
        events.emit(
            "generation_started",
            pending=len(pending),
            done=len(wanted) - len(pending),
            samples_done=0,
            samples_wanted=sum(len(plan.indices(shard)) for shard in pending),
        )
        devices = choose_devices(device, workers, len(pending))
        # Engines change no byte; a process of its own for one worker would only cost its start.
        engine = ENGINES["local" if len(devices) > 1 else "inline"]()
        failed = engine.run(Job(plan, folder, pending, devices, events))
        if failed:
            raise QuarantineError(
                f"candidate shards failed in every try: {', '.join(map(str, failed))}",
                where=str(folder.root),
                fix="mend what the lines above say and run it again",
            )
    return [
        shard for shard in done_shards(folder, plan.shards, plan.fingerprint) if shard.shard in set(wanted)
    ]


def _environments(published: list[dict[str, str]], done: list[DoneShard]) -> tuple[list[str], bool]:
    """Return in what the environments differ, and whether they are the same and equal bytes are promised."""
    own: list[dict[str, str]] = []
    for shard in done:
        if shard.environment not in own:
            own.append(shard.environment)
    names = list(dict.fromkeys(name for found in [*published, *own] for name in found))
    sentences = []
    for name in names:
        there = list(dict.fromkeys(found.get(name, "unknown") for found in published))
        here = list(dict.fromkeys(found.get(name, "unknown") for found in own))
        if there != here:
            sentences.append(f"{name}: {' and '.join(there)} there, {' and '.join(here)} here")
    return sentences, not sentences
