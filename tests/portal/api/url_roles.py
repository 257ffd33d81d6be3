from datetime import timedelta

from portal.api.services import token_make
from tests.portal.api.programs import carrying
from tests.urls.roles import Row, World


def prepare(world: World) -> None:
    world.token, _secret = token_make(
        person=world.researcher, name="notebook", scopes=["read"], life=timedelta(days=30)
    )


ROWS = [
    Row("api:tokens", 200),
    Row("api:tokens", 422, post={"name": ""}),
    Row("api:revoke", 404, args=lambda world: [world.token.pk], post={}, researcher=302),
    Row("api_v1:openapi", 200, anonymous=200),
    Row("api_v1:me", 401, anonymous=401),  # a session opens nothing
    Row("api_v1:me", 200, anonymous=401, client=carrying("operate")),
]
