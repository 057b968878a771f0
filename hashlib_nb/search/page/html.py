"""What the search page says, as HTML: from the results of `demo` to texts, pictures and drawings.

Every picture and drawing has an alternative text; names of classes and files are escaped here.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from hashlib_nb.search.page.answers import Answer, Ball

THUMB = 112
"""Pixels of the longer side to which pictures are brought before they are sent to the browser."""
SMALL = 74
"""Pixels at which the page shows a picture; a smaller one keeps its square pixels."""
MOST_CLASSES = 6
"""Classes named of those in a ball."""
WIDE = 640.0
"""Width of a drawing in its own units; the browser scales it to the page."""
BLUE, ORANGE, DARK, LIGHT = "#0072b2", "#d55e00", "#08306b", "#c6dbef"

STYLE = """<style>
.hnb { max-width: 980px; margin: 0 auto; padding: 0 4px; overflow: visible; }
.hnb .widget-html, .hnb .widget-html-content { width: 100%; height: auto; line-height: 1.45; white-space: normal;
  overflow: visible; margin: 0; }
.hnb .widget-html-content { font-size: 15px; }
.hnb h2 { margin: 10px 0 2px; font-size: 24px; } .hnb h3 { margin: 16px 0 4px; font-size: 17px; }
.hnb p { margin: 4px 0; } .hnb svg { width: 100%; max-width: 680px; height: auto; display: block; }
.hnb ol, .hnb .hnb-row { display: flex; flex-wrap: wrap; gap: 6px; list-style: none; margin: 6px 0; padding: 0; }
.hnb figure { max-width: 130px; } .hnb li, .hnb .hnb-rim figure { width: 79px; }
.hnb li, .hnb figure { margin: 0; font-size: 12.5px; line-height: 1.3; }
.hnb img { width: 74px; height: 74px; object-fit: contain; background: #222; border: 3px solid #bbb; display: block;
  box-sizing: border-box; }
