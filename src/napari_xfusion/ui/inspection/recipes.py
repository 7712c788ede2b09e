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
from napari_xfusion.core.plan import NETWORKS, Method, Plan
from napari_xfusion.core.rig import fit_geometry, pair_stacks
from napari_xfusion.core.types import ROLES, FusedFrame, Role, Stack
from napari_xfusion.errors import ModelError
from napari_xfusion.ui.inspection.films import Films
from napari_xfusion.ui.shared.colours import diverging
from napari_xfusion.ui.shared.layers import LayerData, beside, layer_name
from napari_xfusion.ui.shared.preferences import preferences
from napari_xfusion.ui.shared.provenance import LayerRole, content_of, provenance_of, stack_of

if TYPE_CHECKING:
    from napari.layers import Layer

Key = tuple[str, *tuple[int, ...]]
Kind = Literal["lr", "hr", "fused", "truth"]
ROLE_NAMES: dict[Role, str] = {
    "lr-": "LR before",
    "lr": "LR",
    "lr+": "LR after",
    "hr-": "HR before, backward",
    "hr+": "HR after, forward",
}


class Recipes:
    """Makes the layers, and keeps the films fused for them while a layer needs them."""

    def __init__(self) -> None:
        self._films: weakref.WeakValueDictionary[Key, FusedFilm] = weakref.WeakValueDictionary()

    def film(self, plan: Plan, films: Films) -> FusedFilm:
        """The films fused by ``plan``, shared by all layers that show something of it."""
        key = _key(plan, films)
        made = self._films.get(key)
        if made is None:
            self._films[key] = made = FusedFilm(plan, *films.stacks())
        return made

    def known(self, plan: Plan, films: Films, frame: int) -> FusedFrame | None:
        """A frame of that film if it was made already."""
        made = self._films.get(_key(plan, films))
        return None if made is None else made.known(frame)

    def close(self) -> None:
        """Stop what is being fused; layers that are left go blank."""
        for film in list(self._films.values()):
            film.close()

    def frame_division(self, films: Films, kind: Kind) -> list[LayerData]:
        """A film, each frame divided by its previous one; HR by its previous HR frame."""
        return [frame_division(getattr(films, kind))]

    def baseline(self, films: Films, method: Method) -> list[LayerData]:
        """What another method makes of the same two films."""
        plan = _by(films, method)
        film = self.film(plan, films).images()
        name = layer_name(films.title, "baseline", method)
        shown = films.fused or films.hr
        limits = None if shown is None else tuple(shown.contrast_limits)
        return [_on_hr_grid(films, film, name, "baseline", plan=plan, contrast_limits=limits)]

    def difference(self, films: Films, method: Method, frame: int) -> list[LayerData]:
        """The fused film minus a baseline, limits from ``frame``, or the nearest that is fused."""
        plan = _by(films, method)
        film = difference(films.fused_stack(), self.film(plan, films).images())
        name = f"{films.title} · fused − {method}"
        look = _differences(_about_zero(film, films.fused_near(frame)))
        origins = films.lr, films.hr, films.fused
        return [_on_hr_grid(films, film, name, "difference", origins=origins, plan=plan, **look)]

    def attention(self, films: Films, frame: int) -> list[LayerData]:
        """The heat-maps of a network's inputs, on the network's grid at their exact place."""
        plan = films.network()
        if plan is None:
            raise ModelError("attention", expected="weights", found="none at hand", do="import a model")
        film = self.film(plan, films)
        maps = film.frame(frame).attention
        roles = [role for role in ROLES if role in maps]
        # One contrast for all inputs: which of them was listened to is what they are there to show.
        limits = np.percentile(np.stack([maps[role] for role in roles]), (0.5, 99.5))
        look = _heat(*limits.tolist()) | {"opacity": 0.7, "plan": plan}
        return [
            _on_hr_grid(
                films,
                film.attention(role),
                layer_name(films.title, "attention", ROLE_NAMES[role]),
                "attention",
                coarseness=ATTENTION_SCALE,
                visible=role == roles[-1],
                **look,
            )
            for role in roles
        ]

    def consistency(self, films: Films, frame: int) -> list[LayerData]:
        """The binned fused film minus LR: what was invented or lost."""
        film = lr_consistency(films.fused_stack(), pair_stacks(*films.stacks(), films.plan))
        name = f"{films.title} · binned fused − LR"
        look = _differences(_about_zero(film, films.fused_near(frame)))
        look |= {"origins": (films.lr, films.hr, films.fused), "plan": films.plan}
        return [beside(films.lr, film, name=name, role="consistency", **look)]

    def std(self, films: Films, frame: int) -> list[LayerData]:
        """The standard deviation of the Bayesian method."""
        plan = films.by("bayesian-paper" if films.plan.method == "bayesian-paper" else "bayesian")
        film = self.film(plan, films).std()
        highest = float(np.nanpercentile(film.frame(frame), 99.8))
        name = layer_name(films.title, "std", plan.method)
        look = _heat(0.0, highest)
        return [_on_hr_grid(films, film, name, "std", plan=plan, **look)]


def frame_division(layer: Layer) -> LayerData:
    """The film of ``layer``, each frame divided by its previous one, at the same place and times.

    An HR layer shows each frame until the next one comes; so does its division.
    """
    film, known = divided(stack_of(layer)), provenance_of(layer)
    look = _differences(ratio_limits(film))
    if known is not None and known.entries is not None and len(layer.data) != len(film):
        film = _spread(film, known.entries)
    return beside(layer, film, name=f"{layer.name}, frame-divided", role="difference", **look)


def _key(plan: Plan, films: Films) -> Key:
    """The run, and the data of its films: their layers may show others later, under the same names."""
    return plan.model_dump_json(), *(id(content_of(film)) for film in (films.lr, films.hr))


def _by(films: Films, method: Method) -> Plan:
    plan = films.by_model(method) if method in NETWORKS else films.by(method)
    if plan is None:
        raise ModelError(method, expected="its weights", found="none at hand", do="import a model")
    return plan


def _on_hr_grid(
    films: Films, film: Stack, name: str, role: LayerRole, *, coarseness: float = 1.0, **look: Any
) -> LayerData:
    """A layer with one frame per LR frame, its pixels ``coarseness`` HR pixels wide.

    Beside LR and not HR: only the LR layer surely has one entry per LR frame.
    """
    lr, hr = films.stacks()
    scale = fit_geometry(lr.shape[1:], hr.shape[1:]).scale[0]
    look.setdefault("origins", (films.lr, films.hr))
    return beside(films.lr, film, name=name, role=role, coarseness=coarseness / scale, **look)


def _differences(limits: tuple[float, float]) -> dict[str, Any]:
    return {"colormap": diverging(preferences().difference), "contrast_limits": limits}


def _heat(lowest: float, highest: float) -> dict[str, Any]:
    limits = lowest, highest if highest > lowest else lowest + 1
    return {"colormap": preferences().heat, "contrast_limits": limits}


def _about_zero(film: Stack, frame: int) -> tuple[float, float]:
    """Limits about 0 that hold all but the outermost half percent of one frame."""
    values = np.abs(film.frame(frame))
    values = values[np.isfinite(values)]
    reach = float(np.percentile(values, 99.5)) if values.size else 0.0
    return -(reach or 1.0), reach or 1.0


def _spread(film: Stack, entries: tuple[int, ...]) -> Stack:
    """One frame per LR frame of a film that has fewer."""
    return film.derive(lambda t: film.frame(entries[t]), (len(entries), *film.shape[1:]), film.dtype)
