// Prints and what was found in them, as SVG. Places are in the units of the print: pixels, y down; angles in degrees,
// counter-clockwise.
const NS = "http://www.w3.org/2000/svg";

export function svg(name, attributes = {}, ...inside) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

export function sheet(width, height, title, ...inside) {
  return svg("svg", { class: "sheet", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title }, ...inside);
}

export const picture = (address, width, height) =>
  svg("image", { href: address, x: 0, y: 0, width, height, preserveAspectRatio: "none" });

// A ring for an ending, a square for a bifurcation, and its direction.
export function minutia([x, y, degrees, ending, sure], paired = false) {
  const angle = (degrees * Math.PI) / 180;
  const shape = ending ? svg("circle", { cx: x, cy: y, r: 3.2 }) : svg("rect", { x: x - 3, y: y - 3, width: 6, height: 6 });
  const line = svg("line", { x1: x, y1: y, x2: x + 10 * Math.cos(angle), y2: y - 10 * Math.sin(angle) });
  const kind = ending ? "ending" : "bifurcation";
  const title = svg("title", {}, `${kind}, ${degrees}°, certainty ${Math.round(100 * sure)} %`);
  const drawn = svg("g", { class: `${paired ? "paired" : "found"}${sure < 0.4 ? " unsure" : ""}` }, shape, line, title);
  return svg("g", {}, halo(shape, line), drawn);
}

// White under what is drawn, so that it shows on dark ridges and dark plates too.
const halo = (...drawn) => svg("g", { class: "halo" }, ...drawn.map((one) => one.cloneNode()));

export const minutiae = (rows) => svg("g", {}, ...rows.map((row) => minutia(row)));

// A short line along the ridges in every other block of skin.
export function flow({ orientation, skin, block }) {
  const lines = [];
  for (let row = 0; row < orientation.length; row += 2) {
    for (let column = 0; column < orientation[row].length; column += 2) {
      if (skin[row][column] <= 0.5) continue;
      const angle = (orientation[row][column] * Math.PI) / 180;
      const x = (column + 0.5) * block, y = (row + 0.5) * block;
      const dx = 0.75 * block * Math.cos(angle), dy = -0.75 * block * Math.sin(angle);
      lines.push(svg("line", { x1: x - dx, y1: y - dy, x2: x + dx, y2: y + dy }));
    }
  }
  return svg("g", {}, halo(...lines), svg("g", { class: "flow" }, ...lines));
}

// A map with one value a block, coloured: colour(row, column) gives red, green, blue, alpha in 0..255. The last block's value
// goes on to the picture's edge.
function tiles({ skin, width, height, block }, colour) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil(width / block);
  canvas.height = Math.ceil(height / block);
  const pixels = new ImageData(canvas.width, canvas.height);
  for (let row = 0; row < canvas.height; row += 1) {
    for (let column = 0; column < canvas.width; column += 1) {
      const own = colour(Math.min(row, skin.length - 1), Math.min(column, skin[0].length - 1));
      pixels.data.set(own, 4 * (row * canvas.width + column));
    }
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return picture(canvas.toDataURL(), canvas.width * block, canvas.height * block);
}

// What is not skin, shaded.
export const segmentation = (of) => tiles(of, (row, column) => [20, 40, 90, Math.round(150 * (1 - of.skin[row][column]))]);

// From narrow ridges (blue) to wide ones (orange); the scale's ends are those of this print.
export function periods(of) {
  const [low, high] = ends(of);
  return tiles(of, (row, column) => {
    const share = Math.min(1, Math.max(0, (of.period[row][column] - low) / Math.max(high - low, 0.1)));
    return [40 + 200 * share, 90 + 60 * share, 220 - 190 * share, of.skin[row][column] > 0.5 ? 140 : 0];
  });
}

export function ends({ period, skin }) {
  const values = period.flatMap((line, row) => line.filter((_, column) => skin[row][column] > 0.5)).sort((a, b) => a - b);
  return values.length ? [values[Math.floor(0.05 * values.length)], values[Math.floor(0.95 * values.length)]] : [0, 0];
}

// Two prints with all that was found in them, and lines between what belongs together: side by side, or below each other
// where there is no room.
export function pair(a, b, addresses, pairs, narrow) {
  const gap = 14;
  const shift = narrow ? [0, a.height + gap] : [a.width + gap, 0];
  const width = narrow ? Math.max(a.width, b.width) : a.width + gap + b.width;
  const height = narrow ? a.height + gap + b.height : Math.max(a.height, b.height);
  const matched = [new Set(pairs.map((p) => p[0])), new Set(pairs.map((p) => p[1]))];
  const side = (of, address, at, own) =>
    svg("g", { transform: `translate(${at})` }, picture(address, of.width, of.height),
      ...of.minutiae.map((row, number) => minutia(row, own.has(number))));
  const joins = pairs.map(([i, j]) => svg("line", {
    class: "join", x1: a.minutiae[i][0], y1: a.minutiae[i][1], x2: b.minutiae[j][0] + shift[0], y2: b.minutiae[j][1] + shift[1],
  }));
  const title = `two prints, ${a.minutiae.length} and ${b.minutiae.length} minutiae, ${pairs.length} pairs joined by lines`;
  return sheet(width, height, title, side(a, addresses[0], "0 0", matched[0]), side(b, addresses[1], shift.join(" "), matched[1]),
    ...joins);
}

// Check boxes, each of which shows and hides a layer: [[title, layer, shown at first], …]
export function layers(entries) {
  const box = document.createElement("fieldset");
  box.className = "layers";
  box.setAttribute("aria-label", "what is drawn");
  for (const [title, layer, shown] of entries) {
    const label = document.createElement("label"), check = document.createElement("input");
    check.type = "checkbox";
    check.checked = shown;
    const show = () => [layer].flat().forEach((one) => { one.style.display = check.checked ? "" : "none"; });
    check.addEventListener("change", show);
    show();
    label.append(check, title);
    box.append(label);
  }
  return box;
}
