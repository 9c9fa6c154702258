"""Parameters of a package as its manifest lists them, made into the model that becomes a form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

__all__ = ["Parameter", "Text", "params_model"]

Value = bool | int | float | str
TYPES: dict[str, type] = {"number": float, "integer": int, "boolean": bool, "text": str}
LONGEST_TEXT = 2000


class Text(BaseModel):
    """A text in English and Japanese; English stands in where there is no Japanese."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: str = Field(default="", max_length=4000)
    ja: str = Field(default="", max_length=4000)

    def in_language(self, language: str) -> str:
        """Return the text for a reader of a language, ``"en"`` or ``"ja"``.

        >>> Text(en="texture").in_language("ja")
        'texture'
        """
        return self.ja if language == "ja" and self.ja else self.en


class Parameter(BaseModel):
    """One parameter: its name in the script, its kind, and what a user reads beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    type: Literal["number", "integer", "boolean", "text", "choice"]
    default: Value
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    title: Text = Text()
    description: Text = Text()

    @model_validator(mode="after")
    def _fits_itself(self) -> Self:
        ranged = self.minimum is not None or self.maximum is not None
        if ranged and self.type not in ("number", "integer"):
            raise PydanticCustomError(
                "limits_of_numbers",
                "minimum and maximum must be of numbers, got a {got}",
                {"got": self.type},
            )
        if (self.type == "choice") != bool(self.choices):
            raise PydanticCustomError(
                "choices_of_choice", "choices must come with type choice, and a choice with choices"
            )
        if self.name.startswith("model_"):
            raise PydanticCustomError(
                "name_of_pydantic",
                "a name must not begin with model_, got {got}; rename it",
                {"got": repr(self.name)},
            )
        try:
            params_model("check", [self])
        except ValidationError as error:
            reason = "; ".join(problem["msg"] for problem in error.errors())
            raise PydanticCustomError(
                "default_of_parameter",
                "the default must fit type and limits, got {got}: {reason}",
                {"got": repr(self.default), "reason": reason},
            ) from error
        return self


def params_model(name: str, parameters: Sequence[Parameter]) -> type[BaseModel]:
    """Return the pydantic model of parameters, each with default, limits, unit and texts.

    Raises
    ------
    ValueError
        When a default does not fit its own limits.
    """
    fields: dict[str, Any] = {
        parameter.name: (_type(parameter), _field(parameter)) for parameter in parameters
    }
    config = ConfigDict(frozen=True, extra="forbid", validate_default=True, strict=False)
    model: type[BaseModel] = create_model(name, __config__=config, **fields)
    model()  # the defaults must fit
    return model


def _type(parameter: Parameter) -> Any:
    return Literal[parameter.choices] if parameter.type == "choice" else TYPES[parameter.type]


def _field(parameter: Parameter) -> Any:
    limits: dict[str, Any] = {}
    if parameter.type == "text":
        limits["max_length"] = LONGEST_TEXT
    if parameter.type in ("number", "integer"):
        # Infinity and NaN are no one's wish, and no limit would stop a NaN.
        limits |= {"allow_inf_nan": False} if parameter.type == "number" else {}
        limits |= {"ge": parameter.minimum} if parameter.minimum is not None else {}
        limits |= {"le": parameter.maximum} if parameter.maximum is not None else {}
    unit = f", {parameter.unit}" if parameter.unit else ""
    return Field(
        default=parameter.default,
        title=parameter.title.en or parameter.name,
        description=(parameter.description.en + unit).lstrip(", "),
        json_schema_extra={
            "unit": parameter.unit,
            "title_ja": parameter.title.in_language("ja") or parameter.name,
            "description_ja": (parameter.description.in_language("ja") + unit).lstrip(", "),
        },
        **limits,
    )
