// Uploads a form's large file by the tus protocol as soon as it is chosen, with progress, pause, resume and cancel.
// An element with data-upload=ADDRESS holds the file field and the hidden field that takes the upload's id. Without
// this script, and where it cannot work, the browser sends the file with the form.
(() => {
  "use strict";
  const RETRY_DELAYS = [0, 1000, 3000, 5000, 10000, 20000, 30000, 60000];
  const NOT_WORTH_RETRYING = [501, 507];
  const LONGEST_WAIT = 120; // seconds that a server may ask for and is waited for
  const RATE_SECONDS = 5; // over which the rate is smoothed

  const megabytes = (bytes) => `${(bytes / 1024 ** 2).toFixed(bytes < 10 * 1024 ** 2 ? 1 : 0)} MB`;
  const idOf = (address) => address.replace(/\/$/, "").split("/").pop();

  const duration = (seconds) => {
    if (!Number.isFinite(seconds)) return "";
    if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s left`;
    return seconds < 5400 ? `${Math.round(seconds / 60)} min left` : `${(seconds / 3600).toFixed(1)} h left`;
  };

  // What the server says is wrong, in the words of its problem document.
  const reason = (error) => {
    const answer = error.originalResponse;
    if (!answer || !answer.getStatus()) return "The connection is broken.";
    try {
      return JSON.parse(answer.getBody()).detail;
    } catch (unreadable) {
      return `The server answered with status ${answer.getStatus()}.`;
    }
  };

  const isTemporary = (error) => {
    const answer = error.originalResponse;
    const status = answer ? answer.getStatus() : 0;
    if (status === 429) return Number(answer.getHeader("Retry-After") || Infinity) <= LONGEST_WAIT;
    if (NOT_WORTH_RETRYING.includes(status)) return false;
    return status === 0 || status === 409 || status === 423 || status >= 500;
  };

  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  // The bytes of a file against those of an upload, by the SHA-256 of one piece after the other.
  class Pieces {
    // Browsers hash only where a page came over HTTPS or from this machine.
    static possible = Boolean(window.crypto && crypto.subtle);

    constructor(file) {
      this.file = file;
    }

    // Rejected where the file cannot be read any more.
    async digest(start, end) {
      const content = await this.file.slice(start, end).arrayBuffer();
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
      return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    }

    // Whether the pieces of an upload that are known are the beginning of this file; not where none is known.
    async begins({ pieces, piece_bytes, offset }) {
      for (const [index, expected] of pieces.entries()) {
        const start = index * piece_bytes;
        if ((await this.digest(start, Math.min(start + piece_bytes, offset))) !== expected) return false;
      }
      return pieces.length > 0;
    }

    async equals(upload) {
      return upload.complete && upload.length === this.file.size && this.begins(upload);
    }
  }

  class Field {
    constructor(box) {
      this.address = box.dataset.upload;
      this.input = box.querySelector("input[type=file]");
      this.hidden = box.querySelector("input[type=hidden]");
      this.form = this.input.form;
      this.name = this.input.name;
      this.state = "idle"; // then running, paused, broken, complete
      this.upload = null;
      this.waiting = null; // the button by which the form was sent too early
      box.append(this.panel(), (this.earlier = element("div")));
      this.input.addEventListener("change", () => this.choose());
      this.input.addEventListener("cleared", () => (this.upload || this.hidden.value) && this.cancel());
      this.form.addEventListener("submit", (event) => this.hold(event));
      addEventListener("online", () => this.state === "broken" && this.resume());
      addEventListener("beforeunload", (event) => this.state === "running" && !this.leaving && event.preventDefault());
      this.showEarlier();
    }

    get token() {
      return this.form.elements.csrfmiddlewaretoken.value;
    }

    panel() {
      const id = `${this.input.id}_upload`;
      this.label = element("span", { id });
      this.figures = element("span");
      this.bar = element("progress", { max: 1 });
      this.bar.setAttribute("aria-labelledby", id);
      this.status = element("p", { className: "small" });
      this.status.setAttribute("role", "status"); // announced politely, and changed at milestones only
      this.buttons = {
        pause: this.button("Pause", () => this.pause()),
        resume: this.button("Resume", () => this.resume()),
        cancel: this.button("Cancel the upload", () => this.cancel()),
      };
      this.gauge = element(
        "div",
        { className: "progress", hidden: true },
        element("div", { className: "caption" }, this.label, this.figures),
        this.bar,
        element("div", { className: "actions" }, ...Object.values(this.buttons)),
      );
      return element("div", {}, this.gauge, this.status);
    }

    button(text, act) {
      const made = element("button", { type: "button", className: "button secondary small", textContent: text });
      made.addEventListener("click", act);
      return made;
    }

    // `text` is shown and read out.
    enter(state, text) {
      const focused = this.gauge.contains(document.activeElement);
      this.state = state;
      this.status.textContent = text;
      this.gauge.hidden = state === "idle";
      this.buttons.pause.hidden = state !== "running";
      this.buttons.resume.hidden = !["paused", "broken"].includes(state);
      this.buttons.cancel.textContent = state === "complete" ? "Remove the upload" : "Cancel the upload";
      // The button that was pressed may be gone: the keyboard's user must not fall out of the form.
      const active = document.activeElement; // browsers notice a hidden one only with the next frame
      if (focused && (active === document.body || active.closest("[hidden]"))) {
        if (state === "idle") this.input.focus();
        else (Object.values(this.buttons).find((button) => !button.hidden) || this.input).focus();
      }
    }

    async choose() {
      const file = this.input.files[0];
      if (!file) return;
      if (this.upload) this.upload.abort();
      if (this.hidden.value) this.delete(this.hidden.value);
      this.hidden.value = "";
      if (!file.size) {
        // Nothing to upload: it comes with the form, and the checks say that it is empty.
        this.upload = null;
        this.input.name = this.name;
        this.enter("idle", "This file is empty. Choose another one.");
        return;
      }
      this.input.name = ""; // the file must not come a second time, with the form
      this.label.textContent = file.name;
      this.rate = this.milestone = 0;
      this.mark = null;
      const upload = (this.upload = this.prepare(file));
      this.showProgress(0, file.size);
      const earlier = await this.begun(upload, file);
      if (upload !== this.upload) return; // another file was chosen, or this one cancelled, meanwhile
      this.earlier.replaceChildren();
      if (earlier) upload.resumeFromPreviousUpload(earlier);
      this.enter("running", earlier ? "Going on with the upload." : "Uploading.");
      upload.start();
    }

    // What an earlier visit uploaded of this very file: equal names, sizes and dates prove nothing.
    async begun(upload, file) {
      const known = Pieces.possible ? await upload.findPreviousUploads() : [];
      known.sort((a, b) => (a.creationTime < b.creationTime ? 1 : -1));
      for (const candidate of known) {
        this.enter("running", "Comparing the file with what was uploaded of it before.");
        const stored = await this.stored(candidate.uploadUrl).catch(() => null);
        if (stored && (await new Pieces(file).begins(stored).catch(() => false))) return candidate;
      }
      return null;
    }

    async stored(address) {
      const answer = await fetch(address, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      return answer.json();
    }

    prepare(file) {
      const upload = new tus.Upload(file, {
        endpoint: this.address,
        headers: { "X-CSRFToken": this.token },
        metadata: { filename: file.name },
        retryDelays: RETRY_DELAYS,
        removeFingerprintOnSuccess: true,
        onProgress: (sent, total) => upload === this.upload && this.showProgress(sent, total),
        onSuccess: () => upload === this.upload && this.verify(upload, file),
        onError: (error) => upload === this.upload && this.fail(error),
        onShouldRetry: (error) => {
          const again = isTemporary(error);
          if (again && upload === this.upload) this.enter("running", `${reason(error)} Trying again.`);
          return again;
        },
      });
      return upload;
    }

    showProgress(sent, total) {
      const now = performance.now() / 1000;
      if (this.mark && sent > this.mark.sent) {
        const seconds = Math.max(now - this.mark.at, 1e-3);
        const weight = 1 - Math.exp(-seconds / RATE_SECONDS);
        const rate = (sent - this.mark.sent) / seconds;
        this.rate = this.rate ? this.rate + weight * (rate - this.rate) : rate;
      }
      // What an earlier attempt sent counts at once and says nothing about the rate.
      this.mark = { sent, at: now };
      this.bar.value = total ? sent / total : 0;
      const parts = [`${megabytes(sent)} of ${megabytes(total)}`];
      if (this.rate && sent < total) parts.push(`${megabytes(this.rate)}/s`, duration((total - sent) / this.rate));
      this.figures.textContent = parts.filter(Boolean).join(" · ");
      const quarter = Math.floor((4 * sent) / total);
      if (this.state === "running" && quarter > this.milestone && quarter < 4) {
        this.status.textContent = `${25 * quarter}% uploaded.`;
      }
      this.milestone = quarter;
    }

    // The form gets only what is the chosen file to the last byte.
    async verify(upload, file) {
      if (Pieces.possible) {
        this.enter("running", "Comparing what has arrived with the file.");
        const stored = await this.stored(upload.url).catch(() => null);
        if (upload !== this.upload) return;
        if (!stored) return this.enter("broken", "The upload could not be compared with the file. Resume to try again.");
        const equal = await new Pieces(file).equals(stored).catch(() => false);
        if (upload !== this.upload) return;
        if (!equal) return this.reject();
      }
      this.complete(file);
    }

    async reject() {
      await this.cancel();
      this.status.textContent = "What has arrived is not the file that you chose: it was changed meanwhile. Choose it again.";
      this.input.focus();
    }

    complete(file) {
      this.hidden.value = idOf(this.upload.url);
      this.bar.value = 1;
      this.figures.textContent = megabytes(file.size);
      this.enter("complete", "The upload is complete.");
      if (this.waiting) this.form.requestSubmit(this.waiting.isConnected ? this.waiting : undefined);
    }

    fail(error) {
      this.waiting = null;
      this.why = `The upload stopped. ${reason(error)}`;
      this.enter("broken", this.why);
    }

    pause() {
      this.upload.abort();
      this.rate = 0;
      if (this.mark) this.showProgress(this.mark.sent, this.upload.file.size);
      this.mark = null;
      this.enter("paused", "The upload is paused.");
    }

    resume() {
      this.upload.options.headers["X-CSRFToken"] = this.token;
      this.mark = null;
      this.rate = 0;
      this.enter("running", "Going on with the upload.");
      this.upload.start();
    }

    async cancel() {
      const { upload, hidden } = this;
      const id = hidden.value;
      this.upload = this.waiting = null;
      hidden.value = "";
      this.input.value = "";
      this.input.name = this.name;
      this.enter("idle", "The upload is cancelled.");
      if (!upload) this.delete(id);
      else await upload.abort(true).catch(() => {}); // what cannot be deleted now expires
    }

    delete(id) {
      const headers = { "Tus-Resumable": "1.0.0", "X-CSRFToken": this.token };
      return fetch(`${this.address}${id}/`, { method: "DELETE", headers }).catch(() => {});
    }

    // The form waits for the upload, and is sent by itself when that is complete.
    hold(event) {
      if (["idle", "complete"].includes(this.state)) {
        this.leaving = true;
        return;
      }
      event.preventDefault();
      event.stopPropagation();
      if (this.state === "running") {
        this.waiting = event.submitter || this.form.querySelector("[type=submit]");
        this.status.textContent = "The form is sent as soon as the upload is complete.";
      } else {
        const why = this.state === "broken" ? this.why : "The upload is not complete.";
        this.status.textContent = `${why} Resume or cancel it first.`;
        this.buttons.resume.focus();
      }
    }

    // What an earlier visit left: a complete upload can be used, an unfinished one goes on with the same file.
    async showEarlier() {
      let waiting;
      try {
        const answer = await fetch(this.address, { headers: { Accept: "application/json" } });
        waiting = answer.ok ? (await answer.json()).results : [];
      } catch (unreachable) {
        return; // a convenience only
      }
      const chosen = this.hidden.value;
      for (const upload of waiting.filter(({ id }) => id !== chosen)) this.earlier.append(this.offer(upload));
    }

    offer({ id, name, length, offset, complete }) {
      const text = complete
        ? `You uploaded ${name} (${megabytes(length)}) before. `
        : `${megabytes(offset)} of ${megabytes(length)} of ${name} were uploaded before. Choose the same file to go on. `;
      const row = element("p", { className: "small" }, text);
      if (complete) row.append(this.button("Use it", () => this.use(id, name, length)), " ");
      const discard = this.button("Discard it", () => {
        this.delete(id);
        this.input.focus();
        row.remove();
      });
      discard.setAttribute("aria-label", `Discard the upload of ${name}`);
      row.append(discard);
      return row;
    }

    use(id, name, length) {
      if (this.upload) this.upload.abort();
      this.upload = null;
      this.input.value = "";
      this.input.name = "";
      this.hidden.value = id;
      this.label.textContent = name;
      this.figures.textContent = megabytes(length);
      this.bar.value = 1;
      this.earlier.replaceChildren();
      this.enter("complete", "The upload is complete.");
      this.buttons.cancel.focus();
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    if (!window.tus || !tus.isSupported) return;
    for (const box of document.querySelectorAll("[data-upload]")) new Field(box);
  });
})();
