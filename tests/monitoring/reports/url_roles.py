from tests.urls.roles import Row, World

READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}


def organisation(world: World) -> list[str]:
    return [world.organisation.slug]


ROWS = [
    # Two organisations: managers have one report and go there, readers choose.
    Row("reports:list", 404, organisation_manager=302, outsider=302, **READERS),
    Row("reports:organisation", 404, args=organisation, organisation_manager=200, **READERS),
    Row(
        "reports:organisation",
        404,
        args=organisation,
        query="?from=2026-02-02&to=2026-02-01",
        organisation_manager=422,
        **dict.fromkeys(READERS, 422),
    ),
    Row("reports:organisation_csv", 404, args=organisation, organisation_manager=200, **READERS),
    Row("reports:throughput", 404, args=organisation, organisation_manager=200, **READERS),
    Row(
        "reports:throughput",
        404,
        args=organisation,
        query="?from=2026-02-02&to=2026-02-01",
        organisation_manager=422,
        **dict.fromkeys(READERS, 422),
    ),
    Row("reports:throughput_csv", 404, args=organisation, organisation_manager=200, **READERS),
    # No award yet: nothing to say, to anybody who may see the organisation.
    Row(
        "reports:organisation_card",
        404,
        args=organisation,
        researcher=204,
        pi=204,
        organisation_member=204,
        organisation_manager=204,
        **dict.fromkeys(READERS, 204),
    ),
    Row("reports:home_card", 204),
]
