from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from bl_steer.processing.registry import find_analysis, make_params
from bl_steer.server.languages import text
from bl_steer.server.web.forms import PREFIX, FormField, fields_of, problems_of, values_of


class Params(BaseModel):
    width_nm: float = Field(10.0, gt=0, le=1e6, description="of a step")
    number: int = Field(4, ge=1, le=32)
    voxel_nm: tuple[float, float, float] | None = None
    method: Literal["quick", "good"] = "quick"
    views: Literal[1, 2, 4] = 1
    smooth: bool = True
    note: str = "as is"
    limit_s: float | None = Field(None, gt=0)


def lines(language: str = "en", **options: object) -> dict[str, FormField]:
    made = fields_of(Params, analysis="example", language=language, **options)  # type: ignore[arg-type]
    return {one.name: one for one in made}


def form(**typed: str) -> dict[str, str]:
    return {f"{PREFIX}{name}": value for name, value in typed.items()}


def test_each_parameter_is_a_line_with_its_kind_unit_default_and_limits() -> None:
    made = lines()
    assert {name: one.kind for name, one in made.items()} == {
        "width_nm": "number",
        "number": "integer",
        "voxel_nm": "list",
        "method": "choice",
        "views": "choice",
        "smooth": "flag",
        "note": "text",
        "limit_s": "number",
    }
    width = made["width_nm"]
    assert (width.unit, width.shown, width.help) == ("nm", "10", "Of a step.")
    assert width.limits == "More than 0. At most 1,000,000."
    assert made["limit_s"].optional
    assert made["views"].choices == (("1", "1"), ("2", "2"), ("4", "4"))
    assert "0 より大きい値" in lines("ja")["width_nm"].limits


def test_a_decimal_comma_is_a_point_and_one_that_may_part_thousands_is_refused() -> None:
    typed = form(width_nm="0,5", limit_s="１,５e3", voxel_nm="0,5; 0,5; 1,25")
    model = Params.model_validate(values_of(Params, typed))
    assert (model.width_nm, model.limit_s, model.voxel_nm) == (0.5, 1500.0, (0.5, 0.5, 1.25))
    for language, word in (("en", "decimals or thousands, got 1,000"), ("ja", "1,000")):
        problems = problems_of(Params, values_of(Params, form(width_nm="1,000")), language)
        assert word in problems["width_nm"]


def test_what_is_typed_becomes_values_that_fit_the_model() -> None:
    typed = form(
        width_nm="2.5", number="7", voxel_nm="100, 10,10", method="good", views="4", note="x"
    ) | {f"{PREFIX}smooth.is": "1"}
    values = values_of(Params, typed)
    assert problems_of(Params, values, "en") == {}
    read = Params.model_validate(values)
    assert read == Params(
        width_nm=2.5,
        number=7,
        voxel_nm=(100, 10, 10),
        method="good",
        views=4,
        smooth=False,
        note="x",
    )


def test_empty_boxes_leave_the_defaults_and_full_width_digits_are_digits() -> None:
    values = values_of(Params, form(width_nm="", number="\uff11\uff12", limit_s=" "))
    assert Params.model_validate(values) == Params(number=12)


def test_problems_are_told_beside_the_box_in_the_users_language_with_what_was_typed() -> None:
    values = values_of(Params, form(width_nm="-3", number="many", voxel_nm="1,2", method="odd"))
    english, japanese = (problems_of(Params, values, one) for one in ("en", "ja"))
    assert english["width_nm"] == "Must be more than 0, got -3."
    assert english["number"] == "Must be a whole number, got many."
    assert set(english) == {"width_nm", "number", "voxel_nm", "method"}
    assert "整数" in japanese["number"]
    shown = lines(values=values, problems=english)
    assert shown["width_nm"].shown == "-3"
    assert shown["width_nm"].problem


@pytest.mark.parametrize("typed", ["400", "1, 2", "1, 2, 3, 4"])
def test_too_few_or_too_many_edges_of_a_voxel_are_told_as_such(typed: str) -> None:
    problems = problems_of(Params, values_of(Params, form(voxel_nm=typed)), "en")
    said = f"Must be three numbers z, y, x, separated by commas, got {typed}."
    assert problems == {"voxel_nm": said}


