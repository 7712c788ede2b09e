"""The base of values that are saved as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """Frozen, validated when it is made, equal where its fields are; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, but a copy with other fields keeps nothing that was computed from those it had."""
        copy = super().model_copy(update=update, deep=deep)
        for name in copy.__dict__.keys() - type(self).model_fields.keys() if update else ():
            del copy.__dict__[name]
        return copy

    def __eq__(self, other: object) -> bool:
        # pydantic also compares what properties have cached, such as arrays.
        fields = type(self).model_fields
        return type(self) is type(other) and all(getattr(self, f) == getattr(other, f) for f in fields)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, field) for field in type(self).model_fields))
