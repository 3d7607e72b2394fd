"""The error tree: what a user did or met becomes one message with what, where and the next action.

```
SynrsError                      exit  1
├── UserError                   exit  2   a recipe, path, option or machine that the user can mend
│   ├── RecipeError                       a key, type, method or value in a recipe
│   ├── WeightsError                      weights missing, truncated, of another shape or family
│   ├── MissingExtraError                 an optional dependency is not installed
│   ├── BuildFolderError                  a folder is locked, unwritable, full or of another recipe
│   ├── MethodError                       a plugin that raises, or gives what its protocol does not allow
│   ├── CaptionError                      too few captions, an empty file, an unknown label
│   └── SelectionError                    a rule or quota that the candidates cannot meet
├── VerificationError           exit  3   bytes on disk are not those that were promised
│   └── CorruptShardError                 one candidate shard, named so that it can be made again
└── QuarantineError             exit  4   the build ended without some shards
```

Anything else that escapes is our own bug: exit 1, with its traceback.
"""

from __future__ import annotations

from typing import ClassVar


class SynrsError(Exception):
    """Base of every error that synrs-data raises on purpose.

    Args:
        what: What is wrong, with the offending value.
        where: The file, key or object it is wrong in; empty when `what` says it.
        fix: The next action of the user, as an instruction.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what, where, fix)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  → {self.fix}" if self.fix else text

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross from workers to the driver; keyword-only arguments need help to be pickled.
        return _rebuild, (type(self), self.what, self.where, self.fix, self.__dict__)


def _rebuild(cls: type[SynrsError], what: str, where: str, fix: str, state: dict[str, object]) -> SynrsError:
    error = cls.__new__(cls)
    SynrsError.__init__(error, what, where=where, fix=fix)
    error.__dict__.update(state)
    return error


class UserError(SynrsError):
    """Something the user can mend."""

    exit_code = 2


class RecipeError(UserError):
    """A recipe has an unknown key, a wrong type, an unknown method or an impossible value."""


class WeightsError(UserError):
    """Weights are missing, truncated, of an unknown family, or would be loaded in part."""


class MissingExtraError(UserError):
    """An optional dependency is not installed.

    Args:
        feature: What needs it, in the user's words.
        extra: The extra of synrs-data that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the optional dependencies '{extra}', which are not installed",
            fix=f'pip install "synrs-data[{extra}]"',
        )


class BuildFolderError(UserError):
    """A build folder is locked, unwritable, full, or belongs to another recipe."""


class MethodError(UserError):
    """A generator, caption strategy or filter does not keep its protocol.

    Args:
        kind: "generators", "captions" or "filters".
        name: The method's registered name.
        what: What it does.
    """

    def __init__(self, kind: str, name: str, what: str) -> None:
        super().__init__(
            what, where=f"the method '{name}' of {kind}", fix="mend the method, or choose another one"
        )


class CaptionError(UserError):
    """A caption strategy cannot give what the recipe asks."""


class SelectionError(UserError):
    """A selection rule names an unknown column, or a quota cannot be met."""


class VerificationError(SynrsError):
    """Bytes on disk are not those that the manifest or a done marker promises."""

    exit_code = 3


class CorruptShardError(VerificationError):
    """A candidate shard does not match its done marker.

    Args:
        shard: The shard's number.
        what: What does not match.
        where: The file.
    """

    def __init__(self, shard: int, what: str, *, where: str) -> None:
        super().__init__(
            what,
            where=where,
            fix=f"run `synrs-data build` on this folder again: it makes shard {shard} anew and nothing else",
        )
        self.shard = shard


class QuarantineError(SynrsError):
    """The build ended without the shards that failed in every try."""

    exit_code = 4
