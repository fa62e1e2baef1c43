// PGD in the plane (eqs 28, 29): the same point attacked in an l_inf and in an l2 ball.
(() => {
  "use strict";
  const { CourseFigure, define, format, range, zeroLine } = globalThis.NtkCourse;

  const GRID = 64;
  const NORMS = [
    { key: "linf", name: "square, *l*_{∞}", color: "purple", dash: "",
      ascend: (g) => g.map(Math.sign),
      project: (d, radius) => d.map((v) => Math.min(Math.max(v, -radius), radius)),
      ball: (r) => [[-r, -r], [r, -r], [r, r], [-r, r], [-r, -r]] },
    { key: "l2", name: "disc, *l*_{2}", color: "green", dash: "7 4",
      ascend: (g) => { const n = Math.hypot(...g); return n > 0 ? g.map((v) => v / n) : [0, 0]; },
      project: (d, radius) => { const n = Math.hypot(...d); return n > radius ? d.map((v) => (v * radius) / n) : d; },
      ball: (r) => range(65, (i) => [r * Math.cos((i * Math.PI) / 32), r * Math.sin((i * Math.PI) / 32)]) },
  ];
  const columns = (points) => [points.map((p) => p[0]), points.map((p) => p[1])];

  class AttackPlane extends CourseFigure {
    build(spec) {
      this.panelBox.style.gridTemplateColumns = "repeat(auto-fit, minmax(min(17rem, 100%), 1fr))";
      const side = (sign) => columns(Array.from(spec.x).filter((_, i) => spec.y[i] * sign > 0));
      this.sides = NORMS.map((norm, k) => {
        const panel = this.panel({ label: spec.labels[norm.key], height: 380, aspect: 1,
          x: { domain: [-1, 1], title: "*x*_{1}" }, y: { domain: [-1, 1], title: `*x*_{2} — ${norm.name}` } });
        const blue = [42, 122, 209], orange = [213, 94, 0], named = (text) => (k ? undefined : text);
        const field = panel.layer("image", { opacity: 0.22, colours: (s) => (s < 0.5 ? blue : orange) });
        const edge = panel.layer("line", { color: "text", width: 1.5, name: named("*f* = 0") });
        panel.layer("points", { color: "blue", size: 2.5, opacity: 0.7, name: named("*y* = −1") }).set(...side(-1));
        panel.layer("points", { color: "orange", marker: "square", size: 2.5, opacity: 0.7, name: named("*y* = +1") }).set(...side(1));
        panel.root.addEventListener("pointerdown", (e) => this.pick(panel, e));
        panel.root.style.cursor = "pointer";
        return { norm, panel, field, edge,
          ball: panel.layer("line", { color: norm.color, width: 2, dash: norm.dash }),
          way: panel.layer("line", { color: "text", width: 1.5 }),
          stops: panel.layer("points", { color: "text", size: 2.2 }),
          start: panel.layer("points", { color: "text", size: 5.5, filled: false, width: 2, name: named("the point") }),
          safe: panel.layer("points", { color: "text", size: 5.5, name: named("after the attack, still right") }),
          fooled: panel.layer("points", { color: "red", marker: "cross", size: 6, filled: false, width: 3.5, name: named("wrong") }) };
      });
      this.chart = this.panel({ label: spec.labels.margin, height: 210, onPick: (t) => this.time.set(Math.round(t)),
        x: { domain: [0, spec.steps], title: "step *t*" }, y: { domain: [-1, 1], title: "*y* *f* at step *t*; wrong below 0" } });
      this.chart.box.style.gridColumn = "1 / -1";
      this.chart.layer("line", { color: "text", width: 1, opacity: 0.6 }).set([0, spec.steps], [0, 0]);
      this.curves = NORMS.map(({ name, color, dash }) => this.chart.layer("line", { color, dash, width: 2.5, name }));
      this.rule = this.chart.layer("rule", { color: "text", width: 1, opacity: 0.5, dash: "2 3" });
      this.time = this.timeline({ label: "step *t*", name: "step", min: 0, max: spec.steps, value: spec.steps, step: 1, log: false,
        seconds: 6, text: (t) => `step ${Math.round(t)}` });
      this.row();
      const top = 2 * spec.epsilon;
      this.epsilon = this.slider({ label: "*ε*", name: "radius", min: 0, max: top, step: top / 40, value: spec.epsilon, className: "short", text: (v) => format(v, 2) });
      this.alpha = this.slider({ label: "*α*", name: "step size", min: top / 80, max: top / 2, step: top / 80, value: top / 10, className: "short", text: (v) => format(v, 2) });
      this.which = this.slider({ label: "point", min: 0, max: spec.x.length - 1, step: 1, value: spec.first, className: "short",
        text: (i) => String(i + 1) });
      const size = [0, 1].map((j) => Array.from(spec.x, (p) => p[j])).map((v) => [Math.min(...v), Math.max(...v)]);
      this.centre = size.map(([lo, hi]) => (lo + hi) / 2);
      this.reach = size.map(([lo, hi]) => (hi - lo) / 2 + 0.6 * top);
    }
    // The same unit on both axes; the field is computed once for each size of the panels.
    layout() {
      super.layout();
      for (const { panel, field, edge } of this.sides || []) {
        if (!panel.ready) continue;
        const unit = Math.max((2 * this.reach[0]) / panel.width, (2 * this.reach[1]) / panel.height);
        const half = [(unit * panel.width) / 2, (unit * panel.height) / 2];
        const ends = half.map((h, j) => [this.centre[j] - h, this.centre[j] + h]), key = half.join();
        ["x", "y"].forEach((axis, j) => panel.domain(axis, ...ends[j]));
        if (panel.key === key) continue;
        panel.key = key;
        const [xs, ys] = ends.map(([lo, hi], j) => range(GRID, (i) => (j ? hi - ((hi - lo) * i) / (GRID - 1) : lo + ((hi - lo) * i) / (GRID - 1))));
        if (this.fieldKey !== key) this.values = ys.map((b) => xs.map((a) => this.predict([a, b])));
        this.fieldKey = key;
        field.set(this.values, [-1e-9, 1e-9]);
        edge.set(...zeroLine(this.values, xs, ys));
      }
    }
    // The nearest point to a click.
    pick(panel, event) {
      const box = panel.root.getBoundingClientRect(), at = [event.clientX - box.left - panel.left, event.clientY - box.top - 26];
      const off = Array.from(this.spec.x, (p) => Math.hypot(panel.px(p[0]) - at[0], panel.py(p[1]) - at[1]));
      this.which.set(off.indexOf(Math.min(...off)));
      this.redraw();
    }
    // The output and the layers before it; a hidden unit is on where it is positive.
    forward(point) {
      let a = point;
      const hidden = [];
      this.spec.layers.forEach(({ w, b }, l) => {
        if (l) a = a.map((v) => Math.max(v, 0));
        a = w.map((row, i) => { let z = b[i]; for (let j = 0; j < row.length; j++) z += row[j] * a[j]; return z; });
        hidden.push(a);
      });
      return hidden;
    }
    predict(point) { return this.forward(point).at(-1)[0]; }
    gradient(point) {
      const { layers } = this.spec, hidden = this.forward(point);
      let back = [1];
      for (let l = layers.length - 1; l >= 0; l--) {
        const { w } = layers[l], next = new Array(w[0].length).fill(0);
        w.forEach((row, i) => { if (back[i]) for (let j = 0; j < row.length; j++) next[j] += back[i] * row[j]; });
        back = l ? next.map((v, j) => (hidden[l - 1][j] > 0 ? v : 0)) : next;
      }
      return back;
    }
    // All points of PGD: up the loss, that is down y f, then back into the ball around x.
    attack({ ascend, project }, x, y, radius, alpha) {
      const path = [x];
      for (let t = 0; t < this.spec.steps; t++) {
        const now = path[t], way = ascend(this.gradient(now).map((g) => -y * g));
        const delta = project(now.map((v, j) => v + alpha * way[j] - x[j]), radius);
        path.push(x.map((v, j) => v + delta[j]));
      }
      return path;
    }
    draw() {
      const { spec } = this, t = Math.round(this.time.value), i = Math.round(this.which.value);
      const x = Array.from(spec.x[i]), y = spec.y[i], radius = this.epsilon.value, alpha = this.alpha.value;
      const numbers = { step: t, epsilon: radius, alpha, point: i, paths: {}, margins: {} };
      this.sides.forEach(({ norm, ball, way, stops, start, safe, fooled }) => {
        const path = this.attack(norm, x, y, radius, alpha), margins = path.map((p) => y * this.predict(p));
        const shown = columns(path.slice(0, t + 1)), end = path[t], wrong = margins[t] < 0;
        ball.set(...columns(norm.ball(radius).map((d) => [x[0] + d[0], x[1] + d[1]])));
        way.set(...shown);
        stops.set(...shown);
        start.set([x[0]], [x[1]]);
        safe.set(...(wrong ? [[], []] : [[end[0]], [end[1]]]));
        fooled.set(...(wrong ? [[end[0]], [end[1]]] : [[], []]));
        numbers.paths[norm.key] = path;
        numbers.margins[norm.key] = margins;
      });
      const all = Object.values(numbers.margins).flat(), room = 0.12 * (Math.max(...all, 0.2) - Math.min(...all, -0.2));
      this.chart.domain("y", Math.min(...all, -0.2) - room, Math.max(...all, 0.2) + room);
      NORMS.forEach(({ key }, k) => this.curves[k].set(range(spec.steps + 1, (s) => s), numbers.margins[key]));
      this.rule.set([t]);
      const words = NORMS.map(({ key }) => `${key === "l2" ? "disc" : "square"} ${format(numbers.margins[key][t])}`);
      this.time.input.setAttribute("aria-valuetext", `step ${t}, label times output: ${words.join(", ")}`);
      return numbers;
    }
  }
  define("ntk-attack-plane", AttackPlane);
})();
