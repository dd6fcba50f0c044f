"use strict";
// Filters and sorts the table of a report. Without it the page is complete, in the order of the input.
(() => {
  const table = document.querySelector("table.fleet");
  const controls = document.querySelector(".controls");
  if (!table || !controls) return;
  const bodies = [...table.tBodies];
  const texts = bodies.map((body) => body.textContent.toLowerCase());
  const words = document.getElementById("words");
  const result = document.getElementById("result");
  const count = document.getElementById("count");

  const filter = () => {
    const wanted = words.value.toLowerCase().split(" ").filter((word) => word !== "");
    let shown = 0;
    bodies.forEach((body, index) => {
      const fits = (result.value === "" || body.dataset.result === result.value)
        && wanted.every((word) => texts[index].includes(word));
      body.hidden = !fits;
      if (fits) shown += 1;
    });
    count.textContent = shown + " of " + bodies.length + " shown";
  };

  const value = (body, column, numbers) => {
    const cell = body.rows[0].cells[column];
    const text = cell && cell.colSpan === 1 ? cell.dataset.value ?? cell.textContent : "";
    if (!numbers) return text;
    return text === "" ? -1 : Number(text);
  };
  const heads = [...table.tHead.rows[0].cells];
  const sort = (head, column) => {
    const numbers = head.classList.contains("number");
    const before = head.getAttribute("aria-sort");
    const ascending = before ? before === "descending" : !numbers;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const keys = new Map(bodies.map((body) => [body, value(body, column, numbers)]));
    const order = [...bodies].sort((a, b) => {
      const [x, y] = ascending ? [keys.get(a), keys.get(b)] : [keys.get(b), keys.get(a)];
      return numbers ? x - y : x.localeCompare(y, "en", { numeric: true });
    });
    table.append(...order);
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(head, column));
    head.replaceChildren(button);
  });

  const open = document.getElementById("open");
  open.addEventListener("click", () => {
    const closed = open.getAttribute("aria-pressed") !== "true";
    open.setAttribute("aria-pressed", String(closed));
    for (const body of bodies) {
      for (const details of body.querySelectorAll("details")) details.open = closed;
    }
  });
  words.addEventListener("input", filter);
  result.addEventListener("change", filter);
  controls.hidden = false;
  filter();
})();
