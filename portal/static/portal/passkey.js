// Around allauth's own scripts, which come first: a button is shown once they listen to it, and a refusal has words.
(() => {
  "use strict";
  const WORDS = {
    NotAllowedError: "No passkey was given: the request was cancelled or took too long. Try again.",
    InvalidStateError: "This key or device is added already.",
    NotSupportedError: "This key can't be used here. Try another one.",
    SecurityError: "This browser keeps no passkeys for this site's address.",
  };
  const problem = document.getElementById("passkey-problem");
  const buttons = document.querySelectorAll("button[data-passkey]");

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of buttons) {
      button.hidden = false;
      button.addEventListener("click", () => (problem.textContent = ""));
    }
  });

  document.addEventListener("allauth.error", (event) => {
    const { exception } = event.detail;
    problem.textContent = WORDS[exception.name] || `The browser gave no passkey: ${exception.message}`;
    if (exception.name in WORDS) event.preventDefault(); // else it is told on the console too
  });
})();
