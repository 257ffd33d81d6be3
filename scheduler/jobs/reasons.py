"""Why a job waits, is in doubt or ended as it did, in plain words. Pure; the language is the active one.

A job's `reason` is Slurm's word as squeue shows it ("Resources"), or the portal's own ("portal:CODE key=value", below
it perhaps what sbatch printed). Slurm's words: src/common/slurm_protocol_defs.c, job_reason_string().
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from scheduler.jobs.models import Job
from scheduler.jobs.slurm_reasons import meaning_of, unknown_text
from scheduler.jobs.states import PORTAL_REASON

_OWN: dict[str, str | Promise] = {
    "no_answer": _("Slurm did not say whether it took the job. It is being looked for and is not submitted twice."),
    "looking": _("Whether the job reached Slurm is not known. It is being looked for and is not submitted twice."),
    "unconfirmed": _(
        "sbatch named number %(claimed)s, but Slurm does not show that job as yours. It is being looked for."
    ),
    "missing": _(
        "Slurm no longer shows the job, and its accounting does not know how it ended. It is being looked for."
    ),
    "runaway": _(
        "Slurm's accounting says that it runs, Slurm itself does not know it any more. An operator has to close the "
        "record (sacctmgr show runawayjobs); until then nothing is charged and the hold stays."
    ),
    "controller_away": _("Slurm could not be reached. The job does not exist there yet and is tried again by itself."),
    "account_late": _("Slurm does not know the account yet: a new one takes a minute. It is tried again by itself."),
    "limit_late": _("Slurm's limit lags behind the balance: that takes a minute. It is tried again by itself."),
    "denied": _("The last attempt did not reach Slurm: the job is known not to exist there and is tried again."),
    "lost": _(
        "Slurm lost the job while it ran, without a record of it. It is not run again by itself; nothing is charged."
    ),
    "drift": _(
        "Its size, time limit or place was changed in Slurm and cannot be paid for as it is now: it is cancelled."
    ),
    "ended": _("Its allocation had ended before it could start: it was cancelled, and nothing was charged."),
    "suspended": _("Its allocation was suspended before it could start: it was cancelled, and nothing was charged."),
    "refused": _("Slurm refused the job: %(words)s"),
    "waits_for_job": _("A job that it starts after is on its way to Slurm; this one follows it."),
    "never": _("The job that it starts after ended otherwise than you asked for, so it can never start."),
    "chain_balance": _(
        "It ended after run %(runs)s: the balance does not reach for another run of this time limit. What it saved "
        "lies where the job put it."
    ),
    "idle_gpus": _(
        "Its GPUs did nothing for %(minutes)s minutes: it is cancelled by a rule of the centre, after its owner and "
        "its project were told."
    ),
    "chain_done": _("It ended after run %(runs)s: it had as many runs as were asked for."),
}
_REFUSED: dict[str, str | Promise] = {
    "invalid_account": _(
        "Slurm does not know this account for you yet. A new member or allocation reaches Slurm within a cycle; try "
        "again in a minute."
    ),
    "invalid_qos": _("Slurm does not know this allocation for you yet. Try again in a minute."),
    "invalid_user": _("Your unix account cannot run jobs on this cluster. Tell the centre's operators."),
    "qos_limit": _("It breaks a limit of the allocation in Slurm: it is used up, suspended, or smaller than this job."),
    "time_limit": _("Its time limit is longer than the partition allows."),
    "node_configuration": _("No node of the partition can ever give what it asks for."),
    "partition_not_available": _("The partition takes no such jobs at the moment."),
    "connect_failure": _("Slurm could not be reached for a whole day."),
    "denied": _("It could not be brought to Slurm for a whole day."),
    "script": _("sbatch did not accept the script."),
    "folder": _("The folder for its log could not be made in your home directory: is it full?"),
}


@dataclass(frozen=True)
class Reason:
    text: str  # plain words
    todo: str  # what the person can do about it; "" where the text says it
    slurm: str  # Slurm's own word or message, for those who know them; "" if there is none


def reason_of(job: Job) -> Reason | None:
    """None where there is nothing to explain."""
    if not job.reason:
        return None
    if job.reason.startswith(PORTAL_REASON):
        return _own(job.reason)
    meaning = meaning_of(job.reason)
    if meaning is None:
        return Reason(unknown_text(), "", job.reason)
    return Reason(meaning.text, meaning.todo, job.reason)


def _own(reason: str) -> Reason:
    first, _newline, words = reason.removeprefix(PORTAL_REASON).partition("\n")
    code, *pairs = first.split(" ")
    figures = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if code == "refused":
        known = _REFUSED.get(figures.get("code", ""))
        return Reason(str(known) if known else str(_OWN["refused"]) % {"words": words}, "", words)
    text = _OWN.get(code)
    return Reason(str(text) % figures if text else code, "", words)
