"""Shows results: a line each while it runs, and tables in Markdown."""
import os

#: How many times faster than each peer lbuild has to be.
GOALS = {"buildah": 5, "buildkit": 3}


def memory_bound(result):
    return 64 + 8 * os.cpu_count() if result["compresses"] else 64


def verdict(result):
    if result["bound"] is None:
        return "-"
    return f"{result['share']:.2f} {'holds' if result['share'] <= 1 else 'missed'}"


def ratio(result, peer):
    """Returns a peer's time over lbuild's."""
    theirs = result["took"].get(peer)
    return theirs / result["took"]["lbuild"] if theirs else None


def peers_text(result):
    parts = []
    for peer in (name for name in result["took"] if name != "lbuild"):
        times = ratio(result, peer)
        short = times < GOALS[peer] and not result["commands"]
        parts.append(f"{peer} {result['took'][peer]:.3f} s = {times:.1f}x{' (short)' if short else ''}")
    return ", ".join(parts)


def spread(times):
    return f"{min(times):.3f}..{max(times):.3f}"


def mebibytes(count):
    return f"{count / (1 << 20):.1f}"


def line(result):
    """Returns what is told of a row while the run goes on."""
    runs = result["runs"]["lbuild"]
    bound = f"{result['bound']:.3f}" if result["bound"] is not None else "-"
    floors = " ".join(f"{name}={took:.4f}" for name, took in result["floors"].items())
    sizes = " ".join(f"{name}={mebibytes(size)}MiB" for name, size in result["sizes"].items())
    grown = ", ".join(f"{name} {mebibytes(size)}" for name, size in result["store_growth"].items())
    memory = f"{result['memory_mib']:.1f} of {memory_bound(result)} MiB"
    return (f"{result['row']:6} {result['took']['lbuild']:8.3f} s ({result['statistic']} of {len(runs)}: {spread(runs)})  bound {bound:>7} {verdict(result):12}"
            f" {peers_text(result)}\n       memory {memory}; store grew, MiB: {grown}; floors: {floors} {sizes}".rstrip())


def markdown(place, results):
    """Returns a table for docs/PERFORMANCE.md."""
    peers = [name for name in GOALS if any(name in result["took"] for result in results)]
    head = ["row", "lbuild", "spread", "bound", "share of the bound", *peers, "memory, MiB", "store grew, MB"]
    lines = [f"On {place}:", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for result in results:
        cells = [result["row"], f"{result['took']['lbuild']:.3f}", spread(result["runs"]["lbuild"]),
                 f"{result['bound']:.3f}" if result["bound"] is not None else "", verdict(result)]
        for peer in peers:
            times = ratio(result, peer)
            cells.append(f"{result['took'][peer]:.3f} ({times:.1f}x)" if times else "")
        cells += [f"{result['memory_mib']:.1f}", f"{result['store_growth']['lbuild'] / 1e6:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\n" + floors_table(results)


def floors_table(results):
    lines = ["| row | bound | floors in this run, seconds |", "|---|---|---|"]
    for result in (result for result in results if result["rule"]):
        floors = ", ".join(f"{name} {took:.4f}" for name, took in result["floors"].items())
        lines.append(f"| {result['row']} | {result['rule']} | {floors} |")
    return "\n".join(lines) + "\n"
