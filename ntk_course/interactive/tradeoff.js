// Accuracy and robustness (section 3.2): every mixture of one strong and d weak features.
(() => {
  "use strict";
  const { CourseFigure, define, format, range } = globalThis.NtkCourse;

  // Phi(x), by a Chebyshev fit of erfc: relative error below 1.2e-7 in both tails.
  const FIT = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398,
    1.48851587, -0.82215223, 0.17087277];
  const ndtr = (x) => {
    const z = Math.abs(x) / Math.SQRT2, t = 1 / (1 + z / 2);
    const half = (t * Math.exp(-z * z + FIT.reduceRight((sum, f) => sum * t + f, 0))) / 2;
    return x < 0 ? half : 1 - half;
  };

  class Tradeoff extends CourseFigure {
    build(spec) {
      const { start, p } = spec;
      this.panelBox.classList.add("split");
      this.shares = range(201, (i) => i / 200);
      const plane = this.panel({ label: spec.labels.plane, height: 360, aspect: 1.05,
        x: { domain: [0.48, 1.02], title: "clean accuracy" }, y: { domain: [-0.04, 1.04], title: "robust accuracy" } });
      this.bound = plane.layer("line", { width: 1.5, dash: "2 3", opacity: 0.8, name: "bound for *ϵ* ≥ 2*η*" });
      this.curve = plane.layer("line", { color: "purple", width: 2.5, name: "all mixtures" });
      this.strong = plane.layer("points", { color: "green", marker: "square", size: 5, name: "strong feature alone" });
      this.bayes = plane.layer("points", { color: "blue", marker: "diamond", size: 5, name: "most accurate mixture" });
      this.dot = plane.layer("points", { color: "orange", size: 6.5, name: "this mixture" });
      const view = this.panel({ label: spec.labels.share, height: 360, aspect: 0.9,
        x: { domain: [-0.02, 1.02], title: "share of the weak features" }, y: { domain: [-0.04, 1.04], title: "accuracy" } });
      this.clean = view.layer("line", { color: "green", width: 2.5, dash: "8 4", name: "standard" });
      this.robust = view.layer("line", { color: "orange", width: 2.5, name: "robust" });
      this.rule = view.layer("rule", { width: 1.5, opacity: 0.6, dash: "2 3" });
      this.marks = view.layer("points", { color: "orange", size: 5 });
      this.time = this.timeline({ label: "share", name: "share of the weak features", min: 0, max: 1, step: 0.005,
        value: 0.3, log: false, seconds: 10, text: (v) => `${(100 * v).toFixed(1)} %` });
      this.row();
      this.logD = this.slider({ label: "*d*", min: 1, max: 5, step: 0.1, value: Math.log10(start.d),
        text: (v) => String(this.whole(v)) });
      this.strength = this.slider({ label: "*η*√*d*", name: "eta times root d", min: 1, max: 10, step: 0.25,
        value: start.strength, text: (v) => v.toFixed(2) });
      this.ratio = this.slider({ label: "*ϵ*/*η*", name: "epsilon over eta", min: 0, max: 3, step: 0.05, value: 2,
        text: (v) => v.toFixed(2) });
      this.say = document.createElement("div");
      this.say.className = "legend";
      this.controlBox.after(this.say);
      this.p = p;
    }
    whole(v) { return Math.round(+(10 ** v).toPrecision(v < 2 ? 2 : 3)); }
    // tasks.tradeoff_accuracy with a = 1 - share and b sqrt(d) = share.
    accuracy(share, epsilon) {
      const { p } = this, a = 1 - share, r = share * this.k - epsilon * (a + share * this.root);
      const phi = (margin) => (share > 0 ? ndtr(margin / share) : margin > 0 ? 1 : 0);
      return p * phi(a + r) + (1 - p) * phi(r - a);
    }
    draw() {
      const d = this.whole(this.logD.value), share = this.time.value, { p } = this;
      this.k = this.strength.value;
      this.root = Math.sqrt(d);
      const eta = this.k / this.root, epsilon = this.ratio.value * eta;
      const clean = this.shares.map((s) => this.accuracy(s, 0)), robust = this.shares.map((s) => this.accuracy(s, epsilon));
      this.curve.set(clean, robust);
      this.clean.set(this.shares, clean);
      this.robust.set(this.shares, robust);
      const now = [this.accuracy(share, 0), this.accuracy(share, epsilon)];
      this.dot.set([now[0]], [now[1]]);
      this.strong.set([clean[0]], [robust[0]]);
      const best = this.k / (this.k + Math.log(p / (1 - p)) / 2);
      this.bayes.set([this.accuracy(best, 0)], [this.accuracy(best, epsilon)]);
      const start = 1 - (1 - p) / p; // here the bound is 1
      this.bound.set([start, 1], [1, 0]);
      this.bound.show(this.ratio.value >= 2);
      this.rule.set([share]);
      this.marks.set([share, share], now);
      const words = `clean accuracy ${format(now[0], 4)}, robust accuracy ${format(now[1], 3)}`;
      this.say.textContent = `η = ${format(eta)}, ϵ = ${format(epsilon)}; this mixture: ${words}.`
        + (epsilon >= 1 ? " The attack is strong enough to turn the strong feature, too." : "");
      this.time.input.setAttribute("aria-valuetext", `share ${(100 * share).toFixed(1)} percent, ${words}`);
      return { d, eta, epsilon, share, standard: now[0], robust: now[1], best, curve: [clean, robust] };
    }
  }
  define("ntk-tradeoff", Tradeoff);
})();
