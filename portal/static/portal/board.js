// Remembers whether a board's rows are compact or airy. Without it the switch is a link with a parameter.
// Loaded in <head>, so that the rows are right before the first paint.
(() => {
  "use strict";
  const root = document.documentElement;
  const kinds = ["compact", "airy"];
  const stored = () => {
    try {
      return localStorage.getItem("rows");
    } catch (refused) {
      return null; // storage is blocked: rows are compact
    }
  };
  const asked = new URLSearchParams(location.search).get("rows");
  let rows = [asked, stored()].find((name) => kinds.includes(name)) || "compact";

  const show = () => {
    root.dataset.rows = rows;
    document.getElementById("board")?.classList.toggle("airy", rows === "airy");
    for (const link of document.querySelectorAll(".rows-switch a")) {
      if (link.dataset.rows === rows) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };

  show();
  document.addEventListener("DOMContentLoaded", show);
  document.addEventListener("htmx:afterSwap", show);
  // Before htmx sees the click: nothing has to be fetched.
  document.addEventListener(
    "click",
    (event) => {
      const link = event.target.closest?.(".rows-switch a");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      rows = link.dataset.rows;
      try {
        localStorage.setItem("rows", rows);
      } catch (refused) {
        // storage is blocked: the choice lasts for this page only
      }
      show();
    },
    true,
  );
})();
