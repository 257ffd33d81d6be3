from tests.scheduler.jobs.library.makers import saved
from tests.urls.roles import Row, World

OPERATORS = ("operator", "second_operator")
KEEP = dict.fromkeys(OPERATORS, 200)
ACT = dict.fromkeys(OPERATORS, 302)


def prepare(world: World) -> None:
    saved(world.operator, "hello-gpu")


def preset(world: World) -> list[object]:
    return ["hello-gpu"]


def first(world: World) -> list[object]:
    return ["hello-gpu", 1]


WHY = {"seen": 0, "why": "x"}
ROWS = [
    Row("library:list", 404, **KEEP),
    Row("library:new", 404, **KEEP),
    Row("library:new", 404, post={}, **dict.fromkeys(OPERATORS, 422)),
    Row("library:import", 404, **KEEP),
    Row("library:import", 404, post={"why": "x"}, **dict.fromkeys(OPERATORS, 422)),
    Row("library:check", 404, post={}, **KEEP),
    Row("library:preset", 404, args=preset, **KEEP),
    Row("library:edit", 404, args=preset, **KEEP),
    Row("library:edit", 404, args=preset, post={}, **dict.fromkeys(OPERATORS, 422)),
    Row("library:compare", 404, args=preset, **KEEP),
    Row("library:withdraw", 404, args=preset, **KEEP),
    Row("library:withdraw", 404, args=preset, post=WHY, **ACT),
    Row("library:edition", 404, args=first, **KEEP),
    Row("library:offer", 404, args=first, **KEEP),
    Row("library:offer", 404, args=first, post=WHY, **ACT),
    Row("library:definition", 404, args=first, **KEEP),
    Row("library:script", 404, args=first, **KEEP),
    Row("library:preset", 404, args=lambda world: ["no-such"]),
    Row("library:edition", 404, args=lambda world: ["hello-gpu", 2]),
]
