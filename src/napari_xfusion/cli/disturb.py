"""The options of the disturbances of a virtual experiment, made from the fields of their values."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from napari_xfusion.cli.words import in_options, option
from napari_xfusion.core.plan import validated
from napari_xfusion.errors import InputError
from napari_xfusion.lab.virtual.disturbances import Disturbances, Faults


def takes_disturbances(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` one option for each disturbance; it gets them as one value, ``disturbances``.

    A field of a camera has the camera in its option: ``--lr-flicker`` is ``Disturbances.lr.flicker``.
    """
    options = {name: _option(name, field) for name, field in _fields().items()}

    @wraps(command)
    def with_options(**values: Any) -> None:
        given = {name: values.pop(name) for name in options}
        command(**values, disturbances=_disturbances({k: v for k, v in given.items() if v is not None}))

    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.name != "disturbances"]
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    with_options.__signature__ = signature.replace(parameters=[*own, *options.values()])  # type: ignore[attr-defined]
    with_options.__annotations__ = {p.name: p.annotation for p in (*own, *options.values())}
    return with_options


def _fields() -> dict[str, FieldInfo]:
    fields = dict(Disturbances.model_fields)
    for camera in ("lr", "hr"):
        del fields[camera]
        fields |= {f"{camera}_{name}": field for name, field in Faults.model_fields.items()}
    return fields


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    """Return the parameter of an option that is None where it is not given."""
    text = field.description
    kind: Any = Annotated[str | None, typer.Option(help=text, metavar="N,N", show_default=False)]
    if field.annotation is bool:
        kind = Annotated[bool | None, typer.Option(option(name), help=text, show_default=False)]
    elif field.annotation in (int, float):
        kind = Annotated[field.annotation | None, typer.Option(help=text, metavar="N", show_default=False)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _disturbances(given: dict[str, Any]) -> Disturbances:
    """Return the disturbances of the options that were given; others are wrong usage."""
    settings: dict[str, Any] = {"lr": {}, "hr": {}}
    for name, value in given.items():
        camera, _, fault = name.partition("_")
        place = settings[camera] if fault in Faults.model_fields and camera in settings else settings
        place[fault if place is not settings else name] = (
            value.split(",") if isinstance(value, str) else value
        )
    try:
        return validated(Disturbances, settings, InputError)
    except InputError as error:
        parts = (error.setting or "").split(".")
        setting = "_".join(part for part in parts if not part.isdigit())
        wrong = InputError(
            setting=setting,
            expected=error.expected,
            found=error.found,
            problem=error.problem,
            hint=error.hint,
        )
        raise typer.BadParameter(in_options(wrong)) from None
