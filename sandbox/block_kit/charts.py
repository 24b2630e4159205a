"""The charts of data visualizations.

Source: as for `blocks`.
"""

from collections.abc import Mapping

from sandbox.block_kit.shapes import Visit, accepted, array, number, obj, tagged, text

_LABEL = text(most=20)


def _above_zero(value: object, at: str, visit: Visit) -> None:
    number(value, at, visit)
    if isinstance(value, int | float) and not isinstance(value, bool) and not value > 0:
        visit.report(at, "must be greater than 0")


def two_charts(_: Mapping[str, object], at: str, visit: Visit) -> None:
    visit.charts += 1
    if visit.charts > 2:
        visit.report(at, "too many data_visualization blocks")


def _series_fit_the_axis(chart: Mapping[str, object], at: str, visit: Visit) -> None:
    """Each series has one point for every category, and a name of its own."""
    axis, series = chart.get("axis_config"), chart.get("series")
    categories = axis.get("categories") if isinstance(axis, dict) else None
    if not isinstance(categories, list) or not isinstance(series, list):
        return
    names: list[object] = []
    for index, one in enumerate(series):
        if not isinstance(one, dict):
            continue
        if one.get("name") in names:
            visit.report(f"{at}/series/{index}/name", "must be unique in the chart")
        names.append(one.get("name"))
        data = one.get("data")
        points = data if isinstance(data, list) else []
        labels = [point.get("label") for point in points if isinstance(point, dict)]
        if len(labels) != len(categories) or any(category not in labels for category in categories):
            visit.report(f"{at}/series/{index}/data", "must have one data point for each of the categories")


_PLOT = obj(
    {
        "type": accepted,
        "series": array(
            obj(
                {
                    "name": _LABEL,
                    "data": array(obj({"label": _LABEL, "value": number}, ("label", "value")), most=20),
                },
                ("name", "data"),
            ),
            most=12,
        ),
        "axis_config": obj(
            {"categories": array(_LABEL, most=20), "x_label": text(most=50), "y_label": text(most=50)},
            ("categories",),
        ),
    },
    ("series", "axis_config"),
    (_series_fit_the_axis,),
)
CHART = tagged(
    {
        "pie": obj(
            {
                "type": accepted,
                "segments": array(obj({"label": _LABEL, "value": _above_zero}, ("label", "value")), most=12),
            },
            ("segments",),
        ),
        "bar": _PLOT,
        "area": _PLOT,
        "line": _PLOT,
    }
)
