"""What the search page says, as HTML: from what `answers` returns to texts, pictures and drawings.

The texts are made here and are plain; the markup is in `page.html.j2`, which escapes them, so that names of classes
and files may hold anything. Every picture and drawing has an alternative text.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from hashlib_nb.search.page.answers import Answer, Ball, Choice

if TYPE_CHECKING:
    from markupsafe import Markup

THUMB = 112
"""Pixels of the longer side to which pictures are brought before they are sent to the browser."""
SMALL = 74
"""Pixels at which the page shows a picture; a smaller one keeps its square pixels."""
MOST_CLASSES = 6
"""Classes named of those in a ball."""
WIDE = 640
"""Width of a drawing in its own units; the browser scales it to the page."""
BLUE, ORANGE, DARK, LIGHT, GRAY = "#0072b2", "#d55e00", "#08306b", "#c6dbef", "#d4d4d4"

_environment = Environment(
    loader=PackageLoader("hashlib_nb.search.page", ""),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_areas = _environment.get_template("page.html.j2").module

# Pieces


def png(image: np.ndarray) -> bytes:
    """A picture uint8 [h, w, c] as PNG, its longer side at most `THUMB` pixels."""
    picture = Image.fromarray(image.squeeze(axis=-1) if image.shape[-1] == 1 else image)
    picture.thumbnail((THUMB, THUMB))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def picture(image: np.ndarray, alt: str, right: bool | None = None) -> Markup:
    """A picture uint8 [h, w, c], framed as relevant or not where that is known."""
    framed = {None: [], True: ["hnb-right"], False: ["hnb-wrong"]}[right]
    small = ["hnb-small"] if max(image.shape) < SMALL else []
    return _areas.picture(f"data:image/png;base64,{base64.b64encode(png(image)).decode()}", alt, framed + small)


def figure(image: np.ndarray, caption: str) -> Markup:
    """A picture with a text under it that also stands for it."""
    return _areas.figure(picture(image, caption), caption)


def printable(name: str, most: int = 60) -> str:
    """A file's name without characters that steer a terminal or turn the direction of text, and not too long."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)
    return shown if len(shown) <= most else f"{shown[: most // 2]}\N{HORIZONTAL ELLIPSIS}{shown[-most // 2 :]}"


class Bar(NamedTuple):
    """A filled rectangle of a drawing."""

    x: float
    y: float
    width: float
    height: float
    fill: str


def _drawing(
    height: int,
    label: str,
    bars: Sequence[Bar],
    ticks: Sequence[tuple[float, int]] = (),
    scale: Sequence[tuple[float, str]] = (),
) -> Markup:
    """Bars, numbers at the places `x` of the lower edge, and texts at heights `y` of the left one.

    The label stands for the drawing.
    """
    return _areas.drawing(WIDE, height, label, bars, ticks, scale)


def _plural(number: int, what: str = "picture") -> str:
    return f"{number:,} {what if number == 1 else f'{what}s'}"


def choice_label(name: str, choice: Choice) -> str:
    """A choice of bits as a menu names it."""
    return f"{name}, {_plural(len(choice), 'bit')}"


# Areas of the page


def title(dataset: str, n_query: int, n_database: int, k: int) -> Markup:
    """The page's style, its heading, and what this is in two sentences."""
    return _areas.title(
        f"A network has {k} outputs for a picture. A bit asks whether one of them lies above a level; some such bits "
        f"are kept, and the pictures of {dataset} whose kept bits differ least come back. Choose one of {n_query:,} "
        f"pictures that nothing was trained on, or upload your own: {n_database:,} are searched."
    )


def query(figures: Sequence[Markup], text: str, decided: str = "") -> Markup:
    """The picture that is searched with, as `figure`s, a text, and beside them the class that it is taken for."""
    return _areas.query(figures, text, decided)


def decided(name: str, posterior: float) -> str:
    """What a decided query is: a classifier's word.

    Args:
        name: of the class, or of the label set.
        posterior: that the network gives it, in 0..1.
    """
    return (
        f"Decided: {name}, with posterior {posterior:.2f}. That is a classifier's word. The search asks with the code "
        "of this class, whatever the picture's own bits are; the pictures that are searched keep theirs."
    )


def alert(sentence: str) -> Markup:
    """A sentence that is read aloud as it appears, and the place of the one that the browser itself may say."""
    return _areas.alert(sentence)


