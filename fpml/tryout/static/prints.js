// Repair, Make, and Look inside.
import { about, ask, element, fetched, save, working } from "./ask.js";
import { ends, flow, layers, minutiae, periods, picture, segmentation, sheet, svg } from "./draw.js";
import { put, slot } from "./slots.js";

function wired(id, work) {
  const panel = document.getElementById(id), form = panel.querySelector(".row");
  if (!form) return null; // what it needs is not installed, as it says
  const result = panel.querySelector(".result"), error = result.previousElementSibling;
  form.addEventListener("submit", () => {
    working(form.querySelector(".go"), error, async () => {
      result.replaceChildren();
      await work(form, result);
    });
  });
  return { form, result, error };
}

export const repair = () => wired("repair", async (form, result) => {
  const from = await slot("repair");
  const answer = await ask("/api/repair", { model: form.model.value, dpi: from.resolution });
  const { width, height } = answer;
  const cut = svg("rect", { x: 0, y: 0, width: width / 2, height });
  const damage = picture(answer.damage, width, height);
  const before = svg("g", { "clip-path": "url(#cut)" }, picture(answer.before, width, height), damage, place(answer.found));
  const edge = svg("line", { class: "edge", x1: width / 2, y1: 0, x2: width / 2, y2: height });
  const drawing = sheet(width, height, "the print before and after its repair", svg("clipPath", { id: "cut" }, cut),
    picture(answer.after, width, height), before, edge);
  drawing.classList.add("single");
  const slider = element("input", { type: "range", min: 0, max: 100, value: 50 });
  slider.addEventListener("input", () => {
    const at = (width * slider.value) / 100;
    cut.setAttribute("width", at);
    edge.setAttribute("x1", at);
    edge.setAttribute("x2", at);
  });
  result.append(
    element("p", {}, `${(100 * answer.damaged).toFixed(1)} % of the picture counts as damaged. It is shown at ${answer.dpi} dpi.`),
    layers([["damage map", damage, true]]), drawing,
    element("label", { class: "slide" }, "Left of the line: before, with the damage in red. Right of it: after.", slider,
      element("span", { class: "ends" }, element("span", {}, "all after"), element("span", {}, "all before"))));
  if (answer.found) {
    const json = element("button", { type: "button" }, "What was found, as JSON");
    const name = `${(from.title ?? "print").replace(/\.[^.]*$/, "")}-found.json`;
    json.addEventListener("click", () => save(new Blob([JSON.stringify(answer.found, null, 1)]), name));
    result.append(foundAs(answer.found), json);
  }
  result.append(about(answer));
});

// Where a model that tells found something, in pixels of the picture: a disc and how far it was turned, or the corners of a Z.
function place(found) {
  const drawn = svg("g", { class: "place" });
  const line = (...points) => drawn.append(svg("polyline", { points: points.map(([y, x]) => `${x},${y}`).join(" ") }));
  const { y, x, radius, degrees, v0, v1, v2, v3 } = found?.place ?? {};
  if (radius) {
    drawn.append(svg("circle", { cx: x, cy: y, r: radius }));
    const at = (turn) => [y - radius * Math.sin((turn * Math.PI) / 180), x + radius * Math.cos((turn * Math.PI) / 180)];
    line(at(0), [y, x], at(degrees));
  }
  if (v0) {
    line(v1, v0, v2, v3);
    line(v1, v2);
    line(v0, v3);
  }
  return drawn;
}

const KINDS = { none: "nothing was altered", CR: "a disc was turned", Zcut: "a Z was cut and sewn", Obl: "ridges were destroyed" };

// What such a model found, in words and as it said it.
function foundAs(found) {
  const of = (share) => `${Math.round(100 * share)} %`;
  const { kind, confidence, place: where, placed, undone } = found;
  const said = { found: `${KINDS[kind] ?? kind} (${kind}), confidence ${of(confidence)}` };
  if (Object.keys(where).length) {
    const short = (value) => (Array.isArray(value) ? `(${value.map(short).join(", ")})` : Number(value.toFixed(2)));
    said.place = Object.entries(where).map(([name, value]) => `${name} ${short(value)}`).join(", ");
    const instead = kind === "Zcut" ? "left as it is" : "painted over";
    said["place's confidence"] = `${of(placed)}; ${undone ? "undone" : `not sure enough to be undone, ${instead}`}`;
  } else if (kind === "Zcut") {
    said.place = "not found; left as it is";
  }
  return facts(said);
}

function facts(of) {
  const list = element("dl");
  for (const [name, value] of Object.entries(of)) list.append(element("dt", {}, name), element("dd", {}, value));
  return list;
}

const USES = [["compare", "first", "the first print to compare"], ["compare", "second", "the second print to compare"],
  ["who", "enrol", "a print to enrol"], ["who", "probe", "the print to look up"], ["repair", "repair", "the print to repair"],
  ["inside", "inside", "the print to look inside"]];

