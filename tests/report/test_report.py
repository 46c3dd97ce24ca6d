"""What a report says, read from its HTML and held against the files of the run folder."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fedseg.classes import CLASSES
from fedseg.cli import main
from fedseg.cli.tables import result_table
from fedseg.errors import FedsegError
from fedseg.files import read_json, write_json
from fedseg.report.write import conclude_run, report_on
from fedseg.run.progress import FileProgress
from fedseg.run.result import gather_result
from tests.report.conftest import REASON


def silent(*_args, **_details):
    pass


class Page(HTMLParser):
    """The tables of a page, by class, as rows of text; all its text; what it refers to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tables: dict[str, list[list[list[str]]]] = {}
        self.text = ""
        self.references: list[str] = []
        self._rows: list[list[str]] = []
        self._in_cell = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.references += [attributes[key] for key in ("src", "href") if key in attributes]
        self.references += re.findall(r"url\((.*?)\)", attributes.get("style", ""))
        if tag == "table":
            self._rows = []
            self.tables.setdefault(attributes.get("class", "plain"), []).append(self._rows)
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag):
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data):
        self.text += data
        if self._in_cell:
            self._rows[-1][-1] += data


def by_name(table: list[list[str]]) -> dict[str, list[str]]:
    return {name: cells for name, *cells in table}


def number(value: float | None, pattern: str) -> str:
    return "\u2013" if value is None else pattern.format(value)


def test_the_numbers_are_those_of_the_run_folder(finished):
    page = Page(finished.report)
    [shown] = map(by_name, page.tables["scores"])
    for model in ("one", "two", "global"):
        for column, name in enumerate(("held-out", "vanished")):
            score = read_json(finished.score(model, name))
            cell = shown[model][column].removesuffix(f" {len(score['miou_classes'])} classes")
            assert cell == f"{100 * score['miou']:.1f}"
            heat = by_name(page.tables["heat iou"][column])
            cells = {c: row[heat["class"].index(model)] for c, row in heat.items()}
            for label, value in score["iou"].items():
                assert cells[label] == number(value and 100 * value, "{:.0f}")


def test_trust_by_class_and_client(finished):
    content = read_json(finished.inconsistency)
    page = Page(finished.report)
    assert f"Most trusted: {max(content['trust'], key=content['trust'].get)}" in page.text
    shown = by_name(page.tables["heat iou trust"][0])
    assert shown["class"] == [*content["consistency"]]
    for name in CLASSES:
        values = [row[name] for row in content["consistency"].values()]
        assert shown[name] == [number(value, "{:.2f}") for value in values]
    assert shown["mean"] == [number(value, "{:.2f}") for value in content["trust"].values()]


def test_inconsistency_before_and_after_and_the_unstable_marked(finished):
    content = read_json(finished.inconsistency)
    [table] = Page(finished.report).tables["heat inconsistency"]
    shown = by_name(table)
    assert shown["class"] == ["before", "after", "one\nvs two"]
    marked = {name.removesuffix(" unstable") for name in shown if name.endswith(" unstable")}
    assert marked == set(content["unstable"])
    for name in CLASSES:
        cells = shown.get(name) or shown[f"{name} unstable"]
        assert cells[0] == number(content["inconsistency"][name], "{:.2f}")
        assert cells[1] == number(content["after_augmentation"][name], "{:.2f}")
        agreement = content["pairs"][0]["iou"][name]
        assert cells[2] == number(None if agreement is None else 1 - agreement, "{:.2f}")


def test_who_took_part_who_failed_what_it_cost(finished):
    page = Page(finished.report)
    _, people, uploads, stages, licences = map(by_name, page.tables["plain"])
    client = read_json(finished.clients / "two" / "client.json")
    assert "2 of 3 clients" in page.text
    assert people["two"][1:4] == ["4", "5", "3"]  # images, classes, iterations
    assert "without sidewalk, wall" in people["two"][0]
    assert REASON in people["late"][0]
    assert REASON not in finished.report.read_text()  # escaped: it is somebody else's text
    assert uploads["two"] == [f"{client['bytes'] / 1e6:.1f} MB", f"{client['seconds']:.0f} s"]
    assert stages["clients"] == ["75 s"]
    assert licences == {"what": ["licence"], "data of folder": ["not known"]}
    assert finished.config.read_text() in page.text