def code(bits: np.ndarray, choice: Choice, used: np.ndarray, posteriors: np.ndarray) -> Markup:
    """A code as marks at what its bits ask, over what the network says of the picture.

    Args:
        bits: {0,1} [p], the code that is searched with.
        choice: of p bits.
        used: int [p'], places of the bits that the search uses, ascending.
        posteriors: float [k], sigma of each output for the picture, which a decided code does not follow.
    """
    step, height = WIDE / len(posteriors), 140
    bars = [Bar(0, height * (1 - value), step, height * value, GRAY) for value in posteriors]
    bars = [bar._replace(x=place * step + 0.2 * step, width=0.6 * step) for place, bar in enumerate(bars)]
    bars.append(Bar(0, height / 2, WIDE, 0.6, "#666"))
    levels = choice.levels
    for bit in used:
        at = height * (1 - levels[bit])
        place = choice.outputs[bit] * step
        bars.append(Bar(place, at - 3, step, 6, DARK))
        bars += [] if bits[bit] else [Bar(place + 1, at - 2, step - 2, 4, LIGHT)]
    ticks = [((j + 0.5) * step, j) for j in range(0, len(posteriors), -(-len(posteriors) // 17))]
    digits = "".join(map(str, bits[used]))
    asked = [f"{choice.names[bit]}: {bits[bit]}" for bit in used]
    return _areas.code(
        _drawing(height + 18, f"The {_plural(len(used), 'bit')} in use: {digits}", bars, ticks),
        "A mark is a bit, at the output that it asks, and as high as its level from 0 to 1: dark is 1, light is 0. The "
        "gray bar says how likely the network holds a 1, and the line is one half. "
        f"{len(used)} of {_plural(len(choice), 'bit')} in use:",
        " ".join(digits[start : start + 8] for start in range(0, len(digits), 8)),
        asked,
    )


class Item(NamedTuple):
    """One of the pictures found."""

    picture: Markup
    """The picture with its alternative text."""
    new: bool
    """Whether it was not found with the bit that is now dropped."""
    lines: list[str]
    """Distance, class and precision so far."""


def found(answer: Answer, images: np.ndarray, names: Sequence[str], new: np.ndarray, compared: str = "") -> Markup:
    """The nearest pictures with distance, class and the precision so far, and what is chance about them.

    Args:
        answer: what was found.
        images: uint8 [n, h, w, c], the pictures.
        names: n texts, what they show.
        new: bool [n], those that were not found with the bit that is now dropped.
        compared: what `compared` says.
    """
    items = [_item(answer, place, images[place], names[place], bool(new[place])) for place in range(len(names))]
    return _areas.found(items, compared, ties(answer), precision(answer))


def _item(answer: Answer, place: int, image: np.ndarray, name: str, new: bool) -> Item:
    right = None if answer.right is None else bool(answer.right[place])
    said, mark = {None: ("", ""), True: (", relevant", " \u2713"), False: (", not relevant", " \u2717")}[right]
    distance = f"distance {answer.distances[place]}"
    lines = [distance, name + mark]
    if answer.precision is not None:
        lines.append(f"P@{place + 1} {answer.precision[place]:.3f}")
    return Item(picture(image, f"{name}, {distance}{said}", right), new, lines)


def ties(answer: Answer) -> str:
    """How many pictures are as near as the last one shown."""
    more, at = answer.tied - answer.tied_inside, f"distance {answer.distances[-1]}, that of the last one"
    if not more:
        return f"All of the {_plural(answer.tied)} at {at}, are shown: nothing that is left out is as near."
    return (
        f"{_plural(answer.tied)} lie at {at}: {answer.tied_inside} of them are shown, {more:,} more are as near. Which "
        "ones are shown is chance."
    )


def compared(today: Answer, now: Answer, name: str) -> str:
    """How many pictures tie at the last place for the same query, by today's bits and by others.

    Args:
        today: by outputs at one half, the query not decided.
        now: by the bits with that name.
        name: says whose they are, and whether the query is decided.
    """
    n = len(now.indices)
    text = (
        f"As near as the last of {n}: today {_plural(today.tied)} (at distance {today.distances[-1]}), {name} "
        f"{_plural(now.tied)} (at distance {now.distances[-1]})"
    )
    if today.precision is None:
        return f"{text}."
    return f"{text}; expected P@{n} {today.precision[-1]:.3f} and {now.precision[-1]:.3f}."


def precision(answer: Answer) -> str:
    """How good the pictures shown are, and any that might have been shown in their place."""
    if answer.precision is None:
        return ""
    n, expected = len(answer.indices), answer.precision[-1]
    return (
        f"{answer.right.sum()} of the {n} shown are relevant; over all orders of the ties {n * expected:.2f} are to be "
        f"expected: P@{n} = {expected:.3f}, and so for the first 1, 2, ... under each picture. Average precision over "
        f"the whole database: {answer.average_precision:.3f}."
    )


def ball(ball: Ball, answer: Answer, class_names: Sequence[str], rim: Sequence[Markup]) -> Markup:
    """What lies within the radius: how many, how many relevant, of which classes, at which distances.

    Args:
        ball: what was found.
        answer: of the same code and bits, for the pictures at every distance.
        class_names: m names.
        rim: `figure`s of some of the farthest inside.
    """
    total, inside = int(answer.counts.sum()), len(ball.indices)
    size = f"{inside:,} of {total:,} pictures lie within radius {ball.radius}"
    if ball.precision is not None:
        size += f", {ball.relevant:,} of them relevant: precision {ball.precision:.3f}"
    blue = ", the relevant ones blue" if answer.precision is not None else ""
    legend = f"Bars: pictures at each distance{blue}; the radius is on gray."
    drawn = _areas.ball(f"{size}.", _histogram(answer, ball.radius), legend)
    return drawn + _areas.inside(_classes(ball, class_names), _farthest(ball, len(rim)), rim) if inside else drawn


def _classes(ball: Ball, class_names: Sequence[str]) -> str:
    most = [each for each in np.argsort(-ball.shown, kind="stable")[:MOST_CLASSES] if ball.shown[each]]
    return f"Inside: {', '.join(f'{class_names[each]} {ball.shown[each]:,}' for each in most)}."


def _farthest(ball: Ball, shown: int) -> str:
    number = int((ball.distances == ball.distances[-1]).sum())
    first = f", the first {shown} of them here" if number > shown else ""
    return f"{_plural(number)} at distance {ball.distances[-1]}, the farthest inside{first}:"


def _histogram(answer: Answer, radius: int) -> Markup:
    """Bars for the items at each distance, relevant ones in front."""
    counts, height = answer.counts, 90
    step, scale = WIDE / len(counts), height / max(1, counts.max())
    bars = [Bar(0, 0, min(radius + 1, len(counts)) * step, height, "#e8e8e8")]
    for values, fill in ((counts, "#9a9a9a"), (answer.relevant, BLUE)):
        tall = [(d, value * scale) for d, value in enumerate(values) if value]
        bars += [Bar((d + 0.1) * step, height - top, 0.8 * step, top, fill) for d, top in tall]
    ticks = [((d + 0.5) * step, d) for d in range(0, len(counts), -(-len(counts) // 17))]
    levels = "; ".join(f"{d}: {count}" for d, count in enumerate(counts) if count)
    return _drawing(height + 18, f"Pictures at each distance. {levels}", bars, ticks)


def effects(names: Sequence[str], change: np.ndarray) -> Markup:
    """What dropping each kept bit alone does to average precision: a bar at its place, up where that rises.

    Args:
        names: p texts, what each bit asks.
        change: [p], in points of AP.
    """
    left, half, margin = 48, 40, 8  # room for the numbers of the axis, above and below as well
    step, middle, most = (WIDE - left) / len(names), margin + half, np.abs(change).max()
    scale = half / max(1e-9, most)
    axis = [(middle, "0")] if most < 0.005 else [(y, f"{v:+.2f}") for y, v in ((margin, most), (middle + half, -most))]
    bars = [
        Bar(left, y, WIDE - left, 0.6, shade)
        for y, shade in ((margin, "#ddd"), (middle + half, "#ddd"), (middle, "#666"))
    ]
    for place, value in enumerate(change):
        top = middle - max(0.0, value) * scale
        x, shade = left + (place + 0.08) * step, ORANGE if value > 0 else BLUE
        bars.append(Bar(x, top, 0.84 * step, abs(value) * scale, shade))
    low, high = names[change.argmin()], names[change.argmax()]
    span = f"from {change.min():+.2f} without {low} to {change.max():+.2f} without {high}"
    return _areas.explained(
        _drawing(2 * middle, f"Change of average precision without each bit, in points: {span}", bars, (), axis),
        f"What dropping each bit alone does to this picture's average precision, in points: {span}. Orange bars rise, "
        "blue ones fall; they stand in the order of the bits.",
    )


def dropped(chart: Markup | str, sentence: str) -> Markup:
    """The drawing by `effects`, where there is one, and what changes when one bit is dropped."""
    return _areas.explained(chart, sentence)


def without(name: str, value: int, differ: int, before: Answer, after: Answer) -> str:
    """What changes when one bit is dropped.

    Args:
        name: what it asks.
        value: what it is in the query's code.
        differ: how many of the pictures found with it have the other value.
        before: the answer with it.
        after: the answer without.
    """
    n = len(before.indices)
    new = n - len(np.intersect1d(before.indices, after.indices))
    text = (
        f"The bit of {name} is {value} here and {1 - value} in {differ} of the {n} pictures found with it, which come "
        f"one nearer. Without it {new} of the {n} are new, and {after.tied:,} instead of {before.tied:,} tie at the "
        "last distance"
    )
    if before.precision is None:
        return f"{text}."
    return (
        f"{text}. P@{n} goes from {before.precision[-1]:.3f} to {after.precision[-1]:.3f}, average precision from "
        f"{before.average_precision:.3f} to {after.average_precision:.3f}."
    )
