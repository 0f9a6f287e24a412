// Compare, and Who is it.
import { about, ask, element, working } from "./ask.js";
import { pair } from "./draw.js";
import { slot } from "./slots.js";

const NARROW = 640; // pixels: prints stand below each other

export function compare() {
  const panel = document.getElementById("compare");
  const form = panel.querySelector(".row"), result = panel.querySelector(".result");
  const error = result.previousElementSibling, button = form.querySelector(".go");
  form.addEventListener("submit", () => {
    working(button, error, async () => {
      result.replaceChildren();
      const [first, second] = [await slot("first"), await slot("second")];
      const addresses = [first.address, second.address], names = [first.title, second.title];
      const answer = await ask("/api/compare", { model: form.model.value, dpi: first.resolution, second_dpi: second.resolution });
      result.append(
        element("p", { class: `verdict ${answer.same ? "yes" : "no"}` }, answer.verdict[0].toUpperCase() + answer.verdict.slice(1)),
        element("p", {}, `Score ${answer.score.toFixed(3)}; ${answer.threshold}.`),
        element("p", { class: "hint" }, answer.in_words + (answer.same ? "" : " A poor print of the same finger may stay below it.")));
      if (answer.prints.length) drawn(result, answer, addresses, names);
      else result.append(element("p", { class: "hint" }, "This model compares embeddings, so that there are no minutiae to draw."));
      result.append(about(answer));
    });
  });
}

function drawn(result, answer, addresses, names) {
  const [a, b] = answer.prints;
  const place = element("div");
  let narrow = null;
  const draw = () => {
    const now = result.clientWidth < NARROW;
    if (now === narrow) return;
    narrow = now;
    place.replaceChildren(pair(a, b, addresses, answer.pairs, narrow));
  };
  const which = `${names[0]}: ${a.said}. ${names[1]}: ${b.said}. ${answer.pairs.length} pairs, on which the score rests, in red.`;
  result.append(place, element("p", { class: "hint" }, `${which} A ring is an ending, a square a bifurcation; this type counts for nothing here.`));
  draw();
  new ResizeObserver(draw).observe(result);
}

export function who() {
  const panel = document.getElementById("who");
  const [choose, enrol, identify] = panel.querySelectorAll(".row");
  const result = panel.querySelector(".result"), gallery = panel.querySelector(".gallery");
  const enrolError = gallery.previousElementSibling, error = result.previousElementSibling;
  const model = () => choose.model.value;

  const listed = (rows) => {
    gallery.replaceChildren();
    if (!rows.length) return;
    const forget = element("button", { type: "button" }, "Forget them");
    forget.addEventListener("click", () => working(forget, enrolError, async () => {
      listed((await ask("/api/forget", { model: model() })).gallery);
      result.replaceChildren();
    }));
    gallery.append(
      table(["Enrolled finger", "Print"], rows.map((row) => [row.finger, row.picture])), forget);
  };

  choose.model.addEventListener("change", async () => {
    result.replaceChildren();
    listed((await ask("/api/enrolled", { model: model() })).gallery);
  });
  enrol.addEventListener("submit", () => {
    working(enrol.querySelector(".go"), enrolError, async () => {
      const answer = await ask("/api/enrol", { model: model(), finger: enrol.finger.value, dpi: (await slot("enrol")).resolution });
      listed(answer.gallery);
      gallery.append(about(answer));
      enrol.finger.value = "";
    });
  });
  identify.addEventListener("submit", () => {
    working(identify.querySelector(".go"), error, async () => {
      result.replaceChildren();
      const answer = await ask("/api/identify", { model: model(), dpi: (await slot("probe")).resolution });
      const [best] = answer.matches;
      result.append(
        element("p", { class: `verdict ${best.same ? "yes" : "no"}` }, best.same ? best.finger : "Nobody who is enrolled"),
        table(["Rank", "Finger", "Score", ""], answer.matches.map((m, place) =>
          [place + 1, m.finger, m.score.toFixed(3), m.same ? "match" : "below the threshold"])),
        element("p", { class: "hint" }, `Among ${answer.among} ${answer.among === 1 ? "finger" : "fingers"}; ${answer.threshold}. ` +
          "A false match is the likelier, the more are enrolled."),
        about(answer));
    });
  });
}

function table(heads, rows) {
  return element("table", {},
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, String(cell)))))));
}
