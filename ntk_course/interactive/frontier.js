// Clean against worst-case accuracy of TRADES (eq. 31) as beta grows, with the spread over seeds.
(() => {
  "use strict";
  const { CourseFigure, define, range } = globalThis.NtkCourse;

  const COLORS = ["blue", "orange", "purple", "green", "gold", "pink"], DASHES = ["", "7 4", "2 3", "9 3 2 3", "4 2", "1 2"];
  const MARKS = ["square", "diamond", "circle"];
  const mean = (row) => row.reduce((s, v) => s + v, 0) / row.length;

  class Frontier extends CourseFigure {
    build(spec) {
      const { betas, names, values, references } = spec, last = betas.length - 1;
      this.panelBox.style.gridTemplateColumns = "repeat(auto-fit, minmax(min(18rem, 100%), 1fr))";
      this.means = values.map((rows) => rows.map(mean));
      const clean = names.indexOf("clean"), worst = names.indexOf("worst");
      Object.assign(this, { clean, worst });
      const xs = [...values[clean].flatMap((r) => Array.from(r)), ...references.map((r) => r.at[0])];
      const ys = [...values[worst].flatMap((r) => Array.from(r)), ...references.map((r) => r.at[1])];
      const span = (v) => { const [lo, hi] = [Math.min(...v), Math.max(...v)], room = 0.1 * (hi - lo); return [lo - room, hi + room]; };
      this.plane = this.panel({ label: spec.labels.frontier, height: 340, aspect: 1.05,
        x: { domain: span(xs), title: "accuracy on clean images" }, y: { domain: span(ys), title: "accuracy under the worst attack" } });
      this.plane.layer("line", { color: "green", width: 1.5, opacity: 0.7 }).set(this.means[clean], this.means[worst]);
      this.plane.layer("points", { color: "green", size: 3, filled: false, width: 1.5, name: "TRADES, one *β* each" }).set(this.means[clean], this.means[worst]);
      this.seeds = this.plane.layer("points", { color: "text", marker: "cross", size: 3, filled: false, width: 1.25, name: "single seeds" });
      this.dot = this.plane.layer("points", { color: "green", size: 6.5, name: "the chosen *β*" });
      references.forEach(({ name, at }, k) => this.plane
        .layer("points", { color: COLORS[k % 2], marker: MARKS[k % 3], size: 5, name }).set([at[0]], [at[1]]));

      this.chart = this.panel({ label: spec.labels.attacks, height: 340, aspect: 1.05, onPick: (i) => this.time.set(Math.round(i)),
        x: { domain: [-0.3, last + 0.3], ticks: Array.from(betas, (b, i) => [i, String(+b.toPrecision(2))]), title: "*β*" },
        y: { domain: [Math.max(0, Math.min(...values.flatMap((rows) => rows.flatMap((r) => Array.from(r)))) - 0.05), 1], title: "accuracy" } });
      this.lines = names.map((name, k) => {
        const color = COLORS[k % COLORS.length], rows = values[k], at = range(last + 1, (i) => i);
        this.chart.layer("band", { color, opacity: 0.16 }).set(at, rows.map((r) => Math.min(...r)), rows.map((r) => Math.max(...r)));
        const line = this.chart.layer("line", { color, width: 2.25, dash: DASHES[k % DASHES.length], name });
        line.set(at, this.means[k]);
        return { line, name, dot: this.chart.layer("points", { color, size: 4.5 }) };
      });
      this.rule = this.chart.layer("rule", { color: "text", width: 1, opacity: 0.5, dash: "2 3" });
      this.time = this.timeline({ label: "*β*", name: "beta", min: 0, max: last, step: 1, log: false, seconds: 1.1 * (last + 1),
        text: (i) => `β = ${+betas[Math.round(i)].toPrecision(2)}` });
    }
    draw() {
      const { spec, means } = this, i = Math.round(this.time.value), numbers = { index: i, beta: spec.betas[i] };
      this.dot.set([means[this.clean][i]], [means[this.worst][i]]);
      this.seeds.set(Array.from(spec.values[this.clean][i]), Array.from(spec.values[this.worst][i]));
      this.rule.set([i]);
      this.lines.forEach(({ line, name, dot }, k) => {
        dot.set([i], [(numbers[name] = means[k][i])]);
        line.chip.lastChild.textContent = `${name}: ${means[k][i].toFixed(3)}`;
      });
      const words = spec.names.map((name, k) => `${name} ${means[k][i].toFixed(3)}`).join(", ");
      this.time.input.setAttribute("aria-valuetext", `beta ${+spec.betas[i].toPrecision(2)}: ${words}`);
      return numbers;
    }
  }
  define("ntk-frontier", Frontier);
})();
