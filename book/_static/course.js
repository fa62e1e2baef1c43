// What the theme would do from attributes, which the pages' content security policy forbids.
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll(".btn-fullscreen-button")) {
    button.addEventListener("click", () => window.toggleFullScreen());
  }
});

// Paper is white: light letters would hardly be seen on it.
const page = document.documentElement.dataset;
let shown;
addEventListener("beforeprint", () => { shown = page.theme; page.theme = "light"; });
addEventListener("afterprint", () => { page.theme = shown; });
