// What the theme would do from attributes, which the pages' content security policy forbids.
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll(".btn-fullscreen-button")) {
    button.addEventListener("click", () => window.toggleFullScreen());
  }
});

// No line begins with the full stop after a formula.
document.addEventListener("DOMContentLoaded", () => {
  for (const formula of document.querySelectorAll("span.math")) {
    const text = formula.nextSibling;
    const marks = text?.nodeType === Node.TEXT_NODE && /^[.,;:!?)]+/.exec(text.data)?.[0];
    if (!marks) continue;
    const unbroken = document.createElement("span");
    unbroken.className = "unbroken";
    formula.before(unbroken);
    unbroken.append(formula, marks);
    text.data = text.data.slice(marks.length);
  }
});

// Paper is white: light letters would hardly be seen on it.
const page = document.documentElement.dataset;
let shown;
addEventListener("beforeprint", () => { shown = page.theme; page.theme = "light"; });
addEventListener("afterprint", () => { page.theme = shown; });