.hnb img.hnb-small { image-rendering: pixelated; }
.hnb img.hnb-right { border-color: #117733; } .hnb img.hnb-wrong { border: 3px dashed #cc3311; }
.hnb .hnb-new { font-weight: bold; }
.hnb .hnb-alert { color: #8b1a1a; font-weight: bold; min-height: 1.45em; }
.hnb .hnb-controls { flex-flow: row wrap; align-items: center; gap: 2px 12px; overflow: visible; }
.hnb .widget-label { width: auto; min-width: 88px; text-align: left; }
.hnb .widget-dropdown, .hnb .widget-text { width: 290px; max-width: 100%; }
.hnb .widget-slider { width: 420px; max-width: 100%; }
.hnb button { width: auto; }
.hnb :focus-visible { outline: 2px solid #0072b2; outline-offset: 1px; }
body[data-voila] .jp-OutputArea-child:has(> [data-mime-type="text/plain"]) { display: none; }
</style>"""
"""The last rule hides what the loading cells print; the page is not the place for it."""

# Pieces


def png(image: np.ndarray) -> bytes:
    """A picture uint8 [h, w, c] as PNG, its longer side at most `THUMB` pixels."""
    picture = Image.fromarray(image.squeeze(axis=-1) if image.shape[-1] == 1 else image)
    picture.thumbnail((THUMB, THUMB))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def picture(image: np.ndarray, alt: str, right: bool | None = None) -> str:
    """A picture uint8 [h, w, c], framed as relevant or not where that is known."""
    kind = {None: "", True: "hnb-right ", False: "hnb-wrong "}[right] + "hnb-small" * (max(image.shape) < SMALL)
    data = base64.b64encode(png(image)).decode()
    return f'<img class="{kind}" alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'


def figure(image: np.ndarray, caption: str) -> str:
    """A picture with a text under it that also stands for it."""
    return f"<figure>{picture(image, caption)}<figcaption>{html.escape(caption)}</figcaption></figure>"


def query(figures: Sequence[str], text: str) -> str:
    """The picture that is searched with, as `figure`s, and a text that is HTML already."""
    return f'<div class="hnb-row">{"".join(figures)}</div><p>{text}</p>'


def alert(sentence: str) -> str:
    """A sentence that is read aloud as it appears, and the place of the one that the browser itself may say."""
    said = f'<p class="hnb-alert" role="alert">{html.escape(sentence)}</p>' if sentence else ""
    return f'{said}<p class="hnb-alert hnb-too-large" role="alert"></p>'


def printable(name: str, most: int = 60) -> str:
    """A file's name without characters that steer a terminal or turn the direction of text, and not too long."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)
    return shown if len(shown) <= most else f"{shown[: most // 2]}\N{HORIZONTAL ELLIPSIS}{shown[-most // 2 :]}"


def _svg(height: float, label: str, shapes: Sequence[str]) -> str:
    head = f'<svg role="img" aria-label="{html.escape(label)}" viewBox="0 0 {WIDE:g} {height:g}">'
    return f"{head}{''.join(shapes)}</svg>"


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{fill}"/>'


def _plural(number: int) -> str:
    return f"{number:,} {'picture' if number == 1 else 'pictures'}"


# Areas of the page


def title(dataset: str, n_query: int, n_database: int, k: int) -> str:
    """The heading, and what this is in two sentences."""
    return (
        f"<h2>Search pictures by their hash codes</h2><p>A network turns a picture into {k} bits, some of them are "
        f"kept, and the pictures of {html.escape(dataset)} whose kept bits differ least come back. Choose one of "
        f"{n_query:,} pictures that nothing was trained on, or upload your own: {n_database:,} are searched.</p>"
    )


def code(bits: np.ndarray, used: np.ndarray) -> str:
    """A code as a barcode: all k places in the encoder's order, those in use filled.

    Args:
        bits: {0,1} [k].
        used: int [p], places of the bits that the search uses, ascending.
    """
    step = WIDE / len(bits)
    shapes = [_rect(0, 16, WIDE, 2, "#ccc")]
    shapes += [_rect((bit + 0.08) * step, 0, 0.84 * step, 34, DARK if bits[bit] else LIGHT) for bit in used]
    text = "".join(map(str, bits[used]))
    spaced = " ".join(text[start : start + 8] for start in range(0, len(text), 8))
    return (
        f"<h3>Its code</h3>{_svg(34, f'Barcode of the {len(used)} bits in use: {text}', shapes)}<p>Dark is 1, light is "
        f"0, a line is a bit not in use: {len(used)} of {len(bits)}. <code>{spaced}</code></p>"
    )


def found(answer: Answer, images: np.ndarray, names: Sequence[str], new: np.ndarray) -> str:
    """The nearest pictures with distance, class and the precision so far, and what is chance about them.

    Args:
        answer: what was found.
        images: uint8 [n, h, w, c], the pictures.
        names: n texts, what they show.
        new: bool [n], those that were not found with the bit that is now dropped.
    """
    items = "".join(_item(answer, place, images[place], names[place], new[place]) for place in range(len(names)))
    return f"<h3>The nearest {len(names)}</h3><ol>{items}</ol><p>{ties(answer)}</p><p>{precision(answer)}</p>"


def _item(answer: Answer, place: int, image: np.ndarray, name: str, new: bool) -> str:
    right = None if answer.right is None else bool(answer.right[place])
    said, mark = {None: ("", ""), True: (", relevant", " &#10003;"), False: (", not relevant", " &#10007;")}[right]
    distance = f"distance {answer.distances[place]}"
    lines = [('<span class="hnb-new">new: </span>' if new else "") + distance, html.escape(name) + mark]
    if answer.precision is not None:
        lines.append(f"P@{place + 1} {answer.precision[place]:.3f}")
    return f"<li>{picture(image, f'{name}, {distance}{said}', right)}{'<br>'.join(lines)}</li>"


def ties(answer: Answer) -> str:
    """How many pictures are as near as the last one shown."""
    more, at = answer.tied - answer.tied_inside, f"distance {answer.distances[-1]}, that of the last one"
    if not more:
        return f"All of the {_plural(answer.tied)} at {at}, are shown: nothing that is left out is as near."
    return (
        f"{_plural(answer.tied)} lie at {at}: {answer.tied_inside} of them are shown, {more:,} more are as near. Which "
        "ones are shown is chance."
    )


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


def ball(ball: Ball, answer: Answer, class_names: Sequence[str], rim: Sequence[str]) -> str:
    """What lies within the radius: how many, how many relevant, of which classes, at which distances.

    Args:
        ball: what was found.
        answer: of the same code and bits, for the pictures at every distance.
        class_names: m names.
        rim: `figure`s of some of the farthest inside.
    """
    total, inside = int(answer.counts.sum()), len(ball.indices)
    text = f"{inside:,} of {total:,} pictures lie within radius {ball.radius}"
    if ball.precision is not None:
        text += f", {ball.relevant:,} of them relevant: precision {ball.precision:.3f}"
    blue = ", the relevant ones blue" if answer.precision is not None else ""
    legend = f"Bars: pictures at each distance{blue}; the radius is on gray."
    drawn = f"<p>{text}.</p>{_histogram(answer, ball.radius)}<p>{legend}</p>"
    if not inside:
        return drawn
    most = [each for each in np.argsort(-ball.shown, kind="stable")[:MOST_CLASSES] if ball.shown[each]]
    classes = ", ".join(f"{html.escape(class_names[each])} {ball.shown[each]:,}" for each in most)
    number = int((ball.distances == ball.distances[-1]).sum())
    farthest = f"{_plural(number)} at distance {ball.distances[-1]}, the farthest inside"
    if number > len(rim):
        farthest += f", the first {len(rim)} of them here"
    return f'{drawn}<p>Inside: {classes}.</p><p>{farthest}:</p><div class="hnb-row hnb-rim">{"".join(rim)}</div>'


def _histogram(answer: Answer, radius: int) -> str:
    """Bars for the items at each distance, relevant ones in front."""
    counts, height = answer.counts, 90.0
    step, scale = WIDE / len(counts), height / max(1, counts.max())
    shapes = [_rect(0, 0, min(radius + 1, len(counts)) * step, height, "#e8e8e8")]
    for values, fill in ((counts, "#9a9a9a"), (answer.relevant, BLUE)):
        tall = [(d, value * scale) for d, value in enumerate(values) if value]
        shapes += [_rect((d + 0.1) * step, height - top, 0.8 * step, top, fill) for d, top in tall]
    for d in range(0, len(counts), -(-len(counts) // 17)):
        place = f'x="{(d + 0.5) * step:.2f}" y="{height + 14}"'
        shapes.append(f'<text {place} font-size="12" text-anchor="middle">{d}</text>')
    levels = "; ".join(f"{d}: {count}" for d, count in enumerate(counts) if count)
    return _svg(height + 18, f"Pictures at each distance. {levels}", shapes)


def effects(kept: np.ndarray, k: int, change: np.ndarray) -> str:
    """What dropping each kept bit alone does to average precision: a bar at its place, up where that rises.

    Args:
        kept: int [p], places of the kept bits, ascending.
        k: length of the code.
        change: [p], in points of AP.
    """
    step, half = WIDE / k, 40.0
    scale = half / max(1e-9, np.abs(change).max())
    shapes = [_rect(0, half, WIDE, 0.6, "#666")]
    for bit, value in zip(kept, change, strict=True):
        top = half - max(0.0, value) * scale
        shapes.append(_rect((bit + 0.08) * step, top, 0.84 * step, abs(value) * scale, ORANGE if value > 0 else BLUE))
    low, high = kept[change.argmin()], kept[change.argmax()]
    span = f"from {change.min():+.2f} without bit {low} to {change.max():+.2f} without bit {high}"
    return (
        f"{_svg(2 * half, f'Change of average precision without each bit, in points: {span}', shapes)}<p>What dropping "
        f"each bit alone does to this picture's average precision, in points: {span}. Orange bars rise, blue ones "
        "fall.</p>"
    )


def dropped(bit: int, value: int, differ: int, before: Answer, after: Answer) -> str:
    """What changes when one bit is dropped.

    Args:
        bit: which.
        value: what it is in the query's code.
        differ: how many of the pictures found with it have the other value.
        before: the answer with it.
        after: the answer without.
    """
    n = len(before.indices)
    new = n - len(np.intersect1d(before.indices, after.indices))
    text = (
        f"Bit {bit} is {value} here and {1 - value} in {differ} of the {n} pictures found with it, which come one "
        f"nearer. Without it {new} of the {n} are new, and {after.tied:,} instead of {before.tied:,} tie at the last "
        "distance"
    )
    if before.precision is None:
        return f"{text}."
    return (
        f"{text}. P@{n} goes from {before.precision[-1]:.3f} to {after.precision[-1]:.3f}, average precision from "
        f"{before.average_precision:.3f} to {after.average_precision:.3f}."
    )
