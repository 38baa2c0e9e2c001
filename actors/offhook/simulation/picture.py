"""The timeline of a run as a sequence diagram: one HTML file that needs nothing else.

Time runs downwards. Callers, nodes and the bus have a lane each; messages are arrows, what goes wrong is red, and a
change of a call's state stands where it was written to the log.
"""

from html import escape

from offhook.simulation.hunt import Outcome
from offhook.simulation.timeline import BUS, CALLER, WORLD, Line, short

#: Pixels: height of a row, width of a lane, left margin (the clock), head.
ROW, LANE, LEFT, HEAD = 22, 210, 90, 56
#: The most lines that are drawn; of a longer run the last ones.
MOST = 1500

_STYLE = """
body { margin: 0; font: 13px/1.4 system-ui, sans-serif; background: #fbfaf8; color: #23211e; }
header { padding: 20px 24px 8px; } h1 { font-size: 18px; margin: 0 0 4px; } header p { margin: 0; color: #6b655d; }
.bad { color: #b3261e; font-weight: 600; }
.frame { overflow: auto; padding: 0 12px 24px; }
svg { font: 11px ui-monospace, SFMono-Regular, Menlo, monospace; }
.lane { stroke: #ddd8cf; } .name { font: 600 12px system-ui, sans-serif; fill: #23211e; }
.time { fill: #a09889; } .arrow { stroke: #4a6fa5; } .text { fill: #33302b; }
.frame-line { stroke: #3d8361; } .key-line { stroke: #b0a99c; } .log-line { stroke: #8a63a8; }
.fault { fill: #b3261e; } .fault-line { stroke: #b3261e; } .band { fill: #fdecea; }
.state { fill: #8a63a8; font-weight: 700; } .violation { fill: #fff; font-weight: 700; }
.violation-band { fill: #b3261e; }
@media (prefers-color-scheme: dark) {
  body { background: #1b1a18; color: #ece8e1; } .name, .text { fill: #ece8e1; } .lane { stroke: #3a3733; }
  header p, .time { color: #948c80; fill: #948c80; } .band { fill: #3b2220; } .arrow { stroke: #8fb0e0; }
  .fault { fill: #ff8a80; } .state { fill: #c9a4e4; }
}
"""


def draw(outcome: Outcome, *, call: str = "") -> str:
    """The run as HTML; only one call of it, if its id (or the end of it) is given."""
    lines = [line for line in outcome.timeline.lines() if not line.call or line.call.endswith(call)]
    dropped = max(0, len(lines) - MOST)
    lines = lines[dropped:]
    lanes = _lanes(lines)
    width = LEFT + LANE * len(lanes) + 260
    height = HEAD + ROW * (len(lines) + 1)
    body = [_lane(name, column, height) for column, name in enumerate(lanes)]
    body += [_row(line, number, lanes, width) for number, line in enumerate(lines)]
    broken = outcome.violation
    verdict = (
        f'<span class="bad">breaks “{escape(broken.invariant)}”: {escape(broken.why)}</span>'
        if broken is not None
        else "every invariant held"
    )
    of_call = f" · call {escape(short(call))}" if call else ""
    left_out = f" · the first {dropped} lines are left out" if dropped else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>offhook: seed {outcome.seed}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>
<body><header><h1>Seed {outcome.seed}{of_call}</h1><p>{verdict}{left_out} ·
blue: messages, green: frames of the caller's socket, violet: the call's log, red: what went wrong</p></header>
<div class="frame"><svg width="{width}" height="{height}" role="img" aria-label="Sequence diagram of the run">
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 8 4 0 8z" fill="context-stroke"/></marker></defs>
{chr(10).join(body)}
</svg></div></body></html>
"""


def _lanes(lines: list[Line]) -> dict[str, int]:
    """Lanes from left to right: callers, gateways, the bus, voice nodes, records nodes, others."""
    names = {name for line in lines for name in (line.source, *line.targets) if name and name != WORLD}
    kinds = (CALLER, "gateway", BUS, "voice", "records", "")
    ordered = sorted(names, key=lambda name: (min(i for i, kind in enumerate(kinds) if name.startswith(kind)), name))
    return {name: column for column, name in enumerate(ordered)}


def _x(column: int) -> float:
    return LEFT + LANE * (column + 0.5)


def _lane(name: str, column: int, height: int) -> str:
    x = _x(column)
    return (
        f'<line class="lane" x1="{x}" y1="{HEAD - 16}" x2="{x}" y2="{height}"/>'
        f'<text class="name" x="{x}" y="{HEAD - 26}" text-anchor="middle">{escape(name)}</text>'
    )


_STYLES = {"message": "arrow", "log": "log-line", "key": "key-line", "frame": "frame-line"}


def _row(line: Line, number: int, lanes: dict[str, int], width: int) -> str:
    y = HEAD + ROW * (number + 1)
    parts = []
    if line.kind in {"fault", "violation"}:
        band = "violation-band" if line.kind == "violation" else "band"
        parts.append(f'<rect class="{band}" x="0" y="{y - 15}" width="{width}" height="{ROW - 2}"/>')
    parts.append(f'<text class="time" x="8" y="{y}">{line.at:9.3f}</text>')
    source = lanes.get(line.source)
    ends = sorted({lanes[name] for name in line.targets if name in lanes})
    style = _STYLES.get(line.kind, "fault-line")
    arrows = [(_x(source), _x(end)) for end in ends if source is not None and end != source]
    parts += [
        f'<line class="{style}" x1="{x1}" y1="{y + 4}" x2="{x2}" y2="{y + 4}" marker-end="url(#head)"/>'
        for x1, x2 in arrows
    ]
    columns = [column for column in (source, *ends) if column is not None]
    x = (min(map(_x, columns)) + 8) if columns else LEFT
    who = f"{short(line.call)} · " if line.call else ""
    text = line.text if len(line.text) <= 90 else line.text[:87] + "..."
    css = line.kind if line.kind in {"fault", "violation"} else "text"
    parts.append(f'<text class="{css}" x="{x}" y="{y}">{escape(who + text)}</text>')
    if line.state:
        parts.append(f'<text class="state" x="{width - 240}" y="{y}">{escape(line.state)}</text>')
    title = (
        f"<title>{line.at:.3f} {escape(line.source)} → {escape(', '.join(line.targets))}: {escape(line.text)}</title>"
    )
    return f"<g>{title}{''.join(parts)}</g>"
