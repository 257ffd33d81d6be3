"""What a job script may hold, and what the portal makes of it. Pure: text in, text or problems out.

The form owns every option that decides what a job costs, as whom it runs and where its output lies: the submit wrapper
passes them on sbatch's command line, which wins over the script. A script may carry a few harmless ones; all others are
refused by name, so that nobody believes in an option that does nothing. The reading follows sbatch's own
(src/sbatch/opt.c): a line counts from its first column, quotes and backslashes as there, and everything from the first
command on is not read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

MAX_SCRIPT_BYTES = 1_048_576  # far above any script; Slurm's own max_script_size is 4 MiB
BLOCK_BEGIN = "# >>> saola: written by the portal from the form, changes here are replaced >>>"
BLOCK_END = "# <<< saola <<<"
# After --export=NONE srun would hand its tasks an environment without PATH. sbatch stops reading options at the first
# command, so this line, a command itself, stands below the block's options, and the block below all others.
EXPORT_LINE = "export SLURM_EXPORT_ENV=ALL"

_SHEBANG = re.compile(
    r"#![ \t]*(?:(?:/usr)?/bin/(?:bash|sh)|/usr/bin/env[ \t]+(?:bash|sh))(?:[ \t]+-[abefhiklmnptuvxBCEHPT]+)?[ \t]*"
)
_DIRECTIVES = ("#SBATCH", "#SLURM")  # the second is sbatch's old spelling, which it still reads
_FOREIGN = ("#PBS", "#BSUB")
ANY_DIRECTIVE = (*_DIRECTIVES, *_FOREIGN)
_SPACE = " \t\v\f\r"  # C's isspace; a no-break space is none
_TIME = r"[A-Za-z0-9:+./-]{1,40}"

# Option → what its value may look like; None: it takes no value. None of them changes TRES, time, account or identity.
ALLOWED_OPTIONS: dict[str, str | None] = {
    "--begin": _TIME,
    "--deadline": _TIME,
    "--dependency": r"[a-z]+(?::[0-9_+]+)*(?:[,?][a-z]+(?::[0-9_+]+)*)*",
    "--kill-on-invalid-dep": r"yes|no",
    "--mail-type": r"[A-Z0-9_]+(?:,[A-Z0-9_]+)*",
    "--mail-user": r"[A-Za-z0-9][A-Za-z0-9._+-]*@[A-Za-z0-9][A-Za-z0-9.-]*",
    "--nice": r"\d{1,6}",
    "--no-requeue": None,
    "--open-mode": r"append|truncate",
    "--requeue": None,
    "--signal": r"(?:[BR]{1,2}:)?[A-Za-z0-9]{1,12}(?:@\d{1,5})?",
    "--wait-all-nodes": r"[01]",
}
_SHORT = {"-b": "--begin", "-d": "--dependency"}
_FORM_OWNS = frozenset(
    [
        *[
            "--job-name",
            "--account",
            "--qos",
            "--partition",
            "--nodes",
            "--gres",
            "--gpus",
            "--gpus-per-node",
            "--time",
        ],
        *["--comment", "--output", "--error", "--chdir", "--export"],
        *["-J", "-A", "-q", "-p", "-N", "-G", "-t", "-o", "-e", "-D"],
    ]
)


@dataclass(frozen=True)
class ScriptProblem:
    code: str
    line: int  # 1-based; 0: the whole script
    text: str | Promise
    figures: tuple[tuple[str, object], ...] = ()

    def __str__(self) -> str:
        sentence = str(self.text) % dict(self.figures)
        if not self.line:
            return sentence
        return gettext("Line %(line)d: %(sentence)s") % {"line": self.line, "sentence": sentence}


@dataclass(frozen=True)
class Block:
    """What the form decided, shown in the marked block; values are already checked (no quotes, no newlines)."""

    job_name: str
    account: str
    qos: str
    partition: str
    nodes: int
    gpu_type: str
    gpus_per_node: int
    time_limit: str  # Slurm's form: 1-02:00:00
    cpus_per_node: int = 0  # where there are no GPUs
    reservation: str = ""


@dataclass(frozen=True)
class Head:
    """What else the form writes into the block, from a preset: #SBATCH lines, and commands below them."""

    options: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


NOTHING = Head()


def _problem(code: str, line: int, text: str | Promise, **figures: object) -> ScriptProblem:
    return ScriptProblem(code, line, text, tuple(figures.items()))


