// The shared base of the course's moving figures: an element with panels, a legend, controls and
// a clock. A figure extends it, writes build(spec) and draw(), and is registered by define().
(() => {
  "use strict";
  const course = globalThis.NtkCourse;
  if (course.CourseFigure) return;
  const { Panel, MARKERS, parse, format, svg, html, plain, richHtml } = course;

  class CourseFigure extends HTMLElement {
    connectedCallback() {
      if (!this.built) {
        this.spec = parse(this.dataset.spec);
        this.panels = [];
        this.numbers = {};
        this.panelBox = html("div", { class: "panels" });
        this.legendBox = html("div", { class: "legend" });
        this.controlBox = html("div", { class: "controls" });
        const caption = html("figcaption", {}, ...richHtml(this.spec.caption || ""));
        this.replaceChildren(html("figure", {}, this.panelBox, this.legendBox, this.controlBox, caption));
        this.build(this.spec);
        this.built = true;
      }
      this.observer = new ResizeObserver(() => this.layout());
      this.observer.observe(this);
      this.layout();
      this.redraw();
    }
    disconnectedCallback() {
      this.pause?.();
      this.observer?.disconnect();
    }
    // The numbers on display, for tests and for readers who open the console.
    get state() { return this.numbers; }
    // Whether a panel had to change its width.
    layout() {
      const widths = this.panels.map((p) => p.box.clientWidth);
      const changed = this.panels.map((p, i) => widths[i] !== p.outer);
      this.panels.forEach((p, i) => { if (changed[i]) p.resize(widths[i]); });
      return changed.includes(true);
    }
    redraw() { this.numbers = this.draw() || {}; }
    panel(options) {
      const panel = new Panel(this, options);
      this.panels.push(panel);
      this.panelBox.append(panel.box);
      return panel;
    }
    // Later controls go to a new line.
    row() {
      const box = html("div", { class: "controls" });
      this.controlBox.after(box);
      this.controlBox = box;
    }
    addLegend(layer) {
      const { kind } = layer, { name, marker = "circle", size = 4 } = layer.options;
      const sample = layer.node.cloneNode();
      const d = { points: MARKERS[marker](15, 6, Math.min(size, 4)), bars: "M10 12V1h10v11z", band: "M2 2h26v8h-26z" };
      sample.setAttribute("d", d[kind] || "M1 6H29");
      const picture = svg("svg", { viewBox: "0 0 30 12", "aria-hidden": "true" });
      picture.append(sample);
      layer.chip = html("span", {}, picture, html("b", {}, ...richHtml(name)));
      this.legendBox.append(layer.chip);
    }
    slider({ label, name = label, min, max, step, value, text = format, className = "", onInput = () => {} }) {
      const input = html("input", { type: "range", min, max, step, value, "aria-label": plain(name) });
      const output = html("output", { "aria-live": "off" });
      const control = {
        input,
        get value() { return +input.value; },
        set(v) { input.value = v; control.sync(); },
        sync() {
          output.textContent = text(+input.value);
          input.setAttribute("aria-valuetext", output.textContent);
        },
      };
      input.addEventListener("input", () => { control.sync(); onInput(control.value); this.redraw(); });
      this.controlBox.append(html("label", { class: className || null },
        html("b", {}, ...richHtml(label)), input, output));
      control.sync();
      return control;
    }
    checkbox({ label, checked = true }) {
      const input = html("input", { type: "checkbox" });
      input.checked = checked;
      input.addEventListener("change", () => this.redraw());
      this.controlBox.append(html("label", {}, input, html("b", {}, ...richHtml(label))));
      return { input, get value() { return input.checked; } };
    }
    select({ label, options, index = 0, onInput = () => {} }) {
      const input = html("select", {}, ...options.map((o, i) => html("option", { value: i }, o)));
      input.selectedIndex = index;
      input.addEventListener("change", () => { onInput(input.selectedIndex); this.redraw(); });
      this.controlBox.append(html("label", {}, html("b", {}, ...richHtml(label)), input));
      return { input, get value() { return input.selectedIndex; } };
    }
    // A time slider with a play button. `log` runs the slider over log10 t. Never starts by itself;
    // the first play starts at the beginning, a later one where the reader left the slider. With
    // reduced motion it moves in 16 steps, two a second. `step` is what an arrow key moves: 1 where
    // the slider counts saved states; then only another state is drawn anew.
    timeline({ label = "time *t*", name = label, min, max, value, log = true, step, seconds = 9,
      text = (t) => `t = ${format(t)}` }) {
      const icon = svg("path"), word = html("span");
      const picture = svg("svg", { viewBox: "0 0 11 11", "aria-hidden": "true" });
      picture.append(icon);
      const button = html("button", { type: "button", "data-role": "play" }, picture, word);
      this.controlBox.append(button);
      const to = log ? Math.log10 : (v) => v, from = log ? (v) => 10 ** v : (v) => v;
      const lo = to(min), hi = to(max);
      step ??= (hi - lo) / 400;
      const slider = this.slider({ label, name, min: lo, max: hi, step, value: to(value ?? min), className: "time",
        text: (v) => text(from(v)), onInput: (v) => { this.pause(); touched = true; position = v; } });
      // The exact position: the slider's own value snaps to its step.
      let frame = 0, timer = 0, position = to(value ?? min), last = 0, touched = false, drawn = NaN;
      const show = () => {
        word.textContent = this.playing ? "Pause" : "Play";
        icon.setAttribute("d", this.playing ? "M1 0h3v11h-3zM7 0h3v11h-3z" : "M1 0L11 5.5L1 11z");
      };
      const move = (by) => {
        position = Math.min(hi, position + by);
        const state = step === 1 ? Math.round(position) : position;
        if (state !== drawn) { slider.set(position); this.redraw(); }
        drawn = state;
        if (position >= hi) this.pause();
      };
      const tick = (now) => {
        if (!this.playing) return;
        move(((hi - lo) * Math.min(now - last, 100)) / (1000 * seconds));
        last = now;
        frame = requestAnimationFrame(tick);
      };
      this.playing = false;
      this.pause = () => {
        this.playing = false;
        cancelAnimationFrame(frame);
        clearInterval(timer);
        show();
      };
      this.play = () => {
        this.pause();
        this.playing = true;
        if (!touched || position >= hi - step / 2) position = lo;
        touched = true;
        drawn = NaN;
        last = performance.now();
        if (matchMedia("(prefers-reduced-motion: reduce)").matches)
          timer = setInterval(() => move((hi - lo) / 16), 500);
        else frame = requestAnimationFrame(tick);
        show();
      };
      button.addEventListener("click", () => (this.playing ? this.pause() : this.play()));
      show();
      return {
        input: slider.input,
        get value() { return from(position); },
        set: (t) => {
          this.pause();
          touched = true;
          position = Math.min(Math.max(to(t), lo), hi);
          slider.set(position);
          this.redraw();
        },
      };
    }
  }

  course.CourseFigure = CourseFigure;
  course.define = (name, element) => customElements.get(name) || customElements.define(name, element);
})();
