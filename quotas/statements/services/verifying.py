"""Is what was issued still what the ledger says? Every statement is computed anew, in another way than at its issue:
balances are added up from the first transfer on, not taken from the accounts' totals."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from portal.clock import now
from quotas.statements.canonical import canonical, sha256_of
from quotas.statements.compiling import figures_from_log, known_to
from quotas.statements.errors import DoesNotAddUp
from quotas.statements.figures import Content, is_empty, summary_of
from quotas.statements.models import Check, Period, Statement, StatementFile
from quotas.statements.services.issuing import organisations_due

MOST_SAID = 20  # differences of one statement that are written out


@dataclass(frozen=True, slots=True)
class Difference:
    number: str  # of the statement; of the year, where numbers are missing
    what: str
    corrected_by: str = ""


@dataclass
class Verified:
    statements: int = 0
    files: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """A statement that was corrected by a later one may differ: that is what the later one is for."""
        return not any(not difference.corrected_by for difference in self.differences)


def statements_verify(*, organisation: str = "", month: str = "") -> Verified:
    """Verifies every issued statement (of one organisation by slug, of one month as YYYY-MM) and keeps what it found
    for the statement's page."""
    rows = Statement.objects.select_related("period", "organisation", "corrected_by").order_by(
        "organisation_id", "period_id", "pk"
    )
    if organisation:
        rows = rows.filter(organisation__slug=organisation)
    if month:
        rows = rows.filter(period__month=f"{month}-01")
    verified = Verified()
    for _organisation, group in groupby(rows.iterator(chunk_size=200), key=lambda row: row.organisation_id):
        statements = list(group)
        for _statement, differences in _of_organisation(statements):
            verified.statements += 1
            verified.differences += differences
    verified.files = _files(rows.values("pk"), verified)
    if not organisation and not month:
        verified.differences += [*_gaps(), *_missing()]
    return verified


def _of_organisation(statements: list[Statement]) -> Iterator[tuple[Statement, list[Difference]]]:
    periods = sorted({row.period for row in statements}, key=lambda period: period.month)
    anew = _computed(statements[0].organisation, periods)
    for statement in statements:
        said = list(_differences(statement, anew[statement.period.month]))
        Check.objects.update_or_create(
            statement=statement, defaults={"checked_at": now(), "differences": said[:MOST_SAID]}
        )
        later = getattr(statement, "corrected_by", None)
        yield statement, [Difference(statement.number, what, later.number if later else "") for what in said]


def _computed(organisation: Any, periods: list[Period]) -> dict[Any, Content | str]:
    try:
        return {period.month: figures for period, figures in figures_from_log(organisation, periods)}
    except DoesNotAddUp as error:
        return dict.fromkeys((period.month for period in periods), f"the ledger does not add up: {error}")


def _differences(statement: Statement, anew: Content | str) -> Iterator[str]:
    if sha256_of(statement.content) != statement.sha256:
        yield "the content is not what was hashed at issue"
    content = json.loads(statement.content)
    if canonical(content) != statement.content:
        yield "the content is not in canonical form"
    if content["number"] != statement.number:
        yield f"the content says {content['number']}"
    if summary_of(content) != statement.summary:
        yield "the totals in lists are not those of the content"
    if isinstance(anew, str):
        yield anew
        return
    for key, value in known_to(content, anew).items():
        yield from _compared(key, content[key], value)


def _compared(where: str, issued: Any, ledger: Any) -> Iterator[str]:
    """The places where two values differ, each with both."""
    if isinstance(issued, dict) and isinstance(ledger, dict):
        for key in sorted(issued.keys() | ledger.keys()):
            yield from _compared(f"{where}.{key}", issued.get(key), ledger.get(key))
    elif isinstance(issued, list) and isinstance(ledger, list) and len(issued) == len(ledger):
        for number, (one, other) in enumerate(zip(issued, ledger, strict=True)):
            yield from _compared(f"{where}[{number}]", one, other)
    elif issued != ledger:
        yield f"{where}: issued {_short(issued)}, the ledger says {_short(ledger)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"


def _files(statements: Any, verified: Verified) -> int:
    """Stored files against their hashes, a few at a time: they are large."""
    rows = StatementFile.objects.filter(statement__in=statements).select_related("statement")
    count = 0
    for row in rows.iterator(chunk_size=50):
        count += 1
        is_content = row.format != StatementFile.Format.JSON or bytes(row.content).decode() == row.statement.content
        if hashlib.sha256(row.content).hexdigest() != row.sha256 or not is_content:
            verified.differences.append(Difference(row.statement.number, f"the stored {row.format} is another file"))
    return count


def _gaps() -> Iterator[Difference]:
    year, last = None, 0
    for of, sequence in Statement.objects.order_by("year", "sequence").values_list("year", "sequence"):
        last = last if of == year else 0
        if sequence != last + 1:
            yield Difference(str(of), f"no statement has the numbers {last + 1} to {sequence - 1}")
        year, last = of, sequence


def _missing() -> Iterator[Difference]:
    """Organisations that had something in a period whose statements were issued, and got none."""
    for period in Period.objects.filter(issued_at__isnull=False):
        known = period.statements.values("organisation")
        for organisation in organisations_due(period).exclude(pk__in=known):
            for _period, figures in figures_from_log(organisation, [period]):
                if not is_empty(figures):
                    yield Difference(f"{period.month:%Y-%m}", f"{organisation.slug} has no statement")