def script_check(script: str) -> list[ScriptProblem]:
    """Everything that is wrong with a script, in the order of its lines. Empty: it may be submitted."""
    whole = _whole_problems(script)
    if whole:
        return whole
    lines = _block_blanked(script).split("\n")
    problems = [] if _SHEBANG.fullmatch(lines[0]) else [_shebang_problem(lines[0])]
    problems.extend(_mark_problems(lines))
    first_command = _first_command(lines)
    for number, line in enumerate(lines):
        foreign = next((word for word in _FOREIGN if line.startswith(word)), None)
        directive = next((word for word in _DIRECTIVES if line.startswith(word)), None)
        if foreign:
            problems.append(
                _problem(
                    "foreign",
                    number + 1,
                    _("%(word)s lines are for another scheduler. Remove them; the form has these options."),
                    word=foreign,
                )
            )
        elif directive and first_command is not None and number > first_command:
            problems.append(_late_problem(number + 1, line[len(directive) :]))
        elif directive:
            problems.extend(_directive_problems(number + 1, line[len(directive) :]))
    if first_command is None:
        problems.append(_problem("empty", 0, _("The script has no command.")))
    return problems


def script_render(script: str, block: Block, head: Head = NOTHING) -> str:
    """The script as it is submitted: the person's own lines, and among them the portal's marked block.

    The block stays where it stands, but never below the first command or above an option, which would make options
    that do nothing; where there is none yet it goes below the last option. Rendering what was rendered before gives
    the same again: the person's lines survive, ours are replaced. The script must have passed `script_check`.
    """
    lines = strip_block(script).split("\n")
    first_command = _first_command(lines)
    if first_command is None:
        raise ValueError("a script without a command")
    stood = _blocks(script.split("\n"))
    below = 1 + max(n for n, line in enumerate(lines[:first_command]) if n == 0 or line.startswith(_DIRECTIVES))
    place = min(max(below, stood[0][0] if stood else 0), first_command)
    rendered = [*lines[:place], *_block_lines(block, head), *lines[place:]]
    return "\n".join(rendered).rstrip("\n") + "\n"


def strip_block(script: str) -> str:
    """The person's own lines: the script without the portal's marked block (or blocks, if one was pasted twice)."""
    lines = script.split("\n")
    for begin, end in reversed(_blocks(lines)):
        del lines[begin : end + 1]
    return "\n".join(lines)


def block_opened(script: str) -> str:
    """The script with what a preset wrote into the block as the person's own lines, and without our marks."""
    lines = script.split("\n")
    for begin, end in reversed(_blocks(lines)):
        inside = lines[begin + 1 : end]
        ours = inside.index(EXPORT_LINE) + 1 if EXPORT_LINE in inside else 0
        kept = [line for line in inside[:ours] if line.startswith(_DIRECTIVES) and _may_say(line)]
        lines[begin : end + 1] = kept + inside[ours:]
    return "\n".join(lines)


def _may_say(line: str) -> bool:
    """Whether a person may write this option line, too."""
    return not list(_directive_problems(1, line.removeprefix(_DIRECTIVES[0])))


def _blocks(lines: list[str]) -> list[tuple[int, int]]:
    """First and last line of each marked block, from above."""
    found, begin = [], None
    for number, line in enumerate(lines):
        if line == BLOCK_BEGIN and begin is None:
            begin = number
        elif line == BLOCK_END and begin is not None:
            found.append((begin, number))
            begin = None
    return found


def _mark_problems(lines: list[str]) -> Iterator[ScriptProblem]:
    """One of the block's marks without the other: what lies between them could not be told from the person's lines."""
    for number, line in enumerate(lines):
        if line in (BLOCK_BEGIN, BLOCK_END):
            text = _(
                "The portal's block has lost its first or its last line, which mark it. Take back that edit, or remove "
                "what is left of the block: the portal writes it anew."
            )
            yield _problem("block", number + 1, text)


def _block_blanked(script: str) -> str:
    """The same with the block's lines empty, so that line numbers stay those that the person sees."""
    lines = script.split("\n")
    for begin, end in _blocks(lines):
        lines[begin : end + 1] = [""] * (end + 1 - begin)
    return "\n".join(lines)


def _block_lines(block: Block, head: Head) -> list[str]:
    options = [
        f'--job-name="{block.job_name}"',
        f"--account={block.account}",
        f"--qos={block.qos}",
        f"--partition={block.partition}",
        f"--nodes={block.nodes}",
        f"--gres=gpu:{block.gpu_type}:{block.gpus_per_node}"
        if block.gpu_type
        else f"--cpus-per-task={block.cpus_per_node}",
        f"--time={block.time_limit}",
        *([f"--reservation={block.reservation}"] if block.reservation else []),
    ]
    ours = [f"#SBATCH {option}" for option in options]
    return [BLOCK_BEGIN, *ours, *head.options, EXPORT_LINE, *head.lines, BLOCK_END]


