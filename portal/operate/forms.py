"""The forms of operators' orders. Each knows which order it is, and gives it."""

from __future__ import annotations

from typing import Any

from django import forms

from portal.control import orders
from portal.control.models import Hold
from portal.control.orders import LONGEST_NAME, LONGEST_REASON, Operator
from portal.operate import evictions, work
from portal.operate.work import MOST_PRIORITY, Kind


class OrderForm(forms.Form):
    title = ""
    consequence = ""
    is_grave = False
    reason = forms.CharField(
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="It goes on record, with your name and the time.",
    )

    def give(self, by: Operator) -> str:
        """Give the order and return what to say of it. Raises OrderRefused."""
        raise NotImplementedError

    @property
    def given(self) -> dict[str, Any]:
        return self.cleaned_data


class _Held(OrderForm):
    kind = forms.ChoiceField(choices=Hold.Kind.choices, widget=forms.HiddenInput)
    name = forms.CharField(max_length=LONGEST_NAME, label="Worker, machine or queue")
    field_order = ("kind", "name", "reason")

    def target(self) -> tuple[Hold.Kind, str]:
        return Hold.Kind(self.given["kind"]), self.given["name"]


class DrainForm(_Held):
    title = "Drain"
    consequence = "What is in hand is finished. Nothing new is begun there until you resume it."

    def give(self, by: Operator) -> str:
        kind, name = self.target()
        orders.hold(kind, name, how=Hold.How.DRAIN, reason=self.given["reason"], by=by)
        return f"{name} is drained."


class PauseForm(_Held):
    title = "Pause"
    consequence = (
        "What is in hand goes back to the queue within seconds, with its scores and rounds; fetches "
        "from the hub are finished. Nothing new is begun there until you resume it."
    )
    is_grave = True

    def give(self, by: Operator) -> str:
        kind, name = self.target()
        orders.hold(kind, name, how=Hold.How.PAUSE, reason=self.given["reason"], by=by)
        return f"{name} is paused."


class ResumeForm(_Held):
    title = "Resume"
    consequence = "Work is begun there again."

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = False

    def give(self, by: Operator) -> str:
        kind, name = self.target()
        orders.resume(kind, name, reason=self.given["reason"], by=by)
        return f"{name} is resumed."


class BeginMaintenanceForm(OrderForm):
    title = "Begin maintenance"
    consequence = (
        "Nothing is started: no evaluation, no training, no fetch from the hub. What runs comes to its end, "
        "and what people send is kept. Every page shows the reason."
    )
    is_grave = True

    def give(self, by: Operator) -> str:
        orders.begin_maintenance(reason=self.given["reason"], by=by)
        return "The site is under maintenance."


class EndMaintenanceForm(OrderForm):
    title = "End maintenance"
    consequence = "Work is begun again, and the reason goes from the pages."

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = False

    def give(self, by: Operator) -> str:
        orders.end_maintenance(reason=self.given["reason"], by=by)
        return "Maintenance is over."


class _Work(OrderForm):
    kind = forms.ChoiceField(choices=Kind.choices, label="What")
    number = forms.IntegerField(min_value=1, max_value=2**63 - 1)


class RequeueForm(_Work):
    title = "Put back"
    consequence = (
        "What runs is taken from its worker and waits again, with no attempt used up; what waits for the end "
        "of an outage is tried at once; of what failed another one is queued. Scores and rounds are kept."
    )
    field_order = ("kind", "number", "reason")

    def give(self, by: Operator) -> str:
        kind = Kind(self.given["kind"])
        queued = work.requeue(kind, self.given["number"], reason=self.given["reason"], by=by)
        return f"{kind.label.capitalize()} {queued.pk} is in the queue."


class PriorityForm(_Work):
    title = "Let go first"
    consequence = (
        "The higher the priority, the sooner it is begun; 0 is its usual place. Evaluations with a priority "
        "take nobody's turn, and are every other one at most."
    )
    priority = forms.IntegerField(min_value=0, max_value=MOST_PRIORITY, initial=1)
    field_order = ("kind", "number", "priority", "reason")

    def give(self, by: Operator) -> str:
        kind, number, priority = Kind(self.given["kind"]), self.given["number"], self.given["priority"]
        work.prioritise(kind, number, priority, reason=self.given["reason"], by=by)
        return f"{kind.label.capitalize()} {number} has priority {priority}."


class EvictForm(OrderForm):
    title = "Remove from the cache"
    consequence = (
        "A worker of the machine removes the base model from its disk within seconds, unless it is in use. "
        "It is fetched again when an evaluation needs it."
    )
    is_grave = True
    machine = forms.CharField(max_length=120)
    model = forms.CharField(max_length=200, label="Base model")
    field_order = ("machine", "model", "reason")

    def give(self, by: Operator) -> str:
        evictions.evict(self.given["machine"], self.given["model"], reason=self.given["reason"], by=by)
        return f"{self.given['machine']} is asked to remove {self.given['model']}."


ORDERS: dict[str, type[OrderForm]] = {
    "drain": DrainForm,
    "pause": PauseForm,
    "resume": ResumeForm,
    "begin-maintenance": BeginMaintenanceForm,
    "end-maintenance": EndMaintenanceForm,
    "requeue": RequeueForm,
    "priority": PriorityForm,
    "evict": EvictForm,
}