def test_generated_images_are_those_of_the_manifest(finished):
    manifest = read_json(finished.generated / "manifest.json")
    text = finished.report.read_text()
    assert f"{manifest['kept']} of {manifest['made']} images" in text
    assert text.count('alt="generated image') == min(manifest["made"], 12)
    assert text.count("<svg") == 2  # the clients' curves, and the distillation's


def test_a_set_that_is_gone_is_said_to_be_gone(finished):
    page = Page(finished.report)
    assert f"can't be opened any more: {finished.path.parent / 'vanished'}" in page.text
    assert "Where the clients disagree most" in page.text
    assert "Where the global model is most wrong" in page.text


def test_it_refers_to_nothing_outside_of_itself(finished):
    page = Page(finished.report)
    assert len(page.references) > 20
    assert all(reference.startswith(("data:", "#")) for reference in page.references)
    assert not re.search(r"@import|url\((?!data:|var|#)", finished.report.read_text())


def test_a_run_of_long_ago_can_be_reported_on(copied):
    result = read_json(copied.result)
    for key in ("suspects", "evaluators"):
        result.pop(key)
    write_json(copied.result, result)
    for folder in (copied.curves, copied.generated):
        shutil.rmtree(folder)
    copied.inconsistency.unlink()
    copied.report.unlink()
    done = CliRunner().invoke(main.app, ["report", str(copied.path)])
    assert done.exit_code == 0, done.output
    assert "report.html" in done.output.replace("\n", "")
    report = copied.report.read_text()
    for left_out in ("curves", "inconsistency", "generated"):  # rather than shown empty
        assert f'id="{left_out}"' not in report
        assert f'href="#{left_out}"' not in report


def test_what_cannot_be_reported_on(tmp_path, copied):
    with pytest.raises(FedsegError, match=r"no run folder; expected config\.toml"):
        report_on(tmp_path, None, silent)
    copied.result.unlink()
    with pytest.raises(FedsegError, match="the run has not ended"):
        report_on(copied.path, None, silent)


def test_a_failed_run_says_so_and_a_failing_report_costs_no_run(
    run, federation, monkeypatch, caplog
):
    progress = FileProgress(run.progress, "server")
    shutil.rmtree(run.clients / "two")
    reasons = {"two": "ran out of memory"}
    result = gather_result(run, federation, "failed", reasons, {}, "too few")
    conclude_run(run, federation, result, progress)
    page = Page(run.report)
    assert "The run failed. too few" in page.text
    assert "ran out of memory" in page.text
    assert "1 of 2 clients" in page.text

    def broken(*_):
        raise FedsegError("disk full")

    run.report.unlink()
    monkeypatch.setattr("fedseg.report.write.write_report", broken)
    result = gather_result(run, federation, "completed", {}, {})
    conclude_run(run, federation, result, progress)
    assert read_json(run.result) == result.content()
    assert "no report: disk full" in caplog.text
    assert not run.report.exists()
    result_table(result)


def test_gains_and_confusion_of_the_global_model(finished):
    page = Page(finished.report)
    score = {m: read_json(finished.score(m, "held-out")) for m in ("one", "two", "global")}
    best = max(("one", "two"), key=lambda name: score[name]["miou"])
    shown = {name: round(100 * score[name]["miou"], 1) for name in (best, "global")}
    gain = f"{shown['global'] - shown[best]:+.1f}".replace("-", "\u2212")
    assert re.search(rf"{re.escape(gain)}\s+over the best client, {best}", page.text)
    assert "What the global model takes each class for, on held-out" in page.text
    confusion = np.array(score["global"]["confusion"])
    maps = [by_name(table) for table in page.tables["heat iou"]]
    [table] = [m for m in maps if "true \\ predicted" in m][:1]
    columns = table["true \\ predicted"]
    for name, cells in table.items():
        if name in CLASSES:
            row = confusion[CLASSES.index(name)]
            for column, cell in zip(columns, cells, strict=True):
                share = row[CLASSES.index(column)] / row.sum()
                assert cell == (f"{100 * share:.0f}" if share >= 0.005 else "")