@pytest.mark.parametrize(
    "typed",
    [
        "0,0,0",
        "-1,2,3",
        "nan,1,1",
        "1e400,1,1",
        "1,inf,1",
        "1,1,1e-9",
        "1e300,1e300,1e300",
        "1;0,0;1",
    ],
)
@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_voxel_that_cannot_be_is_refused_at_the_form(typed: str, language: str) -> None:
    model = find_analysis("structure").Params
    values = values_of(model, form(voxel_size_nm=typed))
    problems = problems_of(model, values, language)
    shown = ", ".join(values["voxel_size_nm"])
    told = text(language, "invalid.value_error.voxel_size_nm", got=shown)
    assert problems == {"voxel_size_nm": told}
    with pytest.raises(ValueError, match="a voxel must have"):
        make_params(find_analysis("structure"), {"voxel_size_nm": values["voxel_size_nm"]})


@pytest.mark.parametrize("typed", ["-1,2,30,30", "1,-2,30,30", "1,2,0,30", "1,2,30,15"])
@pytest.mark.parametrize("analysis", ["align-slices", "reconstruct"])
def test_a_box_of_marks_that_cannot_be_is_refused_at_the_form(typed: str, analysis: str) -> None:
    model = find_analysis(analysis).Params
    (said,) = problems_of(model, values_of(model, form(marks=typed)), "en").values()
    assert said.startswith("Must be a box")
    assert problems_of(model, values_of(model, form(marks="1,2,30,30")), "en") == {}


def test_true_is_no_number() -> None:
    advise = find_analysis("advise")
    for name in ("pitch", "n_points", "seed"):
        assert problems_of(advise.Params, {name: True}, "en") == {
            name: "Must be a number, got true."
        }
        with pytest.raises(ValueError, match=f"{name}=True .must be a number"):
            make_params(advise, {name: True})
    assert problems_of(Params, {"voxel_nm": [1, True, 1]}, "en").keys() == {"voxel_nm"}
    assert problems_of(Params, {"views": True}, "en").keys() == {"views"}
    assert problems_of(Params, {"smooth": True, "width_nm": 1, "number": 2}, "en") == {}


def test_packages_bring_their_texts_in_both_languages() -> None:
    class Packaged(BaseModel):
        size: float = Field(
            1.0,
            title="Size",
            description="of a grain",
            json_schema_extra={"unit": "mm", "title_ja": "粒径", "description_ja": "粒の大きさ"},
        )

    for (
        language,
        label,
        help_,
    ) in (("en", "Size", "Of a grain."), ("ja", "粒径", "粒の大きさ。")):
        (one,) = fields_of(Packaged, analysis="grains", language=language)
        assert (one.label, one.help, one.unit) == (label, help_, "mm")


@given(st.dictionaries(st.sampled_from(list(Params.model_fields)), st.text(max_size=40)))
def test_whatever_is_typed_gives_values_or_problems_and_is_shown_again(
    typed: dict[str, str],
) -> None:
    values = values_of(Params, form(**typed))
    problems = problems_of(Params, values, "ja")
    assert set(problems) <= set(Params.model_fields)
    assert len(lines(values=values, problems=problems)) == len(Params.model_fields)


@pytest.mark.parametrize("name", list(Params.model_fields))
def test_the_default_shown_and_sent_again_is_the_default(name: str) -> None:
    shown = lines()[name].shown
    values = values_of(Params, form(**{name: shown}) if isinstance(shown, str) else {})
    assert Params.model_validate(values) == Params()


@pytest.mark.parametrize("language", ["en", "ja"])
def test_analyses_of_tables_say_how_a_table_must_look(site: Any, language: str) -> None:
    site.user()
    browser = site.browser()
    browser.post("/language", {"language": language})
    for name in ("components", "advise"):
        words = text(language, f"format.{name}")
        assert words in browser.get("/analyses").text
        assert words in browser.get(f"/analyses/{name}").text


@pytest.mark.parametrize("value", ["1e400", "NaN", "1e7"])
@pytest.mark.parametrize("analysis", ["segment", "superres"])
def test_a_pixel_size_beyond_any_microscope_is_refused(analysis: str, value: str) -> None:
    params: Any = find_analysis(analysis).Params
    problems = problems_of(params, values_of(params, {f"{PREFIX}pixel_size_nm": value}), "en")
    assert set(problems) == {"pixel_size_nm"}


@pytest.mark.parametrize("name", ["steps", "channels", "blocks", "n_phases", "seed"])
def test_numbers_of_a_training_have_an_upper_limit(name: str) -> None:
    params: Any = find_analysis("superres").Params
    problems = problems_of(params, {name: 10**12}, "en")
    assert "Must be" in problems[name]
