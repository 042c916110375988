"""From pictures to a report's numbers: means over an asset's pictures, then over assets."""

import pytest

from near_core.lab.evaluation.summary import PictureScore, summarize_categories, summarize_tasks


def score(task, asset, n, column, value):
    errors = {"object_psnr": value, "full_psnr": value + 1, "ssim": 0.5, "flip": value / 100, "alpha_iou": 1.0}
    return PictureScore(task, asset, n, column, errors)


ROWS = [score(1, "a", 0, "given", 20.0), score(1, "a", 1, "given", 30.0), score(1, "b", 0, "given", 40.0),
        score(1, "a", 0, "split-sum", 10.0), score(2, "b", 0, "given", 15.0), score(2, "b", 0, "own", 12.0)]


def test_an_asset_counts_once_however_many_pictures_it_has():
    numbers = summarize_tasks(ROWS)["tasks"]["1"]
    assert (numbers["n"], numbers["pictures"]) == (2, 3)
    assert numbers["object_psnr"] == {"mean": 32.5, "median": 32.5, "worst": 25.0}
    assert numbers["flip"]["worst"] == pytest.approx(0.4)  # the greatest, since less is better
    assert "lpips" not in numbers and "passes" not in numbers


def test_baselines_and_the_second_column_stand_apart():
    tasks = summarize_tasks(ROWS)["tasks"]
    assert tasks["1"]["baselines"]["split-sum"]["object_psnr"]["mean"] == 10 and "given" not in tasks["1"]["baselines"]
    assert tasks["2"]["own_camera_and_matte"]["object_psnr"]["mean"] == 12 and tasks["2"]["baselines"] == {}


def test_categories_count_the_given_column_alone():
    found = summarize_categories(ROWS, {"a": "toys", "b": ""})
    assert found["1"]["toys"]["object_psnr"]["mean"] == 25
    assert found["2"]["other"]["n"] == 1 and "toys" not in found["2"]
