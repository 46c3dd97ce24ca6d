"use strict";
// Nothing here is needed to read the report: without it, everything is shown one below the other.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const find = (selector) => document.querySelector(selector);

document.documentElement.classList.add("js");

// Samples: which set is shown, and how much of the photo shines through the labels.

function showSet(chosen) {
  for (const set of all(".set")) set.hidden = set.dataset.set !== chosen;
  for (const button of all(".choice button"))
    button.setAttribute("aria-pressed", String(button.dataset.set === chosen));
}

for (const controls of all(".controls")) controls.hidden = false;
for (const button of all(".choice button"))
  button.addEventListener("click", () => showSet(button.dataset.set));
if (find(".choice")) showSet("0");
find("#overlay")?.addEventListener("input", (event) =>
  document.documentElement.style.setProperty("--overlay", event.target.value));

// Zoom: a tile enlarged; arrows go to the next model, the pointer tells the class below it.

const zoom = find("#zoom");
let shown = null;

function show(tile) {
  shown = tile;
  const sample = tile.closest(".sample");
  find("#zoom-title").textContent = tile.querySelector(".name").textContent;
  find("#zoom-class").textContent = "";
  const picture = tile.querySelector(".picture").cloneNode(true);
  picture.setAttribute("style", sample.getAttribute("style"));
  find("#zoom-picture").replaceChildren(picture);
  const image = picture.querySelector("img");
  if (image && tile.dataset.title !== "global's mistakes") tellClasses(picture, image, tile);
  if (!zoom.open) zoom.showModal();
}

function tellClasses(picture, image, tile) {
  const names = new Map();
  for (const entry of all(".legend li", tile.closest(".set")))
    names.set(entry.dataset.colour, [...(names.get(entry.dataset.colour) ?? []), entry.textContent]);
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * canvas.width;
    const y = ((event.clientY - box.top) / box.height) * canvas.height;
    const rgb = context.getImageData(x, y, 1, 1).data.slice(0, 3);
    const colour = "#" + [...rgb].map((part) => part.toString(16).padStart(2, "0")).join("");
    find("#zoom-class").textContent = (names.get(colour) ?? ["not labelled"]).join(" or ");
  });
}

function step(by) {
  const tiles = all(".tile", shown.closest(".sample"));
  show(tiles[(tiles.indexOf(shown) + by + tiles.length) % tiles.length]);
}

for (const tile of all(".tile")) tile.addEventListener("click", () => show(tile));
for (const button of all("[data-step]", zoom))
  button.addEventListener("click", () => step(Number(button.dataset.step)));
find("[data-close]").addEventListener("click", () => zoom.close());
zoom.addEventListener("close", () => shown.focus());
zoom.addEventListener("click", (event) => { if (event.target === zoom) zoom.close(); });
zoom.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by) step(by);
});

// Tables: a click on a heading sorts by its column; the third click restores the order.

const value = (row, column) => {
  const cell = row.cells[column];
  const number = parseFloat(cell.textContent);
  return column === 0 ? cell.textContent : Number.isNaN(number) ? -Infinity : number;
};

function sort(table, column) {
  const body = table.tBodies[0];
  const heading = table.tHead.rows[0].cells[column];
  const next = { none: "descending", descending: "ascending", ascending: "none" };
  const order = next[heading.getAttribute("aria-sort") ?? "none"];
  for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", order);
  const rows = [...table.originalOrder];
  const sign = order === "ascending" ? 1 : -1;
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  if (order !== "none")
    rows.sort((a, b) => sign * compare(value(a, column), value(b, column)));
  body.append(...rows);
}

for (const table of all("[data-sortable]")) {
  table.originalOrder = [...table.tBodies[0].rows];
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.title = "Sort";
    button.addEventListener("click", () => sort(table, column));
    heading.replaceChildren(button);
  });
}
