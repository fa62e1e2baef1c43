// Robustness needs data (eq 32): the exact error of the averaged classifier, and the n that it takes.
(() => {
  "use strict";
  const { CourseFigure, define, format, logspace, range } = globalThis.NtkCourse;

  // The Faddeeva function w(z), Im z >= 0: Weideman's rational series with N terms.
  const N = 32, L = Math.sqrt(N / Math.SQRT2);
  const SERIES = range(N, (k) => {
    let sum = 0;
    for (let j = 1 - 2 * N; j < 2 * N; j++) {
      const t = L * Math.tan((j * Math.PI) / (4 * N));
      sum += Math.exp(-t * t) * (L * L + t * t) * Math.cos((Math.PI * j * (k + 1)) / (2 * N));
    }
    return sum / (4 * N);
  });
  // w(i z) = exp(z^2) erfc(z) for z = x + iy, x >= 0; written to `out`.
  const out = [0, 0];
  const erfcx = (x, y) => {
    // i (i z) = -z, so L + i(iz) = L - z and L - i(iz) = L + z.
    const dr = L + x, di = y, size = dr * dr + di * di;
    const zr = ((L - x) * dr - y * di) / size, zi = (-y * dr - (L - x) * di) / size;
    let pr = 0, pi = 0;
    for (let k = N - 1; k >= 0; k--) {
      const r = pr * zr - pi * zi + SERIES[k];
      pi = pr * zi + pi * zr;
      pr = r;
    }
    const ir = dr / size, ii = -di / size; // 1 / (L + z)
    const ar = 2 * (pr * ir - pi * ii) + 1 / Math.sqrt(Math.PI), ai = 2 * (pr * ii + pi * ir);
    out[0] = ar * ir - ai * ii;
    out[1] = ar * ii + ai * ir;
  };
  const inside = (v) => 1 - 2 * ndtr(-1 / Math.sqrt(v)); // erf(1 / sqrt(2v))
  const ndtr = (x) => {
    erfcx(Math.abs(x) / Math.SQRT2, 0);
    const tail = (Math.exp((-x * x) / 2) * out[0]) / 2;
    return x < 0 ? tail : 1 - tail;
  };
  const tail = (v) => Math.sqrt((2 * v) / Math.PI) * Math.exp(-1 / (2 * v));
  // m(s) = E|1 + s g| with v = s^2.
  const meanAbs = (v) => tail(v) + inside(v);

  // P(sum of d attacked margins < 0), as tasks.averaged_error.
  function averagedError(v, d, sigma, epsilon) {
    const mean = 1 - epsilon * meanAbs(v);
    const second = (1 + epsilon ** 2) * (1 + v) - 2 * epsilon * ((1 + v) * inside(v) + tail(v));
    const std = Math.sqrt(second - mean ** 2 + sigma ** 2 * (1 + v)), far = (Math.sqrt(d) * mean) / std;
    if (Math.abs(far) > 8.5) return far > 0 ? 0 : 1;
    const step = Math.PI / (d * Math.abs(mean) + 12 * Math.sqrt(d) * std), rest = Math.exp(-1 / (2 * v));
    let sum = 0;
    for (let k = 0.5; k < 400; k++) {
      const t = k * step, p = 1 + v * (sigma * t) ** 2, root = Math.sqrt(2 * v * p), slope = t * (1 - epsilon);
      const size = 2 * Math.exp(-(v * slope * slope + (sigma * t) ** 2) / (2 * p));
      let re = size * Math.cos(slope / p), im = size * Math.sin(slope / p);
      if (rest > 1e-14) {
        erfcx(1 / root, (v * t * (1 + epsilon)) / root);
        re += rest * out[0]; im += rest * out[1];
        erfcx(1 / root, (v * slope) / root);
        re -= rest * out[0]; im -= rest * out[1];
      }
      const log = (d / 2) * Math.log((re * re + im * im) / (4 * p));
      if (log < -20) break;
      sum += (Math.exp(log) * Math.sin(d * Math.atan2(im, re))) / k;
    }
    return Math.min(Math.max(0.5 - sum / Math.PI, 0), 1);
  }
  // The v = s^2 with epsilon m(s) = 1; there is none from epsilon = 1 on.
  const threshold = (epsilon) => {
    if (epsilon >= 1 || epsilon <= 0) return epsilon <= 0 ? Infinity : NaN;
    let lo = 1e-6, hi = 1e6;
    for (let i = 0; i < 80; i++) {
      const v = Math.sqrt(lo * hi);
      if (epsilon * meanAbs(v) < 1) lo = v; else hi = v;
    }
    return Math.sqrt(lo * hi);
  };

  class RobustError extends CourseFigure {
    build(spec) {
      const { start, ranges } = spec, [n0, n1] = spec.n;
      this.panelBox.classList.add("split");
      this.grid = logspace(n0, n1, 60);
      this.dims = logspace(...ranges.d, 25);
      const view = this.panel({ label: spec.labels.error, height: 350, aspect: 1.15,
        x: { log: true, domain: [n0, n1], title: "number of examples *n*" }, y: { domain: [0, 1], title: "error" } });
      this.half = view.layer("line", { width: 1, opacity: 0.5, dash: "2 3" });
      this.half.set([n0, n1], [0.5, 0.5]);
      this.clean = view.layer("line", { color: "green", width: 3, dash: "8 4", name: "without an attack" });
      this.attacked = view.layer("line", { color: "orange", width: 3, name: "under attack" });
      this.rule = view.layer("rule", { width: 1.5, opacity: 0.7, dash: "2 3", name: "*ϵm*(*s*) = 1" });
      const needed = this.panel({ label: spec.labels.needed, height: 350, aspect: 0.85,
        x: { log: true, domain: ranges.d, title: "dimension *d*" },
        y: { log: true, domain: [1, n1], title: "*n* for a robust error of ½" } });
      this.line = needed.layer("line", { color: "orange", width: 2.5 });
      this.slope = needed.layer("line", { width: 1, opacity: 0.6, dash: "5 4", name: "slope ½" });
      this.slope.set(ranges.d, ranges.d.map((v) => 3 * Math.sqrt(v / ranges.d[0])));
      this.mark = needed.layer("points", { color: "orange", size: 6 });
      this.time = this.timeline({ label: "*ϵ*", name: "epsilon", min: ranges.epsilon[0], max: ranges.epsilon[1],
        value: start.epsilon, step: 0.01, log: false, seconds: 12, text: (v) => `ϵ = ${v.toFixed(2)}` });
      this.row();
      const [a, b] = ranges.d.map(Math.log10);
      this.logD = this.slider({ label: "*d*", min: a, max: b, step: 0.1, value: Math.log10(start.d),
        text: (v) => String(this.whole(v)) });
      this.c = this.slider({ label: "*c*", min: ranges.c[0], max: ranges.c[1], step: 0.02, value: start.c,
        text: (v) => v.toFixed(2) });
      this.say = document.createElement("div");
      this.say.className = "legend";
      this.controlBox.after(this.say);
    }
    // Whole numbers of one or two digits, as the slider is logarithmic.
    whole(v) { return Math.round(+(10 ** v).toPrecision(v < 2 ? 2 : 3)); }
    draw() {
      const d = this.whole(this.logD.value), c = this.c.value, epsilon = this.time.value;
      const sigma = c * d ** 0.25, error = (n, e) => averagedError(sigma ** 2 / n, d, sigma, e);
      const clean = this.grid.map((n) => error(n, 0)), attacked = this.grid.map((n) => error(n, epsilon));
      this.clean.set(this.grid, clean);
      this.attacked.set(this.grid, attacked);
      const v = threshold(epsilon), needed = sigma ** 2 / v;
      this.rule.set([needed > 0 ? needed : NaN]);
      this.line.set(this.dims, this.dims.map((x) => (c * c * Math.sqrt(x)) / v));
      this.mark.set([d], [needed]);
      const words = epsilon >= 1 ? "no number of examples is enough, as ϵ is not below 1"
        : needed < 1 ? "one example is enough for a robust error below ½"
        : `robust error ½ at n = ${format(needed, 3)}`;
      this.say.textContent = `σ = ${format(sigma, 3)}; with one example the error is `
        + `${format(clean[0], 2)} without and ${format(attacked[0], 2)} under attack; ${words}.`;
      this.time.input.setAttribute("aria-valuetext", `ϵ = ${epsilon.toFixed(2)}, ${words}`);
      return { d, c, epsilon, sigma, n: this.grid, clean, attacked, needed };
    }
  }
  define("ntk-robust-error", RobustError);
})();
