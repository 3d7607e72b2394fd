"""Which files are stored with LFS: `.gitattributes` as the Hub writes and reads it, and `.gitignore`."""

from __future__ import annotations

from fnmatch import fnmatchcase

LFS = "filter=lfs diff=lfs merge=lfs -text"

_PATTERNS = """
*.7z *.arrow *.avro *.bin *.bz2 *.ckpt *.ftz *.gz *.h5 *.joblib *.lz4 *.mds *.mlmodel *.model *.msgpack *.npy *.npz
*.onnx *.ot *.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors *.tar *.tflite *.tgz *.wasm *.xz *.zip *.zst
*.pcm *.sam *.raw *.aac *.flac *.mp3 *.ogg *.wav *.bmp *.gif *.png *.tiff *.jpg *.jpeg *.webp *.mp4 *.webm
*.tar.* *tfevents* saved_model/**/*
"""

DEFAULT = "".join(f"{pattern} {LFS}\n" for pattern in _PATTERNS.split())
"""What a new dataset starts with: a subset of the file that the Hub commits to every new dataset."""


def is_lfs(path: str, attributes: str) -> bool:
    """Tell whether the last line of `attributes` that names the filter for `path` asks for LFS."""
    stored = False
    for line in attributes.splitlines():
        pattern, *words = line.split() or [""]
        if pattern and not pattern.startswith("#") and _matches(path, pattern):
            for word in words:
                if word == "filter=lfs":
                    stored = True
                elif word in {"-filter", "!filter"}:
                    stored = False
    return stored


def is_ignored(path: str, gitignore: str) -> bool:
    """Tell whether `gitignore` leaves `path` out; a pattern also hides what is below a folder it names."""
    parts = path.split("/")
    heads = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
    ignored = False
    for line in map(str.strip, gitignore.splitlines()):
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!").strip("/")
            if any(_matches(head, pattern) for head in heads):
                ignored = not line.startswith("!")
    return ignored


def with_lfs_lines(attributes: str, paths: list[str]) -> str:
    """Return `attributes` with a line for every path of `paths` that it does not send to LFS yet.

    The Hub adds such a line when a commit stores a file with LFS that no pattern names.
    """
    lines = [f"{path.replace(' ', '[[:space:]]')} {LFS}\n" for path in paths if not is_lfs(path, attributes)]
    if not lines:
        return attributes
    return attributes + ("" if attributes.endswith("\n") or not attributes else "\n") + "".join(lines)


def _matches(path: str, pattern: str) -> bool:
    pattern = pattern.replace("[[:space:]]", " ")
    if "/" not in pattern:  # git matches a pattern without a slash against the name alone
        return fnmatchcase(path.rpartition("/")[2], pattern)
    return fnmatchcase(path, pattern.lstrip("/").replace("/**/", "/*"))