def _whole_problems(script: str) -> list[ScriptProblem]:
    if not script.strip():
        return [_problem("empty", 0, _("The script is empty."))]
    size = len(script.encode("utf-8", "surrogatepass"))
    if size > MAX_SCRIPT_BYTES:
        return [
            _problem(
                "size",
                0,
                _("The script has %(size)d KiB; at most %(limit)d are accepted. Keep data in files."),
                size=-(-size // 1024),
                limit=MAX_SCRIPT_BYTES // 1024,
            )
        ]
    if "\0" in script:
        line = 1 + script[: script.index("\0")].count("\n")
        return [_problem("nul", line, _("A script is text: this line holds a NUL byte."))]
    if "\r" in script:
        line = 1 + script[: script.index("\r")].count("\n")
        text = _("This line ends as on Windows (CRLF), which Slurm refuses. Save the script with Unix line ends (LF).")
        return [_problem("crlf", line, text)]
    return []


def _shebang_problem(line: str) -> ScriptProblem:
    if line.startswith("#!"):
        return _problem(
            "shebang",
            1,
            _("“%(first)s” is no shell. Begin with #!/bin/bash and call your program below it: python3 train.py"),
            first=line[:60],
        )
    return _problem("shebang", 1, _("The first line must be #!/bin/bash."))


def _first_command(lines: list[str]) -> int | None:
    """Index of the line at which sbatch stops reading options: the first that is neither blank nor a comment."""
    for number, line in enumerate(lines):
        text = line.lstrip(_SPACE)
        if text and not text.startswith("#"):
            return number
    return None


def _late_problem(line: int, rest: str) -> ScriptProblem:
    name = next((word for word in rest.split() if word.startswith("-")), rest.strip())
    return _problem(
        "late",
        line,
        _("%(option)s has no effect here: Slurm reads options only above the first command. Move it up or remove it."),
        option=name.split("=")[0][:40],
    )


def _directive_problems(line: int, rest: str) -> Iterator[ScriptProblem]:
    words = list(_arguments(rest))
    position = 0
    while position < len(words):
        name, has_value, value = _option(words[position])
        position += 1
        if name not in ALLOWED_OPTIONS:
            yield _refused(line, words[position - 1])
            # The value of an unknown option is not reported as another one.
            while position < len(words) and not words[position].startswith("-"):
                position += 1
            continue
        form = ALLOWED_OPTIONS[name]
        if form is None:
            if has_value:
                yield _problem("value", line, _("%(option)s takes no value."), option=name)
            continue
        if not has_value:
            value = words[position] if position < len(words) else ""
            position += 1
        if not re.fullmatch(form, value):
            yield _problem("value", line, _("“%(value)s” is no value for %(option)s."), option=name, value=value[:60])


def _option(word: str) -> tuple[str, bool, str]:
    """Name, whether a value is attached, the value. Only whole names count: sbatch's abbreviations are refused."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, bool(equals), value
    return _SHORT.get(word[:2], word[:2]), len(word) > 2, word[2:]


def _refused(line: int, word: str) -> ScriptProblem:
    name = word.partition("=")[0] if word.startswith("--") else word[:2] if word.startswith("-") else word
    if name in _FORM_OWNS:
        return _problem("option", line, _("%(option)s is set by the form. Remove it here."), option=name)
    if name.startswith("-"):
        return _problem(
            "option",
            line,
            _("%(option)s is not accepted in a script: it can change what a job costs or where it runs. Remove it."),
            option=name[:40],
        )
    return _problem("option", line, _("“%(option)s” is not accepted here. Remove it."), option=name[:40])


def _arguments(text: str) -> Iterator[str]:
    """Words as sbatch splits a directive: quotes group, a backslash takes the next character, # begins a comment."""
    word: list[str] = []
    quote, started, position = "", False, 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == "\\" and position < len(text):
            word.append(text[position])
            started, position = True, position + 1
        elif quote:
            if character == quote:
                quote = ""
            else:
                word.append(character)
        elif character in "\"'":
            quote, started = character, True
        elif character == "#":
            break
        elif character in _SPACE:
            if started:
                yield "".join(word)
            word, started = [], False
        else:
            word.append(character)
            started = True
    if started:
        yield "".join(word)
