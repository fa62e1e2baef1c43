// Equivariance (eqs 2, 3): gradient descent and Adam on a problem in the plane that is rotated.
(() => {
  "use strict";
  const { CourseFigure, define, format, range, richHtml } = globalThis.NtkCourse;

  const descend = ({ y, steps }, x, start, rate, adam) => {
    let w = Array.from(start);
    const path = [w], m = [0, 0], v = [0, 0];
    for (let t = 1; t <= steps; t++) {
      const g = [0, 0];
      x.forEach((p, i) => {
        const error = p[0] * w[0] + p[1] * w[1] - y[i];
        g[0] += error * p[0]; g[1] += error * p[1];
      });
      w = w.map((wj, j) => {
        if (!adam) return wj - rate * g[j];
        m[j] = 0.9 * m[j] + 0.1 * g[j];
        v[j] = 0.999 * v[j] + 0.001 * g[j] ** 2;
        return wj - (rate * m[j]) / (1 - 0.9 ** t) / (Math.sqrt(v[j] / (1 - 0.999 ** t)) + 1e-8);
      });
      path.push(w);
    }
    return path;
  };
  const split = (points) => [points.map((p) => p[0]), points.map((p) => p[1])];
  const length = ([a, b]) => Math.hypot(a, b);

  class Equivariance extends CourseFigure {
    build(spec) {
      this.panelBox.classList.add("even");
      this.original = [0, 1].map((i) => descend(spec, spec.x, spec.start, spec.rates[i], i === 1));
      this.reach = 1.12 * Math.max(...spec.x.map(length), ...this.original.flat().map(length));
      this.sides = [["gradient descent", "blue"], ["Adam", "orange"]].map(([name, color], i) => {
        const panel = this.panel({ label: spec.labels[i], height: 400, aspect: 1.02,
          x: { domain: [-1, 1], title: "first coordinate" }, y: { domain: [-1, 1], title: `${name}: second coordinate` } });
        const named = (text) => (i ? undefined : text);
        return { name, ...{
          valley: panel.layer("line", { width: 1, opacity: 0.35, name: named("levels of the loss") }),
          plus: panel.layer("points", { size: 3.5, opacity: 0.6, name: named("*x* with *y* > 0") }),
          minus: panel.layer("points", { size: 3.5, opacity: 0.6, filled: false, width: 1.25, name: named("*x* with *y* < 0") }),
          path: panel.layer("line", { color, width: 2.5, name }),
          steps: panel.layer("points", { color, size: 3 }),
          dashed: panel.layer("line", { width: 1.5, dash: "5 4", name: named("original path, rotated") }) } };
      });
      this.legendBox.append(this.sides[0].dashed.chip);  // after both paths
      this.angle = this.timeline({ label: "rotation", min: 0, max: 360, value: spec.angle, log: false, seconds: 14,
        text: (a) => `${a.toFixed(0)}°` });
      this.row();
      this.turnStart = this.checkbox({ label: "rotate the start, too" });
    }
    // The same unit on both axes, or a rotation would not look like one.
    layout() {
      super.layout();
      for (const panel of this.panels.filter((p) => p.ready)) {
        const wide = Math.max(1, panel.width / panel.height), high = Math.max(1, panel.height / panel.width);
        panel.domain("x", -this.reach * wide, this.reach * wide);
        panel.domain("y", -this.reach * high, this.reach * high);
      }
    }
    // Ellipses of equal loss through the start and inside, around the minimum.
    valley(x, y, start) {
      let [a, b, c, p, q] = [0, 0, 0, 0, 0];
      x.forEach(([u, v], i) => { a += u * u; b += u * v; c += v * v; p += y[i] * u; q += y[i] * v; });
      const det = a * c - b * b, best = [(c * p - b * q) / det, (a * q - b * p) / det];
      const [u, v] = [start[0] - best[0], start[1] - best[1]], level = a * u * u + 2 * b * u * v + c * v * v;
      const turn = Math.atan2(2 * b, a - c) / 2, mean = (a + c) / 2, gap = Math.hypot((a - c) / 2, b);
      const points = [];
      for (const share of [1, 0.5, 0.2, 0.05]) {
        for (let k = 0; k <= 90; k++) {
          const e = Math.sqrt((share * level) / (mean + gap)) * Math.cos((k * Math.PI) / 45);
          const f = Math.sqrt((share * level) / (mean - gap)) * Math.sin((k * Math.PI) / 45);
          points.push([best[0] + e * Math.cos(turn) - f * Math.sin(turn), best[1] + e * Math.sin(turn) + f * Math.cos(turn)]);
        }
        points.push([NaN, NaN]);
      }
      return split(points);
    }

    draw() {
      const { spec } = this, angle = (this.angle.value * Math.PI) / 180, c = Math.cos(angle), s = Math.sin(angle);
      const turn = ([a, b]) => [c * a - s * b, s * a + c * b];
      const x = spec.x.map(turn), start = this.turnStart.value ? turn(spec.start) : Array.from(spec.start);
      const valley = this.valley(x, spec.y, start), differences = [], paths = [];
      this.sides.forEach((side, i) => {
        const path = descend(spec, x, start, spec.rates[i], i === 1), dashed = this.original[i].map(turn);
        const size = Math.max(...dashed.map(length));
        const difference = Math.max(...range(path.length, (t) => Math.hypot(path[t][0] - dashed[t][0], path[t][1] - dashed[t][1]))) / size;
        side.valley.set(...valley);
        side.plus.set(...split(x.filter((_, k) => spec.y[k] > 0)));
        side.minus.set(...split(x.filter((_, k) => spec.y[k] <= 0)));
        side.path.set(...split(path));
        side.steps.set(...split(path));
        side.dashed.set(...split(dashed));
        side.path.chip.lastChild.replaceChildren(...richHtml(`${side.name}: difference ${format(difference, 2)}`));
        paths.push(path);
        differences.push(difference);
      });
      const told = differences.map((v, i) => `${this.sides[i].name} differs by ${format(v, 2)}`).join(", ");
      this.angle.input.setAttribute("aria-valuetext", `${this.angle.value.toFixed(0)} degrees, ${told}`);
      return { angle, paths, differences };
    }
  }
  define("ntk-equivariance", Equivariance);
})();
