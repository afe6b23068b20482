"""What a job of a proof is told: a configuration, a measure and a place."""

from dataclasses import dataclass
from typing import Any

RESULT = "result.json"  # what came of a job, in its folder


@dataclass
class Task:
    """What to train, where, and what to measure; `words` are the settings that made the configuration."""

    config: dict[str, Any]
    words: list[str]
    measure: str
    folder: str
