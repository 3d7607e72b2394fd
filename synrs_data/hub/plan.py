"""What a publish changes: names of configs, the root's files, and which files are new, changed or to go."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synrs_data.errors import UserError
from synrs_data.hub.local import LocalBuild, PublishedFile
from synrs_data.hub.remote import RemoteState, read_file

if TYPE_CHECKING:
    from synrs_data.hub.session import Session

CARD = "README.md"
CROISSANT = "croissant.json"

MOST_OPERATIONS = 25_000
"""Files of one commit (huggingface_hub, docstring of `create_commit`: "up to 25k LFS files")."""

_ROOT = {CARD.lower(), CROISSANT}
"""Names that no config's folder can have, in whatever case: some disks do not tell one from the other."""

_HUBS_OWN = {".gitattributes", ".gitignore", "LICENSE"}
_GENERATED = ("data/", "metadata/")


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """What one commit does to a repository.

    Attributes:
        builds: The builds by config.
        files: Every file that the commit must end with, by path, the root's card last.
        new: Paths that are not there yet.
        changed: Paths that have other contents.
        deleted: Paths of our configs that are no longer part of a build.
        kept: Configs of other publishes that stay.
    """

    builds: dict[str, LocalBuild]
    files: dict[str, PublishedFile]
    new: list[str]
    changed: list[str]
    deleted: list[str]
    kept: list[str]

    @property
    def sent(self) -> list[PublishedFile]:
        """The files that are sent, in the order of `files`."""
        wanted = {*self.new, *self.changed}
        return [file for path, file in self.files.items() if path in wanted]

    @property
    def is_empty(self) -> bool:
        """Whether everything is there already."""
        return not (self.new or self.changed or self.deleted)


def make_plan(session: Session, builds: list[LocalBuild], state: RemoteState, *, first: bool) -> PublishPlan:
    """Return what to change so that the repository holds the builds beside what else it has.

    Args:
        session: The repository.
        builds: The builds.
        state: What it holds.
        first: Whether nothing was sent yet; later, files that somebody else has put beside ours are no reason to stop.

    Raises:
        UserError: The repository is not ours to change, two builds want one name, or there are too many files.
    """
    configs = name_configs(builds, state, where=session.url)
    _refuse_foreign(session, configs, state, first=first)
    own = {
        file.path: file
        for config, build in sorted(configs.items())
        for file in (inner.under(config) for inner in build.files.values())
    }
    kept = sorted(state.configs.keys() - configs.keys())
    files = {**own, **_root_files(session, own, configs, kept, state)}
    deleted = _outdated(configs, own, state)
    new = [path for path in files if path not in state.files]
    changed = [
        path for path, file in files.items() if path in state.files and not state.files[path].equals(file)
    ]
    if len(new) + len(changed) + len(deleted) > MOST_OPERATIONS:
        raise UserError(
            f"{len(new) + len(changed) + len(deleted):,} files are too many for one commit, which holds "
            f"{MOST_OPERATIONS:,}",
            where=session.url,
            fix="make shards larger, `synrs-data select OUT --set select.samples_per_shard=N`, "
            "or publish fewer builds at once",
        )
    if first and CARD in changed:
        _warn_of_edits(session, state)
    return PublishPlan(configs, files, new, changed, deleted, kept)


def name_configs(builds: list[LocalBuild], state: RemoteState, *, where: str) -> dict[str, LocalBuild]:
    """Return the builds by config: the task's name, the recipe's for a second build of a task.

    A build that is in the repository already, by task and recipe's name, keeps the name it has there.

    Raises:
        UserError: Two builds have the same task and recipe's name, or a name is taken or that of a root's file.
    """
    identities = [(str(build.manifest["task"]), str(build.manifest["name"])) for build in builds]
    if twice := [name for (_, name), count in Counter(identities).items() if count > 1]:
        raise UserError(
            f"two builds have the task and name of '{twice[0]}'",
            where=where,
            fix="publish one of them, or build one again with another `name`",
        )
    there = {
        (manifest["task"], manifest["name"]): config for config, manifest in sorted(state.configs.items())
    }
    tasks = Counter(task for task, name in identities if (task, name) not in there)
    found: dict[str, LocalBuild] = {}
    for (task, name), build in zip(identities, builds, strict=True):
        config = there.get((task, name)) or (task if task not in state.configs and tasks[task] == 1 else name)
        if config.lower() in _ROOT:
            raise UserError(
                f"a config cannot be called '{config}', which is a file of every published dataset",
                where=str(build.folder.root),
                fix="give the recipe another `name`",
            )
        taken = config in found or (config in state.configs and there.get((task, name)) != config)
        if taken:
            raise UserError(
                f"the config '{config}' is taken by another build",
                where=where,
                fix="give the recipe another `name`, or publish to another repository",
            )
        found[config] = build
    return found


def _refuse_foreign(
    session: Session, configs: dict[str, LocalBuild], state: RemoteState, *, first: bool
) -> None:
    """Refuse a repository with files that no publish of ours made, where we would overwrite or join them."""
    if state.configs:
        foreign = [
            path for path in state.files if path.split("/")[0] in configs.keys() - state.configs.keys()
        ]
    elif first:
        foreign = [path for path in state.files if path not in _HUBS_OWN]
    else:
        taken = {CARD, CROISSANT}
        foreign = [path for path in state.files if path in taken or path.split("/")[0] in configs]
    if foreign:
        raise UserError(
            f"the repository holds files that synrs-data did not publish, such as {foreign[0]}",
            where=session.url,
            fix="choose a new name; or empty the repository on its page if nobody needs what it holds",
        )


def _warn_of_edits(session: Session, state: RemoteState) -> None:
    """Say so if the root's card is not what its configs make of it: somebody wrote in it, or an older version did."""
    files = _root_files(session, {}, {}, sorted(state.configs), state)
    if CARD in files and not state.files[CARD].equals(files[CARD]):
        session.events.emit(
            "warning",
            text=f"{session.url}: README.md was edited, or made by another version of synrs-data; it is written "
            "anew, and its history keeps what it said",
        )


def _root_files(
    session: Session,
    own: dict[str, PublishedFile],
    configs: dict[str, LocalBuild],
    kept: list[str],
    state: RemoteState,
) -> dict[str, PublishedFile]:
    """Return the root's Croissant file and card, made from those of every config."""
    from synrs_data.hub.card import combine_cards
    from synrs_data.hub.croissant import combine_croissants

    found: dict[str, PublishedFile] = {}
    for name, combine in ((CROISSANT, combine_croissants), (CARD, combine_cards)):
        texts: dict[str, str] = {}
        for config in sorted([*configs, *kept]):
            path = f"{config}/{name}"
            if path in own:
                texts[config] = own[path].read().decode()
            elif config in kept and path in state.files:
                texts[config] = read_file(session, path, state.commit).decode()
        if texts:
            found[name] = PublishedFile.of_bytes(name, combine(texts, session.repo).encode())
    return found


def _outdated(configs: dict[str, LocalBuild], own: dict[str, PublishedFile], state: RemoteState) -> list[str]:
    """Return what an older version of our configs left: what its manifest lists, and all beside the shards.

    A file of somebody else between our shards would be loaded with them; anywhere else it stays.
    """
    listed: dict[str, dict[str, Any]] = {config: state.configs.get(config, {}) for config in configs}
    return [
        path
        for path in sorted(state.files)
        for config, _, inner in [path.partition("/")]
        if config in configs
        and path not in own
        and (inner in listed[config].get("files", {}) or inner.startswith(_GENERATED))
    ]
