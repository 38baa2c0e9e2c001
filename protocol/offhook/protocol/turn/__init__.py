"""The turn: who has the floor in an answered call."""

from offhook.protocol.turn.events import EVENTS, AnyTurnEvent, TurnEvent
from offhook.protocol.turn.states import TurnState
from offhook.protocol.turn.table import TABLE, TIMEOUTS, Do, NoTurnEdge, Turn, TurnEdge, TurnTable, step

__all__ = [
    "EVENTS",
    "TABLE",
    "TIMEOUTS",
    "AnyTurnEvent",
    "Do",
    "NoTurnEdge",
    "Turn",
    "TurnEdge",
    "TurnEvent",
    "TurnState",
    "TurnTable",
    "step",
]
