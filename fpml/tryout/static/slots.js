// The places for pictures: a file chosen, dropped or pasted, or an example; and its dpi.
import { ask, sent } from "./ask.js";

const slots = new Map();
const largest = Number(document.body.dataset.largest);
let pasted = 0;

class Slot {
  constructor(box) {
    this.name = box.dataset.slot;
    this.box = box;
    this.image = box.querySelector("img");
    this.dpi = box.querySelector(".dpi input");
    this.why = box.querySelector(".why");
    this.error = box.querySelector(".error");
    this.examples = box.querySelector("select");
    this.reading = Promise.resolve();
    const file = box.querySelector("input[type=file]");
    file.addEventListener("change", () => {
      if (file.files[0]) this.take(file.files[0], file.files[0].name);
      file.value = "";
    });
    this.examples.addEventListener("change", () => {
      const chosen = this.examples.value;
      if (chosen) this.filled(() => ask(`/api/example/${this.name}`, { file: chosen }));
    });
    const drop = box.querySelector(".drop");
    drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      const dropped = event.dataTransfer.files[0];
      if (dropped) this.take(dropped, dropped.name);
    });
  }

  // dpi: of a print whose resolution is known; else it is told by the ridges.
  take(file, name, dpi = null) {
    this.examples.value = "";
    return this.filled(async () => {
      if (file.size > largest) throw new Error(`${name}: too large: more than the limit of ${largest.toLocaleString("en")} bytes`);
      const picture = await sent(`/api/picture/${this.name}?name=${encodeURIComponent(name)}`, file);
      return dpi === null ? picture : { ...picture, dpi, why: "so it was made" };
    });
  }

  // One after another, so that the server keeps what was chosen last; what was chosen before and waits is left out.
  filled(get) {
    this.error.textContent = "";
    this.why.textContent = "reading …";
    const turn = (this.turn = {});
    this.reading = this.reading.then(() => turn === this.turn && this.read(get, turn));
    return this.reading;
  }

  async read(get, turn) {
    try {
      const picture = await get();
      if (turn !== this.turn) return; // another was chosen meanwhile
      Object.assign(this, { png: picture.png, title: picture.name, failed: null });
      this.image.src = picture.png;
      this.image.alt = `${picture.name}, ${picture.width} × ${picture.height} pixels`;
      this.image.hidden = false;
      this.dpi.value = picture.dpi;
      this.why.textContent = `${picture.name}, ${picture.width} × ${picture.height} pixels. ${picture.dpi} dpi: ${picture.why}.`;
    } catch (problem) {
      if (turn !== this.turn) return;
      Object.assign(this, { png: null, failed: problem.message });
      this.image.hidden = true; // of the print before it, which nobody means any more
      this.why.textContent = "";
      this.error.textContent = problem.message;
    }
  }

  // null: told by the ridges.
  get resolution() {
    return this.dpi.value === "" ? null : Number(this.dpi.value);
  }

  get address() {
    return this.png;
  }
}

// With what was chosen last: whoever presses a button at once, or after a file that can't be read, does not mean the
// picture before it.
export async function slot(name) {
  const one = slots.get(name);
  await one.reading;
  if (one.failed) throw new Error(one.failed);
  return one;
}

export function prepare() {
  for (const box of document.querySelectorAll(".slot")) slots.set(box.dataset.slot, new Slot(box));
  for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault()); // not opened in its place
  addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    const panel = document.querySelector("[role=tabpanel]:not([hidden])");
    const here = [...panel.querySelectorAll(".slot")].map((box) => slots.get(box.dataset.slot));
    // Where the cursor is, else the first empty place, else the first.
    const target = here.find((one) => one.box.contains(document.activeElement)) ?? here.find((one) => !one.png) ?? here[0];
    if (!file || !target) return;
    event.preventDefault();
    pasted += 1;
    target.take(file, `pasted-${pasted}.${file.type.split("/")[1]}`);
  });
}

// A picture from elsewhere on the page, put where a file would be.
export const put = (name, blob, title, dpi) => slots.get(name).take(blob, title, dpi);
