"""The committed ratios: what share of its bound each quick row took; a share that grew by half fails.

A machine that is busy makes shares larger and never smaller, so the best runs count, of lbuild and of the floors, and
what fails is measured again before it counts."""
import json, os
from . import process
from .places import HERE

FILE = os.path.join(HERE, "benchmark", "ratios.json")
#: The rows, in the order of the table; those whose bound is another row's time have that row before them.
QUICK = ["w1", "fifty", "w2", "w4", "w5", "w5s", "w5b", "w5c", "w5i", "w8", "w9i"]
NEEDS = {"fifty": "w1", "w5": "w4"}
GROWTH = 1.5
TRIES = 3


def committed():
    if not os.path.exists(FILE):
        return {}
    with open(FILE) as file:
        return json.load(file)["shares"]


def with_needs(names):
    """Returns the rows and those that their bounds are made of, in order."""
    wanted = set(names) | {NEEDS[name] for name in names if name in NEEDS}
    return [name for name in QUICK if name in wanted]


def grown(shares, known):
    """Returns the rows whose share grew by half."""
    return [name for name in QUICK if name in shares and name in known and shares[name] > GROWTH * known[name]]


def lower(shares, results):
    """Takes the shares of another run where they are lower."""
    for result in results:
        name, share = result["row"], result["share"]
        shares[name] = min(share, shares.get(name, share))


def asked(names):
    """Returns the quick rows among `names`; all if there are no names."""
    return with_needs([name for name in QUICK if name in names or not names])


def check(run, names):
    """Runs quick rows, those that fail up to three times; `run` measures rows and returns their results."""
    known, shares = committed(), {}
    wanted = [name for name in asked(names) if name in known]
    for name in (name for name in asked(names) if name not in known):
        print(f"ratios: {name} is not compared: `make ratios-write` has not kept it")
    for number in range(TRIES):
        lower(shares, run(wanted))
        failed = grown(shares, known)
        if not failed:
            print(f"\nratios: no row grew by half; shares of the bounds: {text(shares)}")
            return
        if number + 1 < TRIES:
            print(f"\nratios: once more: {' '.join(failed)}", flush=True)
        wanted = with_needs(failed)
    rows = ", ".join(f"{name} {shares[name]:.2f} (was {known[name]:.2f})" for name in failed)
    process.fail(f"shares of the bounds grew by half: {rows}; if that is wanted, `make ratios-write` keeps them")


def write(run, machine, names):
    """Runs quick rows and keeps their shares: the larger of two runs, so that luck is not made the rule."""
    wanted, first, second = asked(names), {}, {}
    lower(first, run(wanted))
    lower(second, run(wanted))
    shares = committed() | {name: round(max(first[name], second[name]), 3) for name in wanted}
    with open(FILE, "w") as file:
        json.dump({"about": "shares of the bounds that rows took; `make ratios` compares, `make ratios-write` writes", "machine": machine,
                   "shares": shares}, file, indent=1)
        file.write("\n")
    print(f"\nratios: kept {text(shares)}")


def text(shares):
    return " ".join(f"{name}={shares[name]:.2f}" for name in QUICK if name in shares)
