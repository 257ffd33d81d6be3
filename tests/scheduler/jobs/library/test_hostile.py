"""A file, whoever wrote it, is a preset or is refused; whatever it says, values stay in their shell words."""

import contextlib
import subprocess

from django.forms import Form
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.jobs.form.chaining_form import ChainingForm
from scheduler.jobs.form.data_sets_form import DataSetsForm
from scheduler.jobs.form.forms import JobForm
from scheduler.jobs.form.preset_fields import place_fields
from scheduler.jobs.library.checking import script_of
from scheduler.jobs.presets import presets
from scheduler.jobs.presets.definition import KINDS, TAKEN, PresetInvalid, preset_make
from scheduler.jobs.presets.writing import figures_of, figures_tidy, figures_write
from tests.scheduler.jobs.presets.test_values import HOSTILE, TEXT

FIGURES = figures_of(presets()["pytorch-single"])
SCRIPT = presets()["pytorch-single"].script
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.sampled_from(HOSTILE))
ANYTHING = st.recursive(
    SCALAR,
    lambda deeper: st.one_of(st.lists(deeper, max_size=3), st.dictionaries(TEXT, deeper, max_size=3)),
    max_leaves=6,
)
FIELD_KEYS = [*FIGURES["fields"][0], "help", "least", "most", "choices", "suggestions", "default"]


@settings(max_examples=200, deadline=None)
@given(key=st.sampled_from([*FIGURES, "nodes_most", "parallel", "x"]), value=ANYTHING)
def test_any_figures_are_a_preset_or_refused(key, value):
    with contextlib.suppress(PresetInvalid):
        preset = preset_make("mine", FIGURES | {key: value}, SCRIPT)
        assert preset_make("mine", figures_of(preset), SCRIPT) == preset


@settings(max_examples=200, deadline=None)
@given(key=st.sampled_from(FIELD_KEYS), value=ANYTHING, kind=st.sampled_from(KINDS))
def test_any_field_is_one_or_refused(key, value, kind):
    field = {"name": "mine", "kind": kind, "title": {"en": "a", "vi": "b"}, "least": 0, "most": 9} | {key: value}
    figures = FIGURES | {"fields": [*FIGURES["fields"], field]}
    with contextlib.suppress(PresetInvalid):
        preset = preset_make("mine", figures, SCRIPT.replace("\n@{folders}", "mine=@{mine}\n\n@{folders}"))
        figures_write(figures_tidy(figures_of(preset)))


@settings(max_examples=40, deadline=None)
@given(value=st.one_of(TEXT, st.sampled_from(HOSTILE)), kind=st.sampled_from(["text", "words", "path", "choice"]))
def test_an_operators_default_stays_in_its_shell_word(value, kind):
    field = {"name": "mine", "kind": kind, "title": {"en": "a", "vi": "b"}, "default": value}
    if kind == "choice":
        field["choices"] = [value]
    figures = FIGURES | {"fields": [*FIGURES["fields"], field]}
    script = SCRIPT.replace("\n@{folders}", "mine=@{mine}\n\n@{folders}")
    with contextlib.suppress(PresetInvalid):
        preset = preset_make("mine", figures, script)
        written = script_of(preset, 1, 1, "system")
        [line] = [line for line in written.script.split("\n") if line.startswith("mine=")]
        # bash reads the line as one assignment and nothing else.
        shown = subprocess.run(
            ["/bin/bash", "-c", f'{line}\nprintf "%s\\0" "${{mine[@]}}"'], capture_output=True, check=True
        )
        assert shown.stderr == b""
        if kind != "words" and not written.problems:
            assert shown.stdout.decode().rstrip("\0") == value.strip()


def test_no_field_of_a_preset_can_take_the_place_of_one_of_the_form():
    forms: list[type[Form]] = [JobForm, ChainingForm, DataSetsForm]
    ours = {name for form in forms for name in form.base_fields} | set(place_fields(presets()["lora"]))
    # `restarts` is the form's own where a preset does not know it.
    assert ours - {"restarts"} <= TAKEN
