// A quiz: every option is a button, and pressing it says whether it is right, and why.
(() => {
  "use strict";
  const { define, parse, html, richHtml } = globalThis.NtkCourse;

  class Quiz extends HTMLElement {
    connectedCallback() {
      if (this.ready) return;
      this.ready = true;
      const { questions } = parse(this.dataset.spec);
      this.first = questions.map(() => null); // whether the first choice was right
      this.score = html("p", { class: "score", role: "status" });
      const list = questions.map((q, i) => this.question(q, i, questions.length));
      this.replaceChildren(...list, this.score);
      this.tell();
    }
    question({ question, options }, i, count) {
      const title = html("p", { class: "question", id: `${this.label()}-${i}` },
        html("b", {}, `${i + 1} of ${count}. `), ...richHtml(question));
      const rows = options.map(({ text, right = false, why }) => {
        const mark = html("span", { class: "tick", "aria-hidden": "true" }, "○");
        const said = html("p", { class: "why", role: "status" });
        const button = html("button", { type: "button", "aria-pressed": "false" }, mark, html("span", {}, ...richHtml(text)));
        button.addEventListener("click", () => {
          if (this.first[i] === null) this.first[i] = right;
          button.setAttribute("aria-pressed", "true");
          button.classList.add(right ? "right" : "wrong");
          mark.textContent = right ? "✓" : "✗";
          said.replaceChildren(html("b", {}, right ? "Right. " : "No. "), ...richHtml(why));
          this.tell();
        });
        return html("div", { class: "option" }, button, said);
      });
      return html("div", { role: "group", "aria-labelledby": title.id, class: "ask" }, title, ...rows);
    }
    // Unique among the page's quizzes.
    label() { return `quiz-${[...document.querySelectorAll("ntk-quiz")].indexOf(this)}`; }
    tell() {
      const done = this.first.filter((v) => v !== null).length, right = this.first.filter(Boolean).length;
      this.score.textContent = done === 0 ? "" : `${right} of ${done} right at the first try` +
        (done < this.first.length ? `, ${this.first.length - done} to go.` : ".");
    }
    get state() { return { first: this.first }; }
  }
  define("ntk-quiz", Quiz);
})();
