# Recipes for people who work on offhook. Run them with: uv run just <recipe>

set shell := ["bash", "-euo", "pipefail", "-c"]

# The environment that uv made for this checkout, however just was started.
export PATH := justfile_directory() / ".venv/bin:" + env("PATH")
# uv tells where it is to what it runs; it need not be on the PATH.
uv := env("UV", "uv")

# List the recipes.
default:
    @just --list

# Install what developers need beside the product: type checker, linter, test tools.
tools:
    @{{ uv }} sync --frozen --inexact --group dev

# What must hold before a commit: style, types, layers, drawings.
check: tools
    ruff check
    ruff format --check
    mypy -p offhook.protocol -p offhook.actors -p offhook.simulation -p offhook.services -p offhook.web
    mypy --exclude 'tests/.+/conftest\.py' tests bench docs
    for fixtures in tests/*/conftest.py; do mypy "$fixtures"; done
    python -m pytest tests/test_layers.py
    python docs/drawings.py --check

# Install what the tests need beside Python packages, check, and run all tests.
test *arguments: tools
    python tests/provision.py
    just check
    just examples
    python tests/side_by_side.py --durations=12 {{ arguments }}

# Run the examples of docs/simulate.md in a project of their own that installs two wheels.
examples:
    UV={{ uv }} python tests/sim/installed.py

# Run the property tests with many more examples than "test" does.
thorough *arguments: tools
    python -m pytest --hypothesis-profile=thorough {{ arguments }}

# Mend what tools can mend: style, and the drawings.
fix: tools docs
    ruff check --fix
    ruff format

# Run thousands of simulated worlds, until one breaks an invariant.
hunt seeds="10000" *arguments:
    offhook simulate --seeds {{ seeds }} {{ arguments }}

# Check the types of the browser code (needs Node.js; the product and its tests do not).
[working-directory: 'web']
web-check:
    npm install --no-package-lock --no-audit --no-fund --silent
    npx tsc --project tsconfig.json

# Draw the states of calls and turns from their tables.
docs:
    python docs/drawings.py

# Write down what the timelines of ten worlds are, after a change of what actors do or when.
timelines: tools
    python tests/sim/timelines.py

# Take the picture of a call that stands in the README (needs Chromium and flite).
picture: tools
    PYTHONPATH=tests python docs/screenshot.py

# Take the pictures of the console that stand in docs/console.md (needs Chromium and flite).
console-pictures: tools
    PYTHONPATH=tests python docs/console_pictures.py

# Change each row of the two tables, plant faults in the actors, and see that the tests find all of them.
mutants *arguments: tools
    python tests/mutants/run.py {{ arguments }}

# Fuzz what reads packets, offers and candidates, for so many seconds in all; what breaks it is kept in .fuzz/.
fuzz seconds="60" *arguments:
    @{{ uv }} sync --frozen --inexact --group dev --group fuzz
    python tests/fuzz/fuzzing.py --seconds {{ seconds }} {{ arguments }}

# Let schemathesis loose on the REST API: no 5xx, no answer that its OpenAPI document does not describe.
contract *arguments:
    @{{ uv }} run --isolated --frozen --group dev --group contract python tests/rest_contract.py {{ arguments }}

# Kill records, api and PostgreSQL at random while 200 scripted calls happen, and see that nothing is lost.
kills *arguments: tools
    PYTHONPATH=tests python tests/records_chaos.py {{ arguments }}

# Run a benchmark, bench/<name>.py; without a name, list them.
bench name="" *arguments:
    @{{ if name == "" { "ls bench/*.py | xargs -n 1 basename -s .py" } else { "python bench/" + name + ".py " + arguments } }}

# Measure what a call costs the media server beside its peers; "quick" has no peers and ends within 50 s.
bench-media *arguments:
    python bench/media.py {{ arguments }}
