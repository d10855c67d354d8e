// What JavaScript adds to the pages: they update, a pasted trace id opens, charts show the values at the pointer.
"use strict";

document.documentElement.classList.add("scripted");

const TRACE_ID = /(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])/i;
const live = document.getElementById("live");
const state = document.querySelector("[data-state]");
const pause = document.querySelector("[data-pause]");
const said = document.querySelector("[data-said]");
const every = Number(live?.dataset.every ?? 0);

// Updating ---------------------------------------------------------------------------------------------------------

let paused = sessionStorage.getItem("paused") === "true";
let lost = false;

function inUse() {
  const selection = document.getSelection();
  const selected = selection && !selection.isCollapsed && live.contains(selection.anchorNode);
  return document.hidden || selected || live.querySelector(".drawing:hover") !== null;
}

// A place is found again by its id, its address or its name.
function addressOf(element) {
  if (!element || !live.contains(element)) return null;
  if (element.id) return `#${CSS.escape(element.id)}`;
  if (element.tagName === "SUMMARY") return `#${CSS.escape(element.parentElement.id)} > summary`;
  const href = element.getAttribute("href");
  if (href) return `${element.localName}[href="${CSS.escape(href)}"]`;
  const label = element.getAttribute("aria-label");
  return label ? `[aria-label="${CSS.escape(label)}"]` : null;
}

// What is at the top of the window stays there, whatever comes above it.
function anchorIn(area) {
  return scrollY <= area.offsetTop ? null : [...area.querySelectorAll("tr[id], li > details[id]")].find((row) => row.getBoundingClientRect().bottom > 0);
}

// A list of the latest that is scrolled is paused: what is read in it must not move out of it.
function isScrolled() {
  return "hold" in live.dataset && scrollY > live.offsetTop;
}

function replace(markup) {
  const anchor = anchorIn(live);
  const place = anchor?.getBoundingClientRect().top;
  const focused = addressOf(document.activeElement);
  const open = [...live.querySelectorAll("details[open][id]")].map((details) => details.id);
  const scrolled = [...live.querySelectorAll(".scroll")].map((area) => [area.scrollLeft, area.scrollTop]);
  const parsed = new DOMParser().parseFromString(markup, "text/html");
  live.replaceChildren(...parsed.body.childNodes);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  live.querySelectorAll(".scroll").forEach((area, index) => {
    if (scrolled[index]) [area.scrollLeft, area.scrollTop] = scrolled[index];
  });
  if (focused) live.querySelector(focused)?.focus({ preventScroll: true });
  const moved = anchor && document.getElementById(anchor.id);
  if (moved) scrollBy({ top: moved.getBoundingClientRect().top - place, behavior: "instant" });
}

function report(text, isLost) {
  state.textContent = text;
  state.classList.toggle("lost", isLost);
  // A screen reader announces changes only.
  if (isLost !== lost) said.textContent = isLost ? text : "The console answers again.";
  lost = isLost;
}

async function update() {
  if (paused || inUse()) return undefined;
  if (isScrolled()) return report("Paused while it is scrolled", false);
  try {
    const answer = await fetch(location.href, {
      headers: { "X-Console-Part": "live", Accept: "text/html" },
      signal: AbortSignal.timeout(10000),
    });
    const markup = await answer.text();
    if (paused || inUse() || isScrolled()) return undefined;
    // A trace that has not arrived yet is 404, and the page says so.
    if (answer.ok) replace(markup);
    report(`Updated ${new Date().toISOString().slice(11, 19)}`, false);
  } catch {
    report("The console does not answer; retrying", true);
  }
  return undefined;
}

function showPause() {
  pause.hidden = false;
  pause.setAttribute("aria-pressed", String(paused));
  if (paused) report("Updates are paused", false);
}

if (live && pause && every > 0) {
  state.textContent = `Updates every ${every / 1000} s`;
  showPause();
  pause.addEventListener("click", () => {
    paused = !paused;
    sessionStorage.setItem("paused", String(paused));
    showPause();
    update();
  });
  const turn = async () => {
    await update();
    setTimeout(turn, every);
  };
  setTimeout(turn, every);
}

// Finding ----------------------------------------------------------------------------------------------------------

document.addEventListener("paste", (event) => {
  if (event.target.closest?.("input, textarea, [contenteditable]")) return;
  const found = TRACE_ID.exec(event.clipboardData.getData("text"));
  if (found) location.assign(`/traces/${found[0].toLowerCase()}`);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select")) return;
  event.preventDefault();
  document.getElementById("find")?.focus();
});

// The arrow keys change a closed list with every press, so only what a pointer chose is submitted at once.
let pointedAt = null;
document.addEventListener("pointerdown", ({ target }) => (pointedAt = target));
document.addEventListener("keydown", () => (pointedAt = null));

for (const form of document.forms) {
  // An address holds what was chosen and nothing else.
  form.addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
  });
  form.addEventListener("change", (event) => {
    if (event.target === pointedAt && event.target.matches("[data-submit]")) form.requestSubmit();
  });
}

// One span of a trace, named in the address, is opened.
function openTarget() {
  const target = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
  if (target?.tagName === "DETAILS") {
    for (let around = target; around; around = around.parentElement.closest("details")) around.open = true;
    target.scrollIntoView({ block: "center" });
  }
}
window.addEventListener("hashchange", openTarget);
openTarget();

// Charts -----------------------------------------------------------------------------------------------------------

function readChart(event) {
  const drawing = event.target.closest?.(".drawing");
  for (const other of document.querySelectorAll(".readout")) other.hidden ||= other.parentElement !== drawing;
  if (!drawing) return undefined;
  const plot = drawing.querySelector(".plot");
  const rows = drawing.parentElement.querySelectorAll("tbody tr");
  const readout = drawing.querySelector(".readout");
  const area = plot.getBoundingClientRect();
  const share = (event.clientX - area.left) / area.width;
  readout.hidden = rows.length === 0 || share < -0.02 || share > 1.02;
  if (readout.hidden) return undefined;
  const index = Math.min(Math.max(Math.round(share * (rows.length - 1)), 0), rows.length - 1);
  const names = [...drawing.parentElement.querySelectorAll("thead th")].map((cell) => cell.textContent);
  const values = [...rows[index].cells].map((cell) => cell.textContent);
  readout.textContent = values.map((value, place) => (place ? `${names[place]}  ${value}` : value)).join("\n");
  const box = drawing.getBoundingClientRect();
  const x = event.clientX - box.left;
  readout.style.left = `${x + readout.offsetWidth + 24 > box.width ? x - readout.offsetWidth - 12 : x + 12}px`;
  const cursor = drawing.querySelector(".cursor");
  cursor.style.left = `${area.left - box.left + (area.width * index) / Math.max(rows.length - 1, 1)}px`;
  return undefined;
}

document.addEventListener("pointermove", readChart);
document.addEventListener("pointerdown", readChart);