// A choice that puts a made print where another tab takes prints, and goes there.
function passedOn(png, name, dpi) {
  const there = USES.filter(([, place]) => document.querySelector(`[data-slot=${place}]`)); // no model, no place
  const options = there.map(([, place, title]) => element("option", { value: place }, title));
  const menu = element("select", { class: "use" }, element("option", { value: "" }, "…"), ...options);
  const go = element("button", { type: "button" }, "Use it"); // not at a choice, which the keyboard makes on its way to another
  go.addEventListener("click", () => {
    if (!menu.value) return;
    const [tab, place] = there.find(([, one]) => one === menu.value);
    menu.value = "";
    const bytes = Uint8Array.from(atob(png.split(",")[1]), (c) => c.charCodeAt(0));
    document.getElementById(`tab-${tab}`).click();
    put(place, new Blob([bytes], { type: "image/png" }), name, dpi);
  });
  return element("div", { class: "row" }, element("label", {}, "As ", menu), go);
}

export function make() {
  const parts = wired("make", async (form, result) => {
    const answer = await ask("/api/make", wish(form));
    const prints = element("div", { class: "prints" });
    const all = { minutiae: [], flow: [], segmentation: [], periods: [], changed: [] };
    for (const print of answer.prints) {
      const drawn = { segmentation: segmentation(print), periods: periods(print), flow: flow(print), minutiae: minutiae(print.minutiae) };
      if (print.altered) drawn.changed = picture(print.changed, print.width, print.height);
      for (const [kind, layer] of Object.entries(drawn)) all[kind].push(layer);
      const title = `impression ${print.name} (${print.condition})${print.altered ? ", altered" : ""}`;
      const drawing = sheet(print.width, print.height, title, picture(print.altered ?? print.png, print.width, print.height),
        ...Object.values(drawn));
      const note = `Impression ${print.name}, ${print.condition}: ${print.minutiae.length} true minutiae, ${print.dpi} dpi`;
      const name = `made-${form.seed.value}-${print.name}${print.altered ? "-altered" : ""}.png`;
      const use = passedOn(print.altered ?? print.png, name, print.dpi);
      prints.append(element("figure", {}, drawing, element("figcaption", {}, note), use));
    }
    const shown = [["minutiae", all.minutiae, true], ["ridge flow", all.flow, false], ["ridge period", all.periods, false],
      ["where no skin touched", all.segmentation, false]];
    if (all.changed.length) shown.push(["what was altered", all.changed, true]);
    const said = `A finger of the class ${answer.pattern}. The same prints${all.changed.length ? ", not altered," : ""} by a command: `;
    result.append(element("p", {}, said, element("code", {}, answer.command)));
    if (all.changed.length) {
      result.append(element("p", { class: "hint" }, "Minutiae and fields are those before the alteration; inside it they no longer hold."));
    }
    result.append(layers(shown), prints, about(answer));
  });
  if (!parts) return;
  const { form, error } = parts, zip = form.querySelector(".zip"), buttons = form.querySelectorAll("button");
  const able = (can) => buttons.forEach((button) => { button.disabled = !can; });
  able(false); // until it is known what can be wished for, for which the server reads the generator
  let asked = false;
  const prepare = async () => {
    if (asked) return;
    asked = true;
    error.textContent = "";
    try {
      for (const [name, values] of Object.entries(await ask("/api/choices"))) {
        form.elements[name].replaceChildren(...values.map((value) => element("option", {}, value)));
      }
      form.sensor.value = "secugen";
      form.level.value = "Medium";
      able(true);
    } catch (problem) {
      asked = false; // again when the tab is chosen again
      error.textContent = problem.message;
    }
  };
  document.getElementById("tab-make").addEventListener("selected", prepare);
  zip.addEventListener("click", () => {
    if (form.reportValidity()) working(zip, error, async () => save(await fetched("/api/made.zip", wish(form)), `made-${form.seed.value}.zip`));
  });
}

const wish = (form) => ({
  pattern: form.pattern.value, sensor: form.sensor.value, condition: form.condition.value, seed: Number(form.seed.value),
  impressions: Number(form.impressions.value), kind: form.kind.value, level: form.level.value,
});

export const inside = () => wired("inside", async (form, result) => {
  const from = await slot("inside"), address = from.address, stem = (from.title ?? "print").replace(/\.[^.]*$/, "");
  const answer = await ask("/api/inside", { model: form.model.value, dpi: from.resolution });
  const { width, height } = answer;
  const parts = { segmentation: segmentation(answer), periods: periods(answer), flow: flow(answer), minutiae: minutiae(answer.minutiae) };
  const drawing = sheet(width, height, `the print with ${answer.minutiae.length} minutiae`, picture(address, width, height),
    ...Object.values(parts));
  drawing.classList.add("single");
  const [low, high] = ends(answer);
  const files = element("p", {});
  const download = (title, content, name) => {
    const button = element("button", { type: "button" }, title);
    button.addEventListener("click", () => save(new Blob([content]), name));
    files.append(button, " ");
  };
  download("ISO/IEC 19794-2 (.fmr)", Uint8Array.from(atob(answer.files.fmr), (c) => c.charCodeAt(0)), `${stem}.fmr`);
  download("JSON", answer.files.json, `${stem}.json`);
  result.append(
    facts(answer.facts),
    layers([["minutiae", parts.minutiae, true], ["orientation field", parts.flow, false],
      [`ridge period (blue ${low} to orange ${high} pixels at 500 dpi)`, parts.periods, false],
      ["segmentation (what is not skin is shaded)", parts.segmentation, false]]),
    drawing, element("p", { class: "hint" }, "A ring is an ending, a square a bifurcation; this type is less sure than the place."),
    files, about(answer));
});
