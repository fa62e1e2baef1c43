// Sample complexity (eq 4): learning curves of two architectures, one dimension d at a time.
(() => {
  "use strict";
  const { CourseFigure, define, format } = globalThis.NtkCourse;

  const KINDS = [["fc", "orange", "fully connected"], ["conv", "green", "convolutional"]];

  class SampleComplexity extends CourseFigure {
    build(spec) {
      const { d, level } = spec, percent = `${format(100 * level, 2)} %`;
      this.panelBox.classList.add("split");
      const view = (this.view = this.panel({ label: spec.labels.accuracy, height: 360, aspect: 1.1,
        x: { log: true, domain: [1, 10], title: "" }, y: { domain: [0.5, 1], title: "accuracy on new points" } }));
      this.level = view.layer("line", { width: 1, opacity: 0.6, dash: "2 3", name: percent });
      this.curves = KINDS.map(([kind, color, name]) => ({ kind,
        faint: view.layer("line", { color, width: 1.25, opacity: 0.5, dash: kind === "conv" ? "6 3" : "" }),
        line: view.layer("line", { color, width: 3, dash: kind === "conv" ? "8 4" : "", name }),
        cross: view.layer("points", { color, size: 5.5, marker: kind === "conv" ? "diamond" : "circle" }) }));

      const all = [...spec.fc, ...spec.conv].map((c) => c.needed), ends = [d[0], d.at(-1)];
      const pad = (ends[1] / ends[0]) ** 0.12;
      const needed = this.panel({ label: spec.labels.needed, height: 360, aspect: 0.8,
        x: { log: true, domain: [ends[0] / pad, ends[1] * pad], ticks: d.map((v) => [v, String(v)]), title: "*d*" },
        y: { log: true, domain: [Math.min(...all) / 2, Math.max(...all) * 2], title: `examples for ${percent}` } });
      const [first, last] = [spec.fc[0].needed, spec.fc.at(-1).needed].map(Math.log);
      const middle = Math.exp((first + last) / 2), square = ends.map((v) => (middle * v * v) / (ends[0] * ends[1]));
      needed.layer("line", { width: 1, opacity: 0.6, dash: "5 4", name: "slope 2" }).set(ends, square);
      this.marks = KINDS.map(([kind, color]) => {
        const marker = kind === "conv" ? "diamond" : "circle";
        needed.layer("points", { color, marker, size: 4, filled: false, width: 1.5 })
          .set(d, spec[kind].map((c) => c.needed));
        return needed.layer("points", { color, marker, size: 5.5 });
      });

      this.time = this.timeline({ label: "*d*", min: 0, max: d.length - 1, step: 1, value: d.length >> 1, log: false,
        seconds: 1.2 * d.length, text: (i) => `d = ${d[Math.round(i)]}` });
      this.row();
      this.scaled = this.checkbox({ label: "*n*/*d*² on the axis", checked: false });
    }

    draw() {
      const { spec } = this, i = Math.round(this.time.value), d = spec.d[i], scaled = this.scaled.value;
      const unit = (k) => (scaled ? spec.d[k] ** 2 : 1);
      const place = (curve, k) => Array.from(curve.n, (n) => n / unit(k));
      const xs = KINDS.flatMap(([kind]) => spec[kind].flatMap(place)), [lo, hi] = [Math.min(...xs), Math.max(...xs)];
      this.view.x.title = scaled ? "*n*/*d*²" : "number of examples *n*";
      this.view.domain("x", lo, hi);
      this.level.set([lo, hi], [spec.level, spec.level]);
      const numbers = { d };
      this.curves.forEach(({ kind, faint, line, cross }, j) => {
        const curve = spec[kind][i], others = spec[kind].map((c, k) => [[...place(c, k), NaN], [...c.accuracy, NaN]]);
        faint.set(others.flatMap((o) => o[0]), others.flatMap((o) => o[1]));
        line.set((numbers[`x_${kind}`] = place(curve, i)), (numbers[`accuracy_${kind}`] = Array.from(curve.accuracy)));
        cross.set([(numbers[`needed_${kind}`] = curve.needed / unit(i))], [spec.level]);
        this.marks[j].set([d], [curve.needed]);
        line.chip.lastChild.textContent = `${KINDS[j][2]}: ${format(curve.needed, 2)} examples`;
      });
      this.time.input.setAttribute("aria-valuetext", `d = ${d}, ` +
        KINDS.map(([kind, , name]) => `${name} needs ${format(spec[kind][i].needed, 2)}`).join(", "));
      return numbers;
    }
  }
  define("ntk-sample-complexity", SampleComplexity);
})();
