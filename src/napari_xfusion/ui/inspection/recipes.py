"""The layers of an inspection: each a film that is made when it is looked at, beside the layer it is about.

Recipes run in a background thread: they read frames for contrast limits, and may load a network. They touch
no widget and no viewer.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_xfusion.core.film import ATTENTION_SCALE, FusedFilm, difference, lr_consistency
from napari_xfusion.core.inspect.ratio import divided, ratio_limits
from napari_xfusion.core.pairing import pair_stacks
from napari_xfusion.core.plan import Method, Plan
from napari_xfusion.core.types import ROLES, Role, Stack
from napari_xfusion.errors import ModelError
from napari_xfusion.ui.colours import HEAT, diverging
from napari_xfusion.ui.inspection.films import Films
from napari_xfusion.ui.layers import LayerData, beside, layer_name, stack_of

if TYPE_CHECKING:
    from napari.layers import Layer

Kind = Literal["lr", "hr", "fused", "truth"]
KIND_NAMES: dict[Kind, str] = {"lr": "LR", "hr": "HR", "fused": "fused", "truth": "truth"}
ROLE_NAMES: dict[Role, str] = {
    "lr-": "LR before",
    "lr": "LR",
    "lr+": "LR after",
    "hr-": "HR before, backward",
    "hr+": "HR after, forward",
}


class Workbench:
    """Makes the layers, and keeps the films fused for them while a layer needs them."""

    def __init__(self) -> None:
        self._films: weakref.WeakValueDictionary[tuple[str, str, str], FusedFilm] = (
            weakref.WeakValueDictionary()
        )

    def film(self, plan: Plan, films: Films) -> FusedFilm:
        """The films fused by ``plan``, shared by all layers that show something of it."""
        lr, hr = films.stacks()
        key = plan.model_dump_json(), lr.source, hr.source
        made = self._films.get(key)
        if made is None:
            self._films[key] = made = FusedFilm(plan, lr, hr)
        return made

    def close(self) -> None:
        """Stop what is being fused; layers that are left go blank."""
        for film in list(self._films.values()):
            film.close()

    def frame_division(self, films: Films, kind: Kind) -> list[LayerData]:
        """A film, each frame divided by its previous one; HR by its previous HR frame."""
        layer: Layer = getattr(films, kind)
        if kind == "fused":
            film = divided(films.fused_stack())
            limits = ratio_limits(divided(stack_of(films.hr or layer)))
        else:
            film = divided(stack_of(layer))
            limits = ratio_limits(film)
        if kind == "hr" and len(layer.data) != len(film):
            film = _spread(film, films.entries())
        name = layer_name(films.title, "difference", f"{KIND_NAMES[kind]}, frame-divided")
        return [_diverging(layer, film, name, limits, films)]

    def baseline(self, films: Films, method: Method) -> list[LayerData]:
        """What another method makes of the same two films."""
        plan = self._plan(films, method)
        film = self.film(plan, films).images()
        name = layer_name(films.title, "baseline", method)
        base = _hr_layer(films)
        return [beside(base, film, name=name, role="baseline", plan=plan, first=-_offset(films, base))]

    def difference(self, films: Films, method: Method, frame: int) -> list[LayerData]:
        """The fused film minus a baseline, limits from ``frame``."""
        fused = films.fused_stack()
        baseline = self.film(self._plan(films, method), films).images()
        film = difference(fused, baseline)
        name = layer_name(films.title, "difference", f"fused − {method}")
        return [_diverging(_hr_layer(films), film, name, _about(0.0, film, frame), films)]

    def attention(self, films: Films, frame: int) -> list[LayerData]:
        """The heat-maps of a network's inputs, on the network's grid at their exact place."""
        plan = films.network()
        if plan is None:
            raise ModelError(
                "attention", expected="a network's weights", found="none at hand", do="import a model"
            )
        film = self.film(plan, films)
        roles = [role for role in ROLES if role in film.frame(frame).attention]
        base = _hr_layer(films)
        return [
            beside(
                base,
                film.attention(role),
                name=layer_name(films.title, "attention", ROLE_NAMES[role]),
                role="attention",
                coarseness=ATTENTION_SCALE,
                first=-_offset(films, base),
                plan=plan,
                colormap=HEAT,
                contrast_limits=(0.0, 1.0),
                opacity=0.7,
                visible=role == roles[-1],
            )
            for role in roles
        ]

    def consistency(self, films: Films, frame: int) -> list[LayerData]:
        """The binned fused film minus LR: what was invented or lost."""
        film = lr_consistency(films.fused_stack(), pair_stacks(*films.stacks(), films.plan))
        name = layer_name(films.title, "consistency", "binned fused − LR")
        limits = _about(0.0, film, frame)
        return [_diverging(films.lr, film, name, limits, films, role="consistency")]

    def std(self, films: Films, frame: int) -> list[LayerData]:
        """The standard deviation of the Bayesian method."""
        method: Method = "bayesian-paper" if films.plan.method == "bayesian-paper" else "bayesian"
        plan = films.by(method)
        film = self.film(plan, films).std()
        highest = float(np.nanpercentile(film.frame(frame), 99.8))
        return [
            beside(
                _hr_layer(films),
                film,
                name=layer_name(films.title, "std", method),
                role="std",
                plan=plan,
                colormap=HEAT,
                contrast_limits=(0.0, highest or 1.0),
            )
        ]

    def _plan(self, films: Films, method: Method) -> Plan:
        plan = films.by_model(method) if method.startswith("edvr") else films.by(method)
        if plan is None:
            raise ModelError(method, expected="its weights", found="none at hand", do="import a model")
        return plan


def _hr_layer(films: Films) -> Layer:
    """The layer on the HR grid beside which new ones lie."""
    return films.hr or films.fused


def _diverging(
    layer: Any, film: Stack, name: str, limits: tuple[float, float], films: Films, role: Any = "difference"
) -> LayerData:
    return beside(
        layer, film, name=name, role=role, plan=films.plan, colormap=diverging(), contrast_limits=limits
    )


def _about(middle: float, film: Stack, frame: int) -> tuple[float, float]:
    """Limits about ``middle`` that hold all but the outermost half percent of one frame."""
    distance = np.abs(film.frame(frame) - middle)
    distance = distance[np.isfinite(distance)]
    reach = float(np.percentile(distance, 99.5)) if distance.size else 0.0
    return middle - (reach or 1.0), middle + (reach or 1.0)


def _spread(film: Stack, entries: list[int]) -> Stack:
    """One frame per LR frame of a film that has fewer."""
    return film.derive(lambda t: film.frame(entries[t]), (len(entries), *film.shape[1:]), film.dtype)
