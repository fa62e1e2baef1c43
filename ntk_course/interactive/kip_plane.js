// A support set in the plane as KIP learns it (eq. 27); the predictor is computed here.
(() => {
  "use strict";
  const { CourseFigure, define, format, range, zeroLine } = globalThis.NtkCourse;

  const GRID = 44;

  class KipPlane extends CourseFigure {
    build(spec) {
      const xs = spec.x.map((p) => p[0]), ys = spec.x.map((p) => p[1]), all = spec.support;
      const reach = (values, j) => {
        const moved = all.flatMap((row) => Array.from(row).filter((_, i) => i % 2 === j));
        const lo = Math.min(...values, ...moved), hi = Math.max(...values, ...moved), room = 0.08 * (hi - lo);
        return [lo - room, hi + room];
      };
      this.last = spec.steps.at(-1);
      this.panelBox.classList.add("split");
      this.plane = this.panel({ label: spec.labels.plane, height: 370,
        x: { domain: reach(xs, 0), title: "*x*_{1}" }, y: { domain: reach(ys, 1), title: "*x*_{2}" } });
      const blue = [42, 122, 209], orange = [213, 94, 0];
      this.field = this.plane.layer("image", { opacity: 0.28, colours: (s) => (s < 0.5 ? blue : orange) });
      this.edge = this.plane.layer("line", { color: "text", width: 1.5, name: "predictor = 0" });
      const side = (sign) => spec.y.map((v, i) => (v * sign > 0 ? i : -1)).filter((i) => i >= 0);
      for (const [sign, color, marker] of [[-1, "blue", "circle"], [1, "orange", "square"]]) {
        const mine = side(sign);
        this.plane.layer("points", { color, marker, size: 2.2, opacity: 0.55 }).set(mine.map((i) => xs[i]), mine.map((i) => ys[i]));
      }
      this.trails = this.plane.layer("line", { color: "text", width: 1, opacity: 0.45 });
      this.points = [[-1, "blue", "circle"], [1, "orange", "square"]].map(([sign, color, marker]) => ({ sign,
        layer: this.plane.layer("points", { color, marker, size: 6, width: 1.5,
          name: `support points, label ${sign > 0 ? "+1" : "−1"}` }) }));

      const low = Math.min(...spec.losses) / 1.5, high = Math.max(...spec.losses) * 1.5;
      const ticks = range(24, (i) => [1, 2, 5][i % 3] * 10 ** (Math.floor(i / 3) - 5)).filter((v) => v > low && v < high);
      this.chart = this.panel({ label: spec.labels.loss, height: 230, onPick: (t) => this.time.set(t),
        x: { domain: [1, this.last + 1], log: true, title: "step + 1" },
        y: { domain: [low, high], log: true, ticks: ticks.map((v) => [v, format(v, 1)]), title: "loss on the targets" } });
      this.curve = this.chart.layer("line", { color: "green", width: 2 });
      this.curve.set(Array.from(spec.steps, (s) => s + 1), spec.losses);
      this.rule = this.chart.layer("rule", { color: "text", width: 1, opacity: 0.5, dash: "2 3" });
      this.dot = this.chart.layer("points", { color: "green", size: 4.5 });
      this.time = this.timeline({ label: "step", min: 1, max: this.last + 1, value: 1, log: true, seconds: 10,
        text: (t) => `step ${this.at(t).step.toFixed(0)}` });
    }
    // Support points, coefficients and loss between two saved steps, by interpolation.
    at(t) {
      const { steps, support, alpha, losses } = this.spec, step = Math.min(Math.max(t - 1, 0), this.last);
      let i = 0;
      while (i + 2 < steps.length && steps[i + 1] <= step) i++;
      const share = (step - steps[i]) / (steps[i + 1] - steps[i]);
      const mix = (rows) => Array.from(rows[i], (v, j) => v + share * (rows[i + 1][j] - v));
      return { step, index: i, points: mix(support), alpha: mix(alpha), loss: losses[i] + share * (losses[i + 1] - losses[i]) };
    }
    // The NTK of one hidden ReLU layer with biases (eq. 17), as in `kernels.fully_connected`.
    kernel(x1, x2, s1, s2) {
      const w = this.spec.w_std ** 2, b = this.spec.b_std ** 2;
      const k12 = (w / 2) * (x1 * s1 + x2 * s2) + b;
      const size = Math.sqrt(((w / 2) * (x1 * x1 + x2 * x2) + b) * ((w / 2) * (s1 * s1 + s2 * s2) + b));
      if (size === 0) return b;
      const u = Math.min(1, Math.max(-1, k12 / size)), theta = Math.acos(u);
      const kappa0 = (Math.PI - theta) / Math.PI, kappa1 = Math.sin(theta) / Math.PI + kappa0 * u;
      return (w / 2) * (size * kappa1 + kappa0 * k12) + b;
    }
    predict(x1, x2, { points, alpha }) {
      return alpha.reduce((sum, a, i) => sum + a * this.kernel(x1, x2, points[2 * i], points[2 * i + 1]), 0);
    }
    draw() {
      const { spec } = this, now = this.at(this.time.value), { points } = now, m = spec.y_support.length;
      const [[x0, x1], [y0, y1]] = [this.plane.x.domain, this.plane.y.domain];
      const xs = range(GRID, (i) => x0 + ((x1 - x0) * i) / (GRID - 1)), ys = range(GRID, (i) => y1 - ((y1 - y0) * i) / (GRID - 1));
      const f = ys.map((y) => xs.map((x) => this.predict(x, y, now)));
      this.field.set(f, [-1e-9, 1e-9]);
      this.edge.set(...zeroLine(f, xs, ys));
      for (const { sign, layer } of this.points) {
        const mine = range(m, (i) => i).filter((i) => spec.y_support[i] * sign > 0);
        layer.set(mine.map((i) => points[2 * i]), mine.map((i) => points[2 * i + 1]));
      }
      const way = spec.support.slice(0, now.index + 1), tx = [], ty = [];
      range(m, (i) => {
        way.forEach((row) => { tx.push(row[2 * i]); ty.push(row[2 * i + 1]); });
        tx.push(points[2 * i], NaN); ty.push(points[2 * i + 1], NaN);
      });
      this.trails.set(tx, ty);
      this.rule.set([now.step + 1]);
      this.dot.set([now.step + 1], [now.loss]);
      const fx = spec.x.map((p) => this.predict(p[0], p[1], now));
      const accuracy = fx.reduce((s, v, i) => s + (v * spec.y[i] > 0), 0) / fx.length;
      const words = `step ${now.step.toFixed(0)}, loss ${format(now.loss)}, ${(100 * accuracy).toFixed(0)} % right`;
      this.time.input.setAttribute("aria-valuetext", words);
      return { step: now.step, loss: now.loss, accuracy, points, fx };
    }
  }
  define("ntk-kip-plane", KipPlane);
})();
