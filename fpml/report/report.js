// Sorting and enlarging. The page says all it has to say without this, too.
for (const table of document.querySelectorAll("table[data-sort]")) {
  for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
    if (!head.textContent.trim()) continue;
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column]?.dataset.key ?? row.cells[column]?.textContent.trim() ?? "";
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        const [p, q] = [parseFloat(x), parseFloat(y)];
        if (!x || !y) return !x - !y || 0; // what is empty comes last, both ways
        const order = isNaN(p) || isNaN(q) ? x.localeCompare(y) : p - q;
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows);
    });
  }
}

const dialog = document.querySelector("dialog");
for (const button of document.querySelectorAll(".zoom")) {
  button.addEventListener("click", () => {
    const small = button.querySelector("img");
    const large = dialog.querySelector("img");
    [large.src, large.alt] = [small.src, small.alt];
    dialog.showModal();
  });
}
dialog.addEventListener("click", (event) => { if (event.target !== dialog.querySelector("img")) dialog.close(); });

// A link from the contents to something that is folded opens it.
const unfold = () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
};
addEventListener("hashchange", unfold);
unfold();

// The contents are folded where they lie above the page, and fold again once something was chosen.
const contents = document.querySelector("nav details");
const beside = matchMedia("(min-width: 70rem)");
const place = () => { contents.open = beside.matches; };
beside.addEventListener("change", place);
contents.addEventListener("click", (event) => { if (event.target.closest("a") && !beside.matches) contents.open = false; });
place();
