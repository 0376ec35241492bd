// Small comforts; every page works without them. Loaded in <head> so that a chosen theme is set before the first paint.
(() => {
  "use strict";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => {
    try {
      return localStorage.getItem("theme");
    } catch (refused) {
      return null; // storage is blocked: the system's preference holds
    }
  };
  const theme = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  if (["light", "dark"].includes(stored())) root.dataset.theme = stored();

  const choose = (name) => {
    const isSystems = name === (dark.matches ? "dark" : "light");
    if (isSystems) delete root.dataset.theme;
    else root.dataset.theme = name;
    try {
      if (isSystems) localStorage.removeItem("theme");
      else localStorage.setItem("theme", name);
    } catch (refused) {
      // storage is blocked: the choice lasts for this page only
    }
  };

  const showTheme = () => {
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.hidden = false;
      button.setAttribute("aria-pressed", String(theme() === "dark"));
    }
  };

  const closeMenus = (except) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (menu !== except) menu.open = false;
    }
  };

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    const label = button.dataset.label || (button.dataset.label = button.textContent);
    await navigator.clipboard.writeText(source.textContent.trim());
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = label), 2000);
  };

  const setBusy = (form, busy) => {
    form.dataset.sent = busy ? "yes" : "";
    for (const button of form.querySelectorAll("button:not([type=button])")) {
      if (busy) button.setAttribute("aria-busy", "true");
      else button.removeAttribute("aria-busy");
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    showTheme();
    if (navigator.clipboard) for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
    document.querySelector(".error-summary")?.focus();
  });
  dark.addEventListener("change", showTheme);

  document.addEventListener("click", (event) => {
    closeMenus(event.target.closest("details.menu"));
    if (event.target.closest("[data-theme-toggle]")) {
      choose(theme() === "dark" ? "light" : "dark");
      showTheme();
    }
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const within = document.activeElement.closest("details.menu[open], .board-form details[open]");
    if (within) {
      within.querySelector("summary").focus();
      within.open = false;
    }
    closeMenus();
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-once]")) return;
    if (form.dataset.sent) event.preventDefault();
    else setBusy(form, true);
  });
  // A page that comes back from the browser's cache must be usable again.
  addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => setBusy(form, false)));

  // A part that renews itself was led elsewhere, as to the sign-in: that is for the whole page.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, pathInfo } = event.detail;
    if (!xhr.responseURL || new URL(xhr.responseURL).pathname === new URL(pathInfo.finalRequestPath, location.href).pathname) return;
    event.detail.shouldSwap = false;
    location.reload();
  });

  for (const name of ["dragenter", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      if (event.target.matches?.("input[type=file]")) event.target.classList.toggle("is-over", name === "dragenter");
    });
  }
})();
