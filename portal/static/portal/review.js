// Keys of the review desk. Every act has a link or a button too: a key only presses what bears it as data-key.
(() => {
  "use strict";
  const WRITES = "input, select, textarea, [contenteditable]";
  const dialog = document.querySelector("dialog.keys");
  const rows = [...document.querySelectorAll("[data-row] th a")];

  for (const button of document.querySelectorAll("[data-keys-shown]")) {
    button.hidden = false;
    button.addEventListener("click", () => dialog.showModal());
  }

  const step = (by) => {
    if (!rows.length) return;
    const at = rows.indexOf(document.activeElement);
    const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
    rows[next].focus();
    rows[next].scrollIntoView({ block: "nearest" });
  };

  const open = () => {
    const at = rows.indexOf(document.activeElement);
    if (rows.length) rows[Math.max(0, at)].click();
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    if (document.activeElement.closest(WRITES) || (dialog && dialog.open)) return;
    if (event.key === "?" && dialog) dialog.showModal();
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "o" && rows.length) open();
    else {
      const pressed = /^[a-z]$/.test(event.key) && document.querySelector(`[data-key="${event.key}"]`);
      if (!pressed) return;
      pressed.click();
    }
    event.preventDefault();
  });

  // The file is folded until somebody follows a line into it.
  const unfold = () => {
    const line = location.hash.startsWith("#line-") && document.getElementById(location.hash.slice(1));
    if (!line) return;
    line.closest("details").open = true;
    line.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", unfold);
  unfold();

  for (const link of document.querySelectorAll("[data-insert]")) {
    link.addEventListener("click", (event) => {
      const reason = document.querySelector("textarea[name=reason]");
      event.preventDefault();
      reason.value = reason.value.trim() ? `${reason.value.trimEnd()}\n\n${link.dataset.insert}` : link.dataset.insert;
      reason.focus();
    });
  }

  // Where a form asks for nothing but a yes, Enter is enough; what is public is confirmed by a key of its own.
  // The form of an act is sent to its own page; that of a case's messages is not what the page is for.
  const asked = document.querySelector("form.form:not([action])");
  if (asked && !asked.querySelector("[data-key]"))
    asked.querySelector("textarea[required], .form-actions .button").focus();
})();
