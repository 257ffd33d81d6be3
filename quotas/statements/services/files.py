"""The files of an issued statement: made once, by a worker, and kept as bytes."""

import hashlib
from collections.abc import Iterator

from django.conf import settings
from django.db import transaction
from django.utils import translation

from portal.clock import now
from portal.outbox.services import message_write
from portal.people.models import Membership, User
from portal.spreadsheet import csv_text
from quotas.statements.models import Statement, StatementFile
from quotas.statements.renderers.document import document_of, flat_rows
from quotas.statements.renderers.pdf import pdf_of

Format = StatementFile.Format


def files_make(*, statement_id: int) -> int:
    """Makes and stores the files that the statement still lacks, and tells the organisation's managers by mail; answers
    how many. Again: nothing. Raises TypesettingFailed; what was made before stays then, for the next try."""
    statement = Statement.objects.get(pk=statement_id)
    known = set(statement.files.values_list("format", "language"))
    made = 0
    for format, language, content in _missing(statement, known):
        with transaction.atomic():
            _, created = StatementFile.objects.get_or_create(
                statement=statement,
                format=format,
                language=language,
                defaults={
                    "content": content,
                    "size_bytes": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "made_at": now(),
                },
            )
            made += created
    with transaction.atomic():
        for manager in _managers(statement):
            payload: dict[str, object] = {"statement": statement.pk, "user": manager.pk}
            message_write(topic="statements.mail", key=f"{statement.number}:{manager.pk}", payload=payload)
    return made


def _missing(statement: Statement, known: set[tuple[str, str]]) -> Iterator[tuple[str, str, bytes]]:
    # Here, because the library takes 0.2 s to load and every process of the portal loads this module.
    from quotas.statements.renderers.xlsx import xlsx_of  # noqa: PLC0415

    if (Format.JSON, "") not in known:
        yield Format.JSON, "", statement.content.encode()
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            document = document_of(statement.read(), statement.sha256)
            if (Format.CSV, language) not in known:
                yield Format.CSV, language, csv_text(flat_rows(document)).encode()
            if (Format.XLSX, language) not in known:
                yield Format.XLSX, language, xlsx_of(document)
            if (Format.PDF, language) not in known:
                yield Format.PDF, language, pdf_of(document)


def _managers(statement: Statement) -> Iterator[User]:
    managers = statement.organisation.memberships.filter(role=Membership.Role.MANAGER, user__is_active=True)
    yield from (row.user for row in managers.select_related("user").order_by("user_id"))
