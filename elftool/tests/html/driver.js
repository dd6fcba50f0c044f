"use strict";
const seen = {};
const table = document.querySelector("table.fleet");
const shown = () => [...table.tBodies].filter((body) => !body.hidden)
  .map((body) => body.rows[0].cells[0].textContent);
const put = (id, value, event) => {
  const control = document.getElementById(id);
  control.value = value;
  control.dispatchEvent(new Event(event, { bubbles: true }));
};
const head = (word) => [...table.tHead.rows[0].cells].find((cell) => cell.textContent.startsWith(word));
const click = (word) => { head(word).querySelector("button").click(); return shown(); };

seen.all = shown();
put("words", "s201", "input");
seen.code = shown();
seen.count = document.getElementById("count").textContent;
put("words", "", "input");
put("result", "unreadable", "change");
seen.unreadable = shown();
put("result", "", "change");
seen.ascending = click(table.tHead.rows[0].cells[0].textContent);
seen.descending = click(table.tHead.rows[0].cells[0].textContent);
seen.largest = head("File") ? click("File") : [];
seen.sorted = head("File") ? head("File").getAttribute("aria-sort") : "";

// Everything is looked at opened, unless that is a thousand of the same.
if (table.tBodies.length < 50) document.getElementById("open").click();

const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
const light = (colour) => {
  const [r, g, b] = parts(colour).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  if (element instanceof SVGElement) return getComputedStyle(element.previousElementSibling).fill;
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (parts(colour)[3] !== 0) return colour;
  }
  return "rgb(255, 255, 255)";
};
seen.dark = matchMedia("(prefers-color-scheme: dark)").matches;
seen.texts = 0;
seen.pale = [];
for (const element of document.querySelectorAll("body *:not(script, rect, title, option)")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "");
  if (!own || element.getClientRects().length === 0) continue;
  seen.texts += 1;
  const style = getComputedStyle(element);
  const [one, two] = [light(element instanceof SVGElement ? style.fill : style.color), light(behind(element))];
  const contrast = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
  if (contrast < 4.5) seen.pale.push(element.tagName + "." + element.getAttribute("class") + " " + contrast.toFixed(2));
}

seen.unnamed = [];
const needs = (good, element) => { if (!good) seen.unnamed.push(element.outerHTML.slice(0, 80)); };
needs(document.documentElement.lang === "en" && document.title !== "", document.documentElement);
for (const control of document.querySelectorAll("input, select")) needs(control.labels.length === 1, control);
for (const button of document.querySelectorAll("button, summary")) needs(button.textContent.trim() !== "", button);
for (const one of document.querySelectorAll("table")) {
  const by = one.getAttribute("aria-labelledby");
  needs(one.caption || one.ariaLabel || (by && document.getElementById(by)), one);
  for (const cell of one.tHead.rows[0].cells) needs(cell.tagName === "TH" && cell.scope === "col", cell);
}
for (const image of document.querySelectorAll("svg")) needs(image.ariaLabel || image.ariaHidden === "true", image);
let level = 0;
for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
  const next = Number(heading.tagName[1]);
  needs(next <= level + 1, heading);
  level = next;
}
const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
needs(new Set(ids).size === ids.length, document.body);
seen.overflow = Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth);

const result = document.createElement("pre");
result.id = "driven";
result.textContent = JSON.stringify(seen);
document.body.append(result);
