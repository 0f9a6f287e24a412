"""What a setting may be: the types that the sections of params.yaml share."""

from typing import Annotated

from pydantic import ConfigDict, Field, functional_validators


def _whole(found: object) -> object:
    """1e5 and 100000.0, as people and DVC write them, are whole numbers too."""
    return int(found) if isinstance(found, float) and found.is_integer() else found


STRICT = ConfigDict(extra="forbid", strict=True)
Whole = Annotated[int, functional_validators.BeforeValidator(_whole)]
Count = Annotated[Whole, Field(ge=1)]
Seed = Annotated[Whole, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Dpi = Annotated[float, Field(ge=50, le=5000)]
LearningRate = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
Resamples = Annotated[Whole, Field(ge=100, le=100_000)]  # of the fingers, for 95 % intervals
Pictures = Annotated[Whole, Field(ge=1, le=50)]  # prints shown for each sensor
