"""Models by name or folder; those that come with bl_steer lie in ``bl_steer/models``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from bl_steer.analysis import segmentation

__all__ = ["DEFAULT_MODEL", "find_model", "shipped_models"]

MODELS_DIR = Path(__file__).parents[2] / "models"
DEFAULT_MODEL = "fibsem"


def shipped_models() -> list[str]:
    """Return the names of the models that come with bl_steer."""
    return sorted(path.parent.name for path in MODELS_DIR.glob("*/card.json"))


def find_model(name: str) -> segmentation.SegmentationModel:
    """Return a model by its shipped name, or from its folder.

    Raises
    ------
    bl_steer.analysis.segmentation.ModelError
        When there is neither, or the folder's files are not sound.
    """
    folder = MODELS_DIR / name if name in shipped_models() else Path(name).expanduser()
    if not folder.is_dir():
        raise segmentation.ModelError(
            f"a model must be one of {', '.join(shipped_models())} or a folder, got {name!r}; "
            "train one with 'bl-steer segment train'"
        )
    stamps = tuple(sorted((path.name, path.stat().st_mtime_ns) for path in folder.iterdir()))
    return _load(folder.resolve(), stamps)


@lru_cache(maxsize=4)
def _load(folder: Path, stamps: tuple[tuple[str, int], ...]) -> segmentation.SegmentationModel:
    """Load a model once, until a file of its folder changes."""
    return segmentation.SegmentationModel.load(folder)
