"""Conditions: the cost of the main set-ups with 10 % sampling, with sync workers, and on PostgreSQL."""

from typing import Any

from telemetry.tools.compare.scenarios.condition import SAMPLED, SYNC, Condition
from telemetry.tools.compare.scenarios.context import Context, Scenario, Step
from telemetry.tools.compare.scenarios.cost import Cost
from telemetry.tools.compare.setups.database import DatabaseError
from telemetry.tools.compare.setups.route import CONDITIONS_VARIANTS


class Conditions(Scenario):
    """The scenario cost, once for each condition. PostgreSQL is included if `--postgres` names a server."""

    key = "conditions"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        found = [SAMPLED, SYNC]
        if context.options.postgres:
            found.append(_on_postgres(context))
        variants = [variant for variant in context.variants if variant.key in CONDITIONS_VARIANTS]
        self._costs = [(condition, Cost(context, variants, condition)) for condition in found]

    def steps(self) -> list[Step]:
        return [step for _, cost in self._costs for step in cost.steps()]

    def found_problems(self) -> list[str]:
        return [problem for _, cost in self._costs for problem in cost.problems]

    def result(self) -> dict[str, Any]:
        results = [{"key": condition.key, "title": condition.title, **cost.result()} for condition, cost in self._costs]
        columns = [one for one in results if one["variants"]]
        return {"columns": columns} if columns else {}


def _on_postgres(context: Context) -> Condition:
    try:
        place = context.stack.enter_context(context.project.database(context.options.postgres, context.folder))
    except DatabaseError as error:
        raise DatabaseError(f"--postgres: {error}") from None
    return Condition("postgresql", f"{place.description}, psycopg's pool", database=place)
