"""The base of values that are saved as JSON."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """Frozen, validated when it is made, equal where its fields are; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def __eq__(self, other: object) -> bool:
        # pydantic also compares what properties have cached, such as arrays.
        fields = type(self).model_fields
        return type(self) is type(other) and all(getattr(self, f) == getattr(other, f) for f in fields)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, field) for field in type(self).model_fields))
