// The page: its tabs, and what each of their buttons does.
import { open } from "./ask.js";
import { prepare } from "./slots.js";
import { compare, who } from "./fingers.js";
import { inside, make, repair } from "./prints.js";

const tabs = [...document.querySelectorAll("[role=tab]")];

function select(tab) {
  for (const one of tabs) {
    const on = one === tab;
    one.setAttribute("aria-selected", on);
    one.tabIndex = on ? 0 : -1;
    document.getElementById(one.getAttribute("aria-controls")).hidden = !on;
  }
  tab.focus();
  tab.dispatchEvent(new Event("selected"));
}

tabs.forEach((tab, number) => {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    const last = tabs.length - 1;
    const to = { ArrowRight: number === last ? 0 : number + 1, ArrowLeft: number ? number - 1 : last, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    select(tabs[to]);
  });
});

// Every form is the script's: none is ever submitted, by Enter in a field either.
addEventListener("submit", (event) => event.preventDefault());

// A page that the browser kept and shows again has nothing left on the server.
addEventListener("pageshow", (event) => event.persisted && location.reload());

try {
  await open();
  prepare();
  for (const tab of [compare, who, repair, make, inside]) tab();
  document.body.dataset.ready = "yes";
} catch (problem) {
  document.getElementById("trouble").textContent = problem.message;
}
