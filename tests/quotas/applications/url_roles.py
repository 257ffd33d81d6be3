from typing import Any

from django.core.files.base import ContentFile

from quotas.applications.models import Attachment, Comment
from quotas.applications.services import (
    answers_save,
    application_begin,
    application_return,
    attachment_add,
    draft_submit,
    writer_add,
)
from tests.portal.files.making import pdf
from tests.quotas import makers
from tests.quotas.applications.conftest import complete_texts, submit
from tests.urls.roles import Row, World

READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}
# Lan manages the organisation. Thảo, a member, was named to write the draft and the returned application.
WRITERS = {"organisation_manager": 200, "organisation_member": 200}
REFUSED = {"organisation_manager": 422, "organisation_member": 422}
WRITERS_POST = {"organisation_manager": 302, "organisation_member": 302}


def prepare(world: World) -> None:
    """One that is in review (without a call), a draft, and one that was returned with a comment and has a file."""
    world.programme = makers.programme()
    world.call = makers.call(world.programme)
    world.submitted = submit(world.organisation_manager, world.organisation, world.programme)
    lan, thao = world.organisation_manager, world.organisation_member
    world.draft, world.returned = (
        application_begin(person=lan, organisation=world.organisation, call=world.call) for _ in range(2)
    )
    for one in (world.draft, world.returned):
        writer_add(person=lan, application=one, user=thao)
        answers_save(person=lan, application=one, texts=complete_texts())
    upload = ContentFile(pdf(), name="plan.pdf")
    attachment_add(person=lan, application=world.returned, upload=upload)
    draft_submit(person=lan, application=world.returned)
    application_return(
        person=world.operator, application=world.returned, comments={"purpose": "Thêm chi tiết"}, reason="Chưa rõ"
    )
    world.comment = Comment.objects.get()
    world.attachment = Attachment.objects.get()


def begin(world: World) -> dict[str, Any]:
    return {"organisation": world.organisation.pk, "call": world.call.slug}


def submitted(world: World) -> list[Any]:
    return [world.submitted.pk]


def draft(world: World) -> list[Any]:
    return [world.draft.pk]


def returned(world: World) -> list[Any]:
    return [world.returned.pk]


def section(world: World) -> list[Any]:
    return [world.draft.pk, "project"]


def review(world: World) -> list[Any]:
    return [world.draft.pk, "review"]


def field(world: World) -> list[Any]:
    return [world.draft.pk, "purpose"]


def empty_field(world: World) -> list[Any]:
    return [world.draft.pk, "open_plan"]


def attachment(world: World) -> list[Any]:
    return [world.returned.pk, world.attachment.pk]


def comment(world: World) -> list[Any]:
    return [world.returned.pk, world.comment.pk]


def answer_file(world: World) -> list[Any]:
    return [world.draft.pk, "q.q4"]


def writer(world: World) -> list[Any]:
    return [world.draft.pk, world.organisation_member.pk]


ROWS = [
    Row("applications:list", 200),
    # A member who writes a draft may take an estimate over into it.
    Row("applications:begin", 404, organisation_manager=200, outsider=200, organisation_member=200),
    # A manager of another organisation can apply, but not for this one: the form says so.
    Row("applications:begin", 404, post=begin, organisation_manager=302, outsider=422, organisation_member=422),
    Row("applications:card", 204, organisation_manager=200, outsider=200, organisation_member=200),
    Row("applications:detail", 404, args=submitted, organisation_manager=200, **READERS),
    # A draft is the organisation's own: for the centre it does not exist yet.
    Row("applications:detail", 404, args=draft, **WRITERS),
    Row("applications:detail", 404, args=returned, **WRITERS, **READERS),
    Row("applications:section", 404, args=section, **WRITERS),
    Row("applications:section", 404, args=review, **WRITERS),
    Row("applications:section", 404, post={"next": "model"}, args=section, **WRITERS_POST),
    Row("applications:field", 404, args=field, **WRITERS),
    Row("applications:field", 404, post={"open_plan": "x"}, args=empty_field, **WRITERS),
    # Somebody else wrote there meanwhile: both texts are shown.
    Row(
        "applications:field", 404, post={"purpose": "x"}, args=field, organisation_manager=422, organisation_member=422
    ),
    Row("applications:submit", 404, post={}, args=draft, organisation_manager=302),
    Row("applications:submit", 405, args=draft, anonymous=405),
    Row("applications:take_over", 404, post={"gpu_hours": "96"}, args=draft, **WRITERS_POST),
    Row("applications:adopt", 404, post={}, args=draft, **WRITERS_POST),
    Row("applications:resolve", 404, post={}, args=comment, **WRITERS_POST),
    Row("applications:attach", 404, post={}, args=draft, **REFUSED),
    Row("applications:attachment", 404, args=attachment, **WRITERS, **READERS),
    Row("applications:attachment_remove", 404, post={}, args=attachment, **WRITERS_POST),
    Row("applications:answer_file", 404, post={}, args=answer_file, **WRITERS_POST),
    Row("applications:writer_add", 404, post={}, args=draft, organisation_manager=422),
    Row("applications:writer_remove", 404, post={}, args=writer, organisation_manager=302),
    Row("applications:withdraw", 404, post={}, args=submitted, organisation_manager=302),
    Row("applications:withdraw", 405, args=submitted, anonymous=405),
    Row("applications:return", 404, args=submitted, **READERS | {"approver": 404, "auditor": 404}),
    Row("applications:return", 404, post={"reason": "x"}, args=submitted, operator=302, second_operator=302),
]
