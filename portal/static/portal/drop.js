// Reads a folder or a zip that is dropped or chosen: names and sizes go to the server, which says what few files it
// wants to read; what they say fills the form, and the files are put into its fields. The server alone knows what a
// submission looks like. Without this script the form's own fields are there.
(() => {
  "use strict";
  // Nothing else can be of a submission; a folder's other files are not even named to the server.
  const NAMED = /(^|\/)(pyproject\.toml|adapter_config\.json|training\.json|(flwr|flower)[\w.-]*\.json|adapter_model[^/]*|[^/]+\.(txt|log|out|py))$/i;
  const PRUNED = /(^|\/)(\.[^/]*|__MACOSX|__pycache__|node_modules|site-packages|venv|env|wandb)\//;
  const MOST = 5000; // names, as the server has it
  const MOST_SEEN = 100000; // entries of dropped folders
  const PIECE = 16 * 1024 ** 2;

  const matters = (path) => NAMED.test(path) && !PRUNED.test(path);

  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  // A file of a folder.
  class Local {
    constructor(path, file) {
      Object.assign(this, { path, size: file.size, modified: file.lastModified, name: path.split("/").pop(), file });
    }

    async whole() {
      return this.file;
    }
  }

  // A file in a zip, taken out only when it is wanted, and never past the size that the zip says.
  class Zipped {
    constructor(entry) {
      const path = entry.filename.replaceAll("\\", "/").replace(/^\.\//, "");
      const modified = Number(entry.lastModDate) || 0;
      Object.assign(this, { path, size: entry.uncompressedSize, modified, name: path.split("/").pop(), entry });
    }

    whole() {
      return (this.taken ||= this.take());
    }

    async take() {
      if (this.entry.encrypted) throw new Error("The zip has a password. Make one without.");
      const { path, size } = this;
      let [done, pending, waiting, all] = [[], [], 0, 0];
      const sink = new WritableStream({
        write(chunk) {
          all += chunk.length;
          if (all > size) throw new Error(`${path} is larger than the zip says. Make the zip anew.`);
          pending.push(chunk.slice());
          waiting += chunk.length;
          if (waiting > PIECE) [done, pending, waiting] = [[...done, new Blob(pending)], [], 0];
        },
      });
      if (![0, 8].includes(this.entry.compressionMethod)) throw new Error(`${path} is packed in a way that browsers cannot read. Make the zip with "deflate".`);
      await this.entry.getData(sink, { useWebWorkers: false });
      return new File([...done, ...pending], this.name, { lastModified: this.modified });
    }
  }

  // The beginning that the server wants: of an adapter its header, where the whole is more.
  const beginning = async (file, { size, is_adapter }) => {
    const whole = await file.whole();
    if (!is_adapter || whole.size <= size || whole.size < 8) return whole.slice(0, size);
    const header = new DataView(await whole.slice(0, 8).arrayBuffer()).getBigUint64(0, true);
    return whole.slice(0, header < BigInt(size) ? Number(header) + 8 : size);
  };

  const script = (address) =>
    new Promise((loaded, failed) => {
      const tag = element("script", { src: address, onload: loaded, onerror: () => failed(new Error("The page is incomplete. Load it anew.")) });
      document.head.append(tag);
    });

  const entriesOf = (reader) => new Promise((found, failed) => reader.readEntries(found, failed));
  const fileOf = (entry) => new Promise((found, failed) => entry.file(found, failed));

  // The files under dropped folders.
  const walked = async (roots) => {
    const [files, waiting] = [[], [...roots]];
    let seen = 0;
    while (waiting.length) {
      const entry = waiting.shift();
      const path = entry.fullPath.replace(/^\//, "");
      if ((seen += 1) > MOST_SEEN) throw new Error(`These are over ${MOST_SEEN} files. Choose the Flower app's folder alone.`);
      if (entry.isFile && matters(path)) files.push(new Local(path, await fileOf(entry)));
      if (!entry.isDirectory || PRUNED.test(`${path}/`)) continue;
      const reader = entry.createReader();
      for (let some = await entriesOf(reader); some.length; some = await entriesOf(reader)) waiting.push(...some);
    }
    return files;
  };

  class Zone {
    constructor(box) {
      this.box = box;
      this.form = box.closest("form");
      this.status = box.querySelector("[role=status]");
      this.alert = box.querySelector("[role=alert]");
      this.result = box.querySelector("[data-drop-result]");
      this.typed = new Set();
      this.marks = new Map();
      this.choice = { app: "", checkpoint: "" };
      box.hidden = false;
      for (const input of box.querySelectorAll("input[type=file]")) input.addEventListener("change", () => this.chosen(input));
      for (const kind of ["dragover", "dragleave", "drop"]) box.addEventListener(kind, (event) => this.dragged(event, kind));
      this.result.addEventListener("change", (event) => this.select(event.target));
      const address = box.querySelector("[data-drop-hub]");
      address.addEventListener("input", () => this.name(address.value.trim()));
      for (const kind of ["input", "change"]) this.form.addEventListener(kind, ({ target }) => this.changed(target));
    }

    field(name) {
      return this.form.elements[name];
    }

    dragged(event, kind) {
      event.preventDefault();
      this.box.classList.toggle("is-over", kind === "dragover");
      if (kind !== "drop") return;
      const text = event.dataTransfer.getData("text/plain").trim();
      const files = [...event.dataTransfer.files];
      const roots = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
      const isZip = files.length === 1 && /\.zip$/i.test(files[0].name) && !roots[0]?.isDirectory;
      if (isZip) this.open(() => this.unzipped(files[0]));
      else if (roots.length) this.open(() => walked(roots));
      else if (files.length) this.open(async () => files.map((file) => new Local(file.name, file)).filter(({ path }) => matters(path)));
      else this.name(text);
    }

    chosen(input) {
      const files = [...input.files];
      input.value = ""; // so that the same one can be chosen again
      if (!files.length) return this.say("Nothing is in there.");
      if (input.webkitdirectory) {
        this.open(async () => files.map((file) => new Local(file.webkitRelativePath, file)).filter(({ path }) => matters(path)));
      } else this.open(() => this.unzipped(files[0]));
    }

    async unzipped(file) {
      if (!window.zip) await script(this.box.dataset.zip);
      let entries;
      try {
        entries = await new zip.ZipReader(new zip.BlobReader(file)).getEntries();
      } catch (broken) {
        if (broken.message === "Unsafe filename") throw new Error(`A name in ${file.name} leads out of its folder. Make it anew, or choose the folder.`);
        throw new Error(`${file.name} cannot be read as a zip. Make it anew, or choose the folder.`);
      }
      return entries.filter((entry) => !entry.directory).map((entry) => new Zipped(entry)).filter(({ path }) => matters(path));
    }

    name(address) {
      if (!address) return;
      const field = this.field("hub_repository");
      field.value = address;
      field.closest("details").open = true;
      this.say("The address stands in the form. A worker fetches and checks the files once you submit.");
    }

    say(text) {
      this.status.textContent = text;
    }

    async open(list) {
      const turn = (this.turn = {});
      this.choice = { app: "", checkpoint: "" };
      this.result.replaceChildren();
      this.alert.textContent = "";
      this.say("Reading the names.");
      await this.guarded(turn, async () => {
        const files = await list();
        if (turn !== this.turn) return;
        if (files.length > MOST) throw new Error(`${files.length} files could be of a submission. Choose the Flower app's folder alone.`);
        this.files = new Map(files.map((file) => [file.path, file]));
        this.contents = new Map();
        await this.read(turn);
      });
    }

    async guarded(turn, act) {
      try {
        await act();
      } catch (error) {
        if (turn !== this.turn) return;
        this.say("");
        this.alert.textContent = error.message;
      }
    }

    // Asks until the server wants no more.
    async read(turn) {
      for (;;) {
        const answer = await this.ask();
        if (turn !== this.turn) return;
        if (!answer.wanted.length) return this.show(answer, turn);
        for (const wanted of answer.wanted) {
          this.say(`Reading ${wanted.path}.`);
          this.contents.set(wanted.path, await beginning(this.files.get(wanted.path), wanted));
          if (turn !== this.turn) return;
        }
      }
    }

    async ask() {
      const said = (name) => (this.marks.has(name) ? "" : this.field(name).value);
      const listing = {
        files: [...this.files.values()].map(({ path, size, modified }) => [path, size, modified]),
        sent: [...this.contents].map(([path, { size }]) => [path, size]),
        ...this.choice,
        challenge: said("challenge"),
        base_model: said("base_model"),
      };
      const body = new FormData();
      body.append("listing", JSON.stringify(listing));
      body.append("contents", new Blob([...this.contents.values()]), "contents");
      const headers = { "X-CSRFToken": this.field("csrfmiddlewaretoken").value, Accept: "application/json" };
      const response = await fetch(this.box.dataset.drop, { method: "POST", body, headers }).catch(() => null);
      const answer = await response?.json().catch(() => null);
      if (response?.redirected) throw new Error("You are signed out. Sign in in another tab, then choose the files again.");
      if (response?.ok && answer) return answer;
      throw new Error(answer?.detail || "The site does not answer. Choose the files again.");
    }

    async show({ html, values, files }, turn) {
      const focused = this.result.contains(document.activeElement) ? document.activeElement.id : "";
      this.result.innerHTML = html; // the site's own template, which escapes what files say
      if (focused) document.getElementById(focused)?.focus();
      this.empty(values, files);
      const filled = values.filter((each) => this.fill(each)).length;
      const names = [];
      for (const [name, path] of Object.entries(files)) if (await this.put(name, path, turn)) names.push(path);
      if (turn !== this.turn) return;
      const errors = this.result.querySelectorAll("[data-severity=error]").length;
      const found = errors ? `${errors} error${errors > 1 ? "s" : ""} found.` : "No error so far.";
      this.say(`Found ${Object.values(files).join(", ")}. ${filled} field${filled === 1 ? "" : "s"} filled in. ${found}`);
    }

    // What came of files that were chosen before, and is not in these.
    empty(values, files) {
      for (const [name, mark] of this.marks) {
        if (values.some(({ field }) => field === name)) continue;
        this.field(name).value = "";
        mark.remove();
        this.marks.delete(name);
      }
      for (const input of this.form.querySelectorAll("input[type=file][data-from]")) {
        if (input.id.replace(/^id_/, "") in files) continue; // while it uploads, a field has no name
        delete input.dataset.from;
        input.value = "";
        input.dispatchEvent(new Event("cleared"));
      }
    }

    // What a person typed or chose stays.
    fill({ field: name, value, place }) {
      const field = this.field(name);
      if (this.typed.has(name) || (field.value && !this.marks.has(name))) return false;
      field.value = value;
      if (field.value !== value) return false;
      this.marks.get(name)?.remove();
      const mark = element("p", { className: "small from-files" }, `From your files: ${place}`);
      field.after(mark);
      this.marks.set(name, mark);
      return true;
    }

    async put(name, path, turn) {
      const input = this.form.querySelector(`#id_${name}`);
      const listed = this.files.get(path);
      if (!input || !listed || input.dataset.from === this.key(listed)) return false;
      if (listed.size > Number(this.box.dataset.most)) return false; // the findings say so
      if (listed instanceof Zipped) this.say(`Taking ${path} out of the zip.`);
      const file = await listed.whole();
      if (turn !== this.turn) return false;
      const transfer = new DataTransfer();
      transfer.items.add(file);
      input.files = transfer.files;
      input.dataset.from = this.key(listed);
      this.filling = true;
      input.dispatchEvent(new Event("change", { bubbles: true }));
      this.filling = false;
      return true;
    }

    key({ path, size, modified }) {
      return JSON.stringify([path, size, modified]);
    }

    select(control) {
      if (!control.dataset.choice) return;
      this.choice[control.dataset.choice] = control.value;
      if (control.dataset.choice === "app") this.choice.checkpoint = "";
      this.again();
    }

    again() {
      const turn = (this.turn = {});
      this.alert.textContent = "";
      this.guarded(turn, () => this.read(turn));
    }

    changed(target) {
      if (this.filling || this.box.contains(target)) return;
      delete target.dataset.from;
      if (target.type === "file" || !target.name) return;
      this.typed.add(target.name);
      this.marks.get(target.name)?.remove();
      this.marks.delete(target.name);
      if (target.tagName === "SELECT" && this.contents?.size) this.again();
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const box of document.querySelectorAll("[data-drop]")) new Zone(box);
  });
})();
