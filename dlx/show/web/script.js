for (const table of document.querySelectorAll("table")) {
  if (!table.tBodies.length) continue;
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const keyed = (row, column) => {
    const text = row.cells[column].textContent.trim(), number = parseFloat(text.replace("\u2212", "-"));
    return { text, number, rank: Number.isFinite(number) ? 0 : /[\p{L}\p{N}]/u.test(text) ? 1 : 2 };
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    if (!button.textContent.trim()) button.setAttribute("aria-label", `column ${column + 1}`);
    head.append(button);
    button.addEventListener("click", () => {
      const order = { ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
      heads.forEach(other => other.removeAttribute("aria-sort"));
      const sign = order === null ? 0 : order ? -1 : 1;
      if (sign) head.setAttribute("aria-sort", order || "ascending");
      const keys = new Map(rows.map(row => [row, keyed(row, column)]));
      body.append(...[...rows].sort((first, second) => {
        const a = keys.get(first), b = keys.get(second);
        return sign && (a.rank - b.rank || sign * (a.rank ? a.text.localeCompare(b.text) : a.number - b.number));
      }));
    });
  });
}
// What is folded is printed, too.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(folded => { folded.open = true; }));
