"""What a report says in words and numbers: scores, who took part, what it cost."""

from dataclasses import dataclass

from fedseg.classes import ClassList
from fedseg.config import GLOBAL
from fedseg.report.heat import model_title
from fedseg.run.folder import CENTRALIZED, alone_name
from fedseg.run.records import ClientResult, Result
from fedseg.run.result import best_alone


@dataclass(frozen=True)
class Score:
    """A cell of the result table."""

    set: str
    """Name of the evaluation set."""
    percent: float
    """mIoU in %."""
    part: float
    """Share of the highest value in its column, 0..1."""
    classes: int
    """Classes averaged over."""

    @property
    def is_best(self) -> bool:
        """Whether no other model has a higher value."""
        return self.part == 1


@dataclass(frozen=True)
class Standing:
    """A row of the result table."""

    name: str
    is_global: bool
    cells: list[Score | None]
    problem: str = ""
    """Reason why there is no score, or what is wrong with it."""


@dataclass(frozen=True)
class Gain:
    """How far the global model is above another, in points of mIoU as they are shown."""

    points: float
    over: str
    """What it is compared with, and its mIoU."""

    @property
    def text(self) -> str:
        """With its sign."""
        return f"{self.points:+.1f}".replace("-", "\u2212")


@dataclass(frozen=True)
class Headline:
    """How the global model does on one set."""

    set: str
    percent: float
    images: int
    classes: int
    gains: list["Gain"]
    """Over the best client distilled alone, the best client, and centralized training."""


def columns(result: Result) -> dict[str, int | None]:
    """The evaluation sets with a score, and how many classes each averages over.

    None where that differs between models.
    """
    counts: dict[str, set[int]] = {}
    for row in result.evaluation.values():
        for name, score in row.items():
            counts.setdefault(name, set()).add(len(score.miou_classes))
    return {name: found.pop() if len(found) == 1 else None for name, found in counts.items()}


def standings(result: Result) -> list[Standing]:
    """The result table: clients, the global model, what it is compared with."""
    problems = {name: f"{result.why_left_out(name)}; left out" for name in result.suspects}
    problems |= {n: "failed" for n, c in result.clients.items() if not c.is_good}
    others = [name for name in result.evaluation if name not in (*result.clients, GLOBAL)]
    names = [*result.clients, *([GLOBAL] if GLOBAL in result.evaluation else []), *others]
    rows = []
    for name in names:
        cells = [_score(result, name, chosen) for chosen in columns(result)]
        rows.append(Standing(model_title(name), name == GLOBAL, cells, problems.get(name, "")))
    return rows


def _score(result: Result, model: str, chosen: str) -> Score | None:
    score = result.evaluation.get(model, {}).get(chosen)
    if score is None or score.miou is None:
        return None
    column = [row[chosen].miou or 0 for row in result.evaluation.values() if chosen in row]
    highest = max(column)
    part = score.miou / highest if highest else 1.0
    return Score(chosen, 100 * score.miou, part, len(score.miou_classes))


def headlines(result: Result) -> list[Headline]:
    """How the global model does on each set, beside the best client and centralized training."""
    found = []
    for chosen, score in result.evaluation.get(GLOBAL, {}).items():
        if score.miou is None:
            continue
        known = {
            name: miou
            for name, row in result.evaluation.items()
            if chosen in row and (miou := row[chosen].miou) is not None
        }
        clients = {name: miou for name, miou in known.items() if name in result.clients}
        gains = []
        if apart := best_alone(result.evaluation, result.clients, chosen):
            best, miou = apart
            gains.append(_gain(score.miou, miou, f"{best} distilled alone, the best of all"))
        if clients:
            best = max(clients, key=lambda name: clients[name])
            gains.append(_gain(score.miou, clients[best], f"the best client, {best}"))
        for name in (CENTRALIZED, alone_name(CENTRALIZED)):
            if name in known:
                adapted = "" if name == CENTRALIZED else ", distilled the same way"
                gains.append(_gain(score.miou, known[name], f"centralized training{adapted}"))
        classes = len(score.miou_classes)
        percent = 100 * score.miou
        found.append(Headline(chosen, percent, score.images, classes, gains))
    return found


def _gain(value: float, other: float, name: str) -> Gain:
    points = round(100 * value, 1) - round(100 * other, 1)  # of the figures shown
    return Gain(round(points, 1), f"{name} ({100 * other:.1f})")


def missing_classes(client: ClientResult, classes: ClassList) -> str:
    """Classes that a client was not trained on, in words."""
    known = set(range(len(classes)) if client.coverage is None else client.coverage)
    return ", ".join(name for index, name in enumerate(classes.names) if index not in known)
