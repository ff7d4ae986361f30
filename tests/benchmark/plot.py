"""Cost against work: files of a COPY and steps of a Dockerfile, measured, and drawn as SVG."""
import math
from . import process
from .builders import Lbuild, Work
from .inputs import Inputs

FILES = [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000]
STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500]
#: Runs of each point; the best counts.
RUNS = 3
COLOURS = {"everything new": "#b3452c", "nothing changed": "#2c6fb3"}


def measure(where, options):
    """Returns the points of both pictures: seconds by amount of work, for a build of all and one of nothing."""
    inputs = Inputs(f"{where}/inputs", options.bases, options.seed)
    return {"files": curve(where, options, FILES, inputs.files, inputs), "steps": curve(where, options, STEPS, inputs.steps, inputs)}


def curve(where, options, amounts, context_of, inputs):
    points = {name: [] for name in COLOURS}
    for amount in (amount for amount in amounts if amount <= options.most):
        context, builder = context_of(amount), Lbuild(where, options.lbuild, options.bases, "plot")
        builder.empty()
        for name, cached in (("everything new", False), ("nothing changed", True)):
            took = min(process.all_seconds(builder.build(Work(context, cached=cached))) for _ in range(RUNS))
            points[name].append((amount, took))
            print(f"{amount:8} {context_of.__name__}, {name:16} {took:8.3f} s", flush=True)
        builder.remove()
        process.remove(context)
    return points


def slope(points):
    """Returns by how much the cost grows where the work grows tenfold, as a power of ten: 1 is linear. What even the
    least work costs is taken off first."""
    base = points[0][1]
    rest = [(math.log10(amount), math.log10(took - base)) for amount, took in points[len(points) // 2:] if took > base]
    if len(rest) < 2:
        return 0.0
    mean_x, mean_y = (sum(values) / len(rest) for values in zip(*rest))
    return sum((x - mean_x) * (y - mean_y) for x, y in rest) / sum((x - mean_x) ** 2 for x, _ in rest)


class Panel:
    """One picture with logarithmic axes, `left` pixels from the left."""

    WIDTH, HEIGHT, TOP = 380, 300, 40

    def __init__(self, left, title, curves):
        self.left, self.title, self.curves = left, title, curves
        points = [point for curve in curves.values() for point in curve]
        self.x = self.range([amount for amount, _ in points])
        self.y = self.range([took for _, took in points])

    @staticmethod
    def range(values):
        return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values) * 1.0001))

    def at(self, amount, took):
        across = (math.log10(amount) - self.x[0]) / (self.x[1] - self.x[0])
        up = (math.log10(took) - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + across * self.WIDTH, self.TOP + (1 - up) * self.HEIGHT

    def draw(self):
        return [self.frame(), *self.grid(), *(part for name, points in self.curves.items() for part in self.curve(name, points)), *self.legend()]

    def frame(self):
        return (f'<rect x="{self.left}" y="{self.TOP}" width="{self.WIDTH}" height="{self.HEIGHT}" class="frame"/>'
                f'<text x="{self.left + self.WIDTH / 2}" y="24" class="title">{self.title}</text>')

    def grid(self):
        for power in range(self.x[0], self.x[1] + 1):
            x, bottom = self.at(10 ** power, 10 ** self.y[0])
            yield f'<line x1="{x:.1f}" y1="{self.TOP}" x2="{x:.1f}" y2="{bottom:.1f}" class="grid"/>'
            yield f'<text x="{x:.1f}" y="{bottom + 18:.1f}" class="under">{10 ** power:,}</text>'
        for power in range(self.y[0], self.y[1] + 1):
            x, y = self.at(10 ** self.x[0], 10 ** power)
            yield f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{self.left + self.WIDTH}" y2="{y:.1f}" class="grid"/>'
            yield f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" class="left">{10.0 ** power:g} s</text>'

    def curve(self, name, points):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in points))
        yield f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>'
        for amount, took in points:
            x, y = self.at(amount, took)
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[name]}"><title>{amount:,}: {took:.3f} s</title></circle>'

    def legend(self):
        for number, (name, points) in enumerate(self.curves.items()):
            y = self.TOP + 18 + 18 * number
            text = f"{name}: {points[-1][1] / points[-1][0] * 1e6:.0f} µs each, grows with the power {slope(points):.2f}"
            yield f'<text x="{self.left + 10}" y="{y}" fill="{COLOURS[name]}">{text}</text>'


STYLE = ("text{font:12px sans-serif}.title{font-size:14px;text-anchor:middle}.under{text-anchor:middle}.left{text-anchor:end}"
         ".frame{fill:#fff;stroke:#444}.grid{stroke:#ddd}")


def svg(points, caption):
    panels = [Panel(70, "seconds against files of a COPY", points["files"]), Panel(530, "seconds against RUN steps", points["steps"])]
    body = "\n".join(part for panel in panels for part in panel.draw())
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 930 400" width="930" height="400"><style>{STYLE}</style>'
            f'<rect width="930" height="400" fill="#fff"/>\n{body}\n<text x="70" y="388">{caption}</text></svg>\n')
