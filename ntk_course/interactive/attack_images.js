// An image under attack (eq. 28): original, perturbation and sum, and the scores as epsilon grows.
(() => {
  "use strict";
  const { CourseFigure, define, format, html, range, richHtml } = globalThis.NtkCourse;

  const PARTS = ["the image *x*", "what is added, *δ*", "what the classifier sees, *x* + *δ*"];
  const argmax = (row) => row.indexOf(Math.max(...row));

  class AttackImages extends CourseFigure {
    build(spec) {
      const { epsilons, ways, truth, shape: [height, width] } = spec, last = epsilons.at(-1);
      this.panelBox.classList.add("pair");
      const trio = html("div", { class: "panel", style: "grid-column: 1 / -1; display: grid; gap: 0.6rem; " +
        "grid-template-columns: repeat(3, minmax(0, 1fr)); max-width: 42rem" });
      this.pictures = PARTS.map((part, k) => {
        const canvas = html("canvas", { width, height, role: "img", "aria-label": spec.labels.images[k],
          style: "width: 100%; image-rendering: pixelated; display: block; outline: 1px solid var(--ntk-grey); outline-offset: -1px" });
        const words = html("div", { style: "margin: 0.3rem 0 0; font-size: 0.88rem; line-height: 1.35" }, ...richHtml(part));
        trio.append(html("div", {}, canvas, words));
        return canvas.getContext("2d");
      });
      this.panelBox.append(trio);

      const classes = range(ways[0].scores[0].length, (c) => c);
      this.bars = this.panel({ label: spec.labels.scores, height: 230,
        x: { domain: [-0.6, classes.length - 0.4], ticks: classes.map((c) => [c, String(c)]), title: "class" },
        y: { domain: [0, 1.02], title: "probability" } });
      this.others = this.bars.layer("bars", { color: "grey" });
      this.right = this.bars.layer("bars", { color: "blue" });
      this.wrong = this.bars.layer("bars", { color: "orange" });
      this.chart = this.panel({ label: spec.labels.curve, height: 230, onPick: (e) => this.time.set(this.nearest(e)),
        x: { domain: [0, last], title: "radius *ε*" }, y: { domain: [0, 1.02], title: "probability" } });
      this.curves = [
        this.chart.layer("line", { color: "blue", width: 2.5, name: `the true class, ${truth}` }),
        this.chart.layer("line", { color: "orange", width: 2.5, dash: "6 4", name: "the best of the others" })];
      this.rule = this.chart.layer("rule", { color: "text", width: 1, opacity: 0.5, dash: "2 3" });
      this.time = this.timeline({ label: "radius *ε*", name: "radius", min: 0, max: epsilons.length - 1, step: 1, log: false, seconds: 7,
        text: (i) => `ε = ${format(epsilons[Math.round(i)], 2)}` });
      this.which = this.select({ label: "direction", options: ways.map((w) => w.name) });
    }
    nearest(epsilon) {
      const off = Array.from(this.spec.epsilons, (e) => Math.abs(e - epsilon));
      return off.indexOf(Math.min(...off));
    }
    // Dark where the value is high; blue and orange for what is taken away and added.
    paint(context, values, signed) {
      const { spec } = this, [height, width] = spec.shape, picture = new ImageData(width, height), top = spec.epsilons.at(-1);
      values.forEach((v, k) => {
        const shade = 250 - 240 * Math.min(Math.max(v, 0), 1);
        const rgba = signed ? [...(v < 0 ? [42, 122, 209] : [213, 94, 0]), 255 * Math.min(1, Math.abs(v) / top)] : [shade, shade, shade, 255];
        picture.data.set(rgba, 4 * k);
      });
      context.putImageData(picture, 0, 0);
    }
    layout() { // the bars are as wide as there is room
      if (super.layout() && "way" in this.state) this.redraw(); // not before the first drawing
    }
    draw() {
      const { spec } = this, i = Math.round(this.time.value), way = spec.ways[this.which.value];
      const [original, now, scores] = [way.images[0], way.images[i], Array.from(way.scores[i])];
      const delta = Array.from(now, (v, k) => v - original[k]), best = argmax(scores), { truth } = spec;
      [original, delta, now].forEach((values, k) => this.paint(this.pictures[k], values, k === 1));
      const size = Math.max(4, (this.bars.width || 200) / (1.4 * scores.length));
      for (const layer of [this.others, this.right, this.wrong]) layer.style({ size });
      const kept = (test) => { const at = range(scores.length, (c) => c).filter(test); return [at, at.map((c) => scores[c])]; };
      this.right.set(...kept((c) => c === truth));
      this.wrong.set(...kept((c) => c === best && c !== truth));
      this.others.set(...kept((c) => c !== best && c !== truth));
      const rest = Array.from(way.scores, (row) => Math.max(...Array.from(row).filter((_, c) => c !== truth)));
      this.curves[0].set(spec.epsilons, Array.from(way.scores, (row) => row[truth]));
      this.curves[1].set(spec.epsilons, rest);
      this.rule.set([spec.epsilons[i]]);
      const words = `read as ${best} with ${(100 * scores[best]).toFixed(0)} %${best === truth ? "" : `, wrong: it is ${truth}`}`;
      this.bars.y.title = `probability: ${words}`;
      this.bars.resize(this.bars.outer);
      this.time.input.setAttribute("aria-valuetext", `radius ${format(spec.epsilons[i], 2)}: ${words}`);
      return { index: i, epsilon: spec.epsilons[i], way: way.name, delta, scores, best };
    }
  }
  define("ntk-attack-images", AttackImages);
})();
