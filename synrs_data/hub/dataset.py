"""A dataset of the Hub at one commit, read without a trace on the disk: its listing, its files, its builds."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar

from synrs_data.errors import UserError, VerificationError
from synrs_data.events import EventLog, Listener
from synrs_data.hub.remote import RemoteFile, read_tree
from synrs_data.hub.session import Session, Waits, check_endpoint
from synrs_data.image_sources.hub import DatasetAddress, parse_address
from synrs_data.shards.manifest import MANIFEST, parse_manifest

_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class ReadSession(Session):
    """A session that reads; its messages say what a reader can do.

    Attributes:
        revision: Branch, tag or commit that is read.
    """

    revision: str = "main"
    later: ClassVar[str] = "run the same command later"

    def refusal(self, error: Exception) -> Exception:
        """Return the message for an answer that another try will not change."""
        from huggingface_hub.errors import (
            GatedRepoError,
            OfflineModeIsEnabled,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        if isinstance(error, OfflineModeIsEnabled):
            return UserError(
                "HF_HUB_OFFLINE is set, and this asks the Hub",
                where=self.url,
                fix="unset it, or name a copy on this machine",
            )
        if isinstance(error, GatedRepoError):
            return UserError(
                "is gated, and you have no access to its files",
                where=self.url,
                fix="ask for access on its page, then `hf auth login` with that account",
            )
        if isinstance(error, RevisionNotFoundError):
            return UserError(
                f"there is no revision '{self.revision}'",
                where=self.url,
                fix="give a branch, a tag or a whole commit after the '@'",
            )
        if isinstance(error, RepositoryNotFoundError):
            return UserError(
                "there is no such dataset, or it is private and you may not see it",
                where=self.url,
                fix="check the name, and who you are with `hf auth whoami`",
            )
        # Not `super()`: a dataclass with slots is another class than the one that the compiler saw.
        return Session.refusal(self, error)


class RemoteStream:
    """The bytes of a file of the Hub, read once and forwards; a broken connection is gone on with where it broke.

    Args:
        session: The repository.
        url: Address of the file at its commit.
        size: Its size, as listed.
    """

    def __init__(self, session: Session, url: str, size: int) -> None:
        self._session, self._url, self._size = session, url, size
        self._chunks = self._read()
        self._rest = b""

    def read(self, size: int = _CHUNK, /) -> bytes:
        """Return up to `size` bytes, none at the end.

        Raises:
            UserError: The Hub does not give them, however often it is asked.
        """
        while not self._rest and (chunk := next(self._chunks, None)) is not None:
            self._rest = chunk
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def close(self) -> None:
        """Let go of the connection."""
        self._chunks.close()

    def _read(self) -> Generator[bytes, None, None]:
        place = attempt = 0
        while place < self._size:
            try:
                for chunk in self._from(place):
                    place += len(chunk)
                    attempt = 0
                    yield chunk
                if place >= self._size:
                    return
                raise ConnectionError(f"the answer ended after {place} of {self._size} bytes")
            except Exception as error:  # noqa: BLE001 - `wait_or_raise` tells them apart
                self._session.wait_or_raise(error, attempt)
                attempt += 1

    def _from(self, place: int) -> Iterator[bytes]:
        """Yield what one answer gives of the file from a byte on."""
        from huggingface_hub import constants
        from huggingface_hub.utils import get_session, hf_raise_for_status  # type: ignore[attr-defined]

        # Sizes and ranges are those of the file, so it must not come compressed.
        headers = {**self._session.headers(), "Accept-Encoding": "identity"}
        if place:
            headers["Range"] = f"bytes={place}-"
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        with get_session().stream(
            "GET", self._url, headers=headers, follow_redirects=True, timeout=timeout
        ) as answer:
            if answer.is_error:
                answer.read()
            hf_raise_for_status(answer)
            # A server may ignore the range and begin again.
            skip = place if answer.status_code == HTTPStatus.OK else 0
            # Chunks as they come: what waits for a full one would be lost with the connection.
            for chunk in answer.iter_bytes():
                if skip < len(chunk):
                    yield chunk[skip:]
                skip = max(0, skip - len(chunk))


@dataclass(frozen=True, slots=True)
class RemoteDataset:
    """A dataset of the Hub at one commit.

    Attributes:
        session: The repository.
        address: What the user named.
        commit: The commit that its revision was when it was opened.
        files: Every file by path.
    """

    session: Session
    address: DatasetAddress
    commit: str
    files: dict[str, RemoteFile]

    @property
    def where(self) -> str:
        """Its address with the commit, for messages."""
        return f"hf://datasets/{self.address.name}@{self.commit}"

    def open(self, path: str) -> RemoteStream:
        """Return the bytes of a file.

        Args:
            path: A path of `files`.
        """
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(
            self.address.name,
            path,
            repo_type="dataset",
            revision=self.commit,
            endpoint=self.session.api.endpoint,
        )
        return RemoteStream(self.session, url, self.files[path].size)

    def read(self, path: str) -> bytes:
        """Return the contents of a small file."""
        return b"".join(iter(self.open(path).read, b""))

    def folders(self) -> list[str]:
        """Return the folders that are builds, or would be with a manifest: those with one, or with `data/*.tar`."""
        found = {
            folder
            for path in self.files
            for folder, _, rest in [path.partition("/")]
            if rest == MANIFEST or (rest.startswith("data/") and rest.endswith(".tar"))
        }
        return sorted({*found, *([""] if MANIFEST in self.files else [])})


def open_dataset(
    text: str, *, waits: Waits | None = None, listeners: Sequence[Listener] = ()
) -> RemoteDataset:
    """Ask the Hub for a dataset: which commit its revision is now, and what is in it.

    Args:
        text: `hf://datasets/USER/NAME[@REVISION][/CONFIG]`.
        waits: When to give up.
        listeners: Told whenever the Hub is waited for.

    Raises:
        UserError: It is no address, there is no such dataset or revision, one may not read it, or there is no network.
    """
    check_endpoint()
    from huggingface_hub import HfApi

    address = parse_address(text)
    assert address is not None
    api = HfApi()
    revision = address.revision or "main"
    events = EventLog(None, *listeners)
    session = ReadSession(address.name, api, waits or Waits(), events, revision=revision)
    info = session.ask(partial(api.dataset_info, address.name, revision=revision))
    commit = str(info.sha)
    return RemoteDataset(session, address, commit, read_tree(session, commit))


def read_build(dataset: RemoteDataset, config: str) -> tuple[dict[str, Any], bytes]:
    """Return the manifest of a config and the file it is from.

    Raises:
        VerificationError: There is none, or it cannot be read.
    """
    path = under(config, MANIFEST)
    where = f"{dataset.where}/{config}".rstrip("/")
    if path not in dataset.files:
        raise VerificationError(
            "there is no manifest.json: no finished build was published here",
            where=where,
            fix="publish it with `synrs-data publish`, or ask its owner to",
        )
    text = dataset.read(path)
    return parse_manifest(text, where=f"{dataset.where}/{path}"), text


def under(config: str, name: str) -> str:
    """Return the path in the repository of a file of a config."""
    return f"{config}/{name}" if config else name


def named_config(dataset: RemoteDataset) -> str:
    """Return the config that the path of the address names.

    Raises:
        UserError: There is nothing there.
    """
    wanted = dataset.address.path
    if not any(path.startswith(f"{wanted}/") for path in dataset.files):
        names = ", ".join(dataset.folders()) or "none"
        raise UserError(
            f"there is no config '{wanted}'", where=dataset.where, fix=f"there is: {names}; name one of them"
        )
    return wanted


def choose_config(dataset: RemoteDataset) -> str:
    """Return the one config that is meant: the path of the address, or the only one that there is.

    Raises:
        UserError: There are several, or not the one that is named.
    """
    if dataset.address.path:
        return named_config(dataset)
    found = dataset.folders()
    if len(found) > 1:
        raise UserError(
            f"holds {len(found)} builds: {', '.join(found)}",
            where=dataset.where,
            fix=f"name one: hf://datasets/{dataset.address.name}@{dataset.commit}/{found[0]}",
        )
    return found[0] if found else ""
