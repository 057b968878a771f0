"""The widgets of the search page: they call the functions of `answers` and show what these return, in place.

`SearchPage(collection)` at the end of a cell is the page, in JupyterLab and through Voila.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

import ipywidgets as widgets
import numpy as np
from IPython.display import Javascript, display

from hashlib_nb import thermometer
from hashlib_nb.search.page import html
from hashlib_nb.search.page.answers import (
    Answer,
    Choice,
    Collection,
    answer,
    average_precision_without,
    query_codes,
    seen,
    within,
)
from hashlib_nb.search.page.uploads import MOST_BYTES, Upload, read_upload

TOP = 10
"""Pictures shown of what is nearest, and of the farthest inside the radius."""
RADIUS = 2
"""Where the slider begins: chapter 4 reports precision within radius 2."""
NOTHING = -1
"""What a menu holds while nothing is chosen; with None, ipywidgets shows an empty menu."""
SEED = 0
"""Of the order in which the button "Another picture" goes through the query pictures."""


def script() -> str:
    """JavaScript that refuses a file that is too large before it is sent, and names the slider: see `page.js`."""
    text = resources.files(__package__).joinpath("page.js").read_text(encoding="utf-8")
    return f"{text}hashlibSearchPage({MOST_BYTES});"


class SearchPage:
    """The page over a collection. It shows `answer` and `ball`, made with the bits `used`; see `answers`.

    Args:
        collection: what is searched.
    """

    def __init__(self, collection: Collection):
        self.collection, self.splits = collection, collection.splits
        self.shape = self.splits.query.images.shape[1:]
        self._order = np.random.default_rng(SEED).permutation(len(self.splits.query))
        self._upload: Upload | None = None
        self._upload_name = ""
        self._codes: dict[str, np.ndarray] = {}
        self._make_controls()
        self._lay_out()
        self._choose_bits()
        self._choose_query()
        self._listen()

    def _ipython_display_(self) -> None:
        display(Javascript(script()))
        display(self.widget)

    # what is on the page

    def _make_controls(self) -> None:
        last, described = len(self.splits.query) - 1, {"style": {"description_width": "auto"}}
        self.number = widgets.BoundedIntText(0, min=0, max=last, description=f"Query picture, 0 to {last}", **described)
        self.another = widgets.Button(description="Another picture")
        size = f"{MOST_BYTES / 1e6:g} MB"
        self.upload = widgets.FileUpload(
            accept=".png,.jpg,.jpeg", description=f"Upload PNG or JPEG, up to {size}", icon=""
        )
        self.upload.add_class("hnb-upload")
        self.label = widgets.Dropdown(options=self._labels(), description="The upload shows", **described)
        self.negative = widgets.Checkbox(False, description="as a negative", indent=False)
        self.bits = widgets.Dropdown(options=self._choices(), description="Bits kept", **described)
        self.decided = widgets.Checkbox(self.collection.decided, description="decided query", indent=False)
        self.radius = widgets.IntSlider(RADIUS, min=0, max=RADIUS, description="Radius", **described)
        self.drop = widgets.Dropdown(options=[("none", NOTHING)], description="Drop one bit", **described)
        self.areas = {name: widgets.HTML() for name in ("refused", "query", "code", "found", "ball", "dropped")}

    def _labels(self) -> list[tuple[str, int]]:
        """Classes that an upload may be said to show: those that the database holds."""
        held = np.flatnonzero(self.splits.database.labels.any(axis=0)).tolist()
        return [("(not said)", NOTHING), *((self.splits.class_names[each], each) for each in held)]

    def _choices(self) -> list[tuple[str, str]]:
        return [(html.choice_label(name, choice), name) for name, choice in self.collection.choices.items()]

    def _lay_out(self) -> None:
        of_uploads = [self.label, *([self.negative] if self.shape[2] == 1 else [])]
        of_bits = [self.bits, *([self.decided] if self.collection.classes is not None else [])]
        picture, self._upload_row = widgets.Box([self.number, self.another, self.upload]), widgets.Box(of_uploads)
        bits = widgets.Box(of_bits)
        for box in (picture, self._upload_row, bits):
            box.add_class("hnb-controls")
        k = self.collection.database_logits.shape[1]
        about = self.splits.info["name"], len(self.splits.query), len(self.splits.database), k
        head = widgets.HTML(html.title(*about))
        radius, less = (widgets.HTML(f"<h3>{text}</h3>") for text in ("Within a radius", "One bit less"))
        area = self.areas
        self.widget = widgets.VBox(
            [head, picture, area["refused"], self._upload_row, area["query"], bits, area["code"], area["found"]]
            + [radius, self.radius, area["ball"], less, self.drop, area["dropped"]]
        )
        self.widget.add_class("hnb")

    def _listen(self) -> None:
        for control, update in (
            (self.number, self._choose_query),
            (self.negative, self._show_upload),
            (self.label, self._search),
            (self.bits, self._change_bits),
            (self.decided, self._search),
            (self.drop, self._show_found),
            (self.radius, self._show_ball),
        ):
            control.observe(self._told(update), "value")
        self.upload.observe(self._told(self._take_upload), "value")
        self.another.on_click(self._told(self._choose_another))

    def _told(self, update: Callable[[], None]) -> Callable[[object], None]:
        """An observer that calls `update` and says on the page why there is no answer, if, say, a file has gone."""

        def observer(_: object) -> None:
            try:
                update()
            except (ValueError, OSError) as error:
                self.areas["refused"].value = html.alert(f"There is no answer: {error}")

        return observer

    # the picture to search with

    def _choose_query(self) -> None:
        """Take the query picture of that number."""
        self._upload = None
        self.areas["refused"].value = html.alert("")
        row = self.number.value
        self._show_query(self.splits.query.images[row], self.collection.query_logits[row])

    def _choose_another(self) -> None:
        """Take the query picture that comes next in a random order; from an upload, go back to the one before it."""
        if self._upload is not None:
            self._choose_query()
            return
        place = int(np.flatnonzero(self._order == self.number.value)[0])
        self.number.value = int(self._order[(place + 1) % len(self._order)])

    def _take_upload(self) -> None:
        """Decode what was uploaded and forget the file; refuse in a sentence what is no picture."""
        if not self.upload.value:
            return
        (file,) = self.upload.value
        self.upload.value = ()
        name = html.printable(file["name"])
        try:
            upload = read_upload(bytes(file["content"]), self.shape)
        except ValueError as error:
            self.areas["refused"].value = html.alert(f"{name} was refused: {error}")
            return
        self.areas["refused"].value = html.alert("")
        self.label.value = NOTHING  # what was said of the picture before
        self._upload, self._upload_name = upload, name
        self._show_upload()

    def _show_upload(self) -> None:
        if self._upload is not None:
            image = 255 - self._upload.image if self.negative.value else self._upload.image
            self._show_query(image, self.collection.encoder.logits(image[None])[0])

    def _show_query(self, image: np.ndarray, logits: np.ndarray) -> None:
        self._image, self._logits = image, logits
        self._upload_row.layout.display = "none" if self._upload is None else ""
        self._search()

    def _what_it_shows(self) -> np.ndarray | None:
        """Labels {0,1} [m] of the picture; None if they were not said, or the database holds nothing of them."""
        if self._upload is None:
            label = self.splits.query.labels[self.number.value]
            return label if (self.splits.database.labels & label).any() else None
        if self.label.value == NOTHING:
            return None
        return np.eye(len(self.splits.class_names), dtype=np.uint8)[self.label.value]

    # the bits

    def _choose_bits(self) -> None:
        self.choice = self.collection.choices[self.bits.value]
        self.kept = np.arange(len(self.choice))
        one_less = [(name, place) for place, name in enumerate(self.choice.names)] if len(self.kept) > 1 else []
        self.drop.options = [("none", NOTHING), *one_less]

    def _change_bits(self) -> None:
        self.drop.value = NOTHING  # first, while the answer is that of the old bits
        self._choose_bits()
        self._search()

    @property
    def used(self) -> np.ndarray:
        """int64 [p], places of the bits that the search uses: those kept, without one that is dropped, ascending."""
        return self.kept[self.kept != self.drop.value]

    # what is found

    def _search(self) -> None:
        """Search anew: with another picture, another label, other bits, or a query that is decided or is not."""
        self._shows = self._what_it_shows()
        self._code = self._code_of(self.choice, decided=self.decided.value)
        self.full = self._answer(self.kept)
        self._compared = self._compare()
        self.areas["query"].value = self._query_html()
        self._show_found()

    def _code_of(self, choice: Choice, *, decided: bool) -> np.ndarray:
        """The query's code {0,1} [p]."""
        return query_codes(self._logits[None], choice, self.collection.classes if decided else None)[0]

    def _answer(self, bits: np.ndarray) -> Answer:
        return self._find(self._code, bits, self.bits.value)

    def _find(self, code: np.ndarray, bits: np.ndarray, name: str) -> Answer:
        n = min(TOP, len(self.splits.database))
        return answer(code, bits, self._codes_by(name), self.splits.database.labels, self._shows, n=n)

    def _codes_by(self, name: str) -> np.ndarray:
        """The database's codes {0,1} [n, p] by a choice, made once."""
        if name not in self._codes:
            self._codes[name] = self.collection.choices[name].codes(self.collection.database_logits)
        return self._codes[name]

    def _compare(self) -> str:
        """Ties at the last place today, and by the choice in use or, where that is of today's kind, the first one."""
        today, choices = self.collection.today, self.collection.choices
        name = self.bits.value if self.choice.graded else next(iter(choices))
        if not today or name == today:
            return ""
        answers = []
        for each, decided in ((today, False), (name, self.decided.value)):
            choice = choices[each]
            answers.append(self._find(self._code_of(choice, decided=decided), np.arange(len(choice)), each))
        kind = "thermometer" if choices[name].graded else "one half"
        return html.compared(*answers, f"{kind} ({name}{', decided' if self.decided.value else ''})")

    @property
    def _database(self) -> tuple[np.ndarray, np.ndarray]:
        return self._codes_by(self.bits.value), self.splits.database.labels

    def _show_found(self) -> None:
        """Show what the bits in use find, which may be one less than were kept."""
        self.answer = self.full if self.drop.value == NOTHING else self._answer(self.used)
        posteriors = thermometer.level_of(self._logits)
        self.areas["code"].value = html.code(self._code, self.choice, self.used, posteriors)
        found, new = self.answer.indices, ~np.isin(self.answer.indices, self.full.indices)
        names = [self._names(label) for label in self.splits.database.labels[found]]
        self.areas["found"].value = html.found(
            self.answer, self.splits.database.images[found], names, new, self._compared
        )
        self.areas["dropped"].value = self._dropped_html()
        self.radius.max = len(self.used)
        self._show_ball()

    def _show_ball(self) -> None:
        self.ball = ball = within(self._code, self.used, *self._database, self.radius.value, self._shows)
        rim = ball.indices[ball.distances == ball.distances[-1]][:TOP] if len(ball.indices) else ball.indices
        pictures, labels = self.splits.database.images[rim], self.splits.database.labels[rim]
        figures = [html.figure(image, self._names(label)) for image, label in zip(pictures, labels, strict=True)]
        self.areas["ball"].value = html.ball(ball, self.answer, self.splits.class_names, figures)

    def _names(self, label: np.ndarray) -> str:
        return ", ".join(self.splits.class_names[each] for each in np.flatnonzero(label)) or "none of the classes"

    def _query_html(self) -> str:
        network = seen(self.collection.encoder, self._image)
        size = f"{network.shape[1]} x {network.shape[0]}, {'gray' if network.shape[2] == 1 else 'in color'}"
        figures = [html.figure(network, f"as the network sees it: {size}")]
        if self._upload is None:
            return html.query(figures, self._query_text(), self._decided_text())
        uploaded = html.figure(self._upload.shown, f"uploaded: {self._upload_name}")
        return html.query([uploaded, *figures], self._upload_text(), self._decided_text())

    def _decided_text(self) -> str:
        """The class that the picture is taken for, where the query is decided."""
        if not self.decided.value:
            return ""
        classes, logits = self.collection.classes, self._logits[None]
        found = thermometer.decided_classes(logits, classes)[0]
        shows = classes.label_sets[found]
        label = np.eye(len(self.splits.class_names), dtype=np.uint8)[shows] if classes.label_sets.ndim == 1 else shows
        return html.decided(self._names(label), thermometer.posteriors(logits, classes)[0, found])

    def _query_text(self) -> str:
        text = f"It shows: {self._names(self.splits.query.labels[self.number.value])}."
        return (
            text if self._shows is not None else f"{text} The database holds nothing of it, so there is no precision."
        )

    def _upload_text(self) -> str:
        height, width, channels = self.shape
        text = f"Your picture is held in memory alone. Its center was brought to {width} x {height} pixels"
        if channels == 1:
            text += ", in gray. All that the network knows is bright on black: on a bright ground, try the negative"
        text += ". It answers whatever it is shown, whether it was taught that or not."
        return text if self._shows is not None else f"{text} Say what the picture shows to get a precision."

    def _dropped_html(self) -> str:
        if len(self.kept) == 1:
            return html.dropped("", "One bit is kept, so none can be dropped.")
        return html.dropped(self._chart(), self._dropped_text())

    def _chart(self) -> str:
        """What dropping each kept bit does; nothing where there is no precision."""
        if self._shows is None:
            return ""
        without = average_precision_without(self._code, self.kept, *self._database, self._shows)
        return html.effects(self.choice.names, 100 * (without - self.full.average_precision))

    def _dropped_text(self) -> str:
        bit = self.drop.value
        if bit == NOTHING:
            return "Choose a bit to search without it."
        value = int(self._code[bit])
        differ = int((self._codes_by(self.bits.value)[self.full.indices, bit] != value).sum())
        return html.without(self.choice.names[bit], value, differ, self.full, self.answer)
