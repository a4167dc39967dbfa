// Tables that are sorted by a click and downloaded as CSV.

// Draws a table, and returns what marks its chosen row anew: order, focus and all that is shown stay. Columns of one
// `group` stand under its name; `csv` are the columns of the download, where these are more.
function table(home, { title, file, columns, rows, csv = columns, sort, tall, chosen }) {
  let order = sort ?? { column: null, down: true };
  let all = false;
  let list = [];
  const mark = () => home.querySelectorAll("tbody tr").forEach((row, place) => row.classList.toggle("chosen", Boolean(chosen?.(list[place]))));
  const show = () => {
    list = sorted(rows, columns.find((one) => one.key === order.column), order.down);
    const shown = all ? list : list.slice(0, FIRST_ROWS);
    const sortBy = (one) => {
      order = { column: one.key, down: order.column === one.key ? !order.down : !one.first && !one.text };
      show();
      home.querySelectorAll("thead button")[buttons.indexOf(one)].focus();
      say(`${title}, sorted by ${one.name}, ${order.down ? "highest" : "lowest"} first.`);
    };
    const buttons = [...columns.filter((one) => !one.group), ...columns.filter((one) => one.group)]; // in the order of the lines
    const scrolled = home.querySelector(".box")?.scrollTop ?? 0;
    fill(home,
      made("div", { class: "table-head" }, made("strong", {}, title), made("button", { type: "button", class: "csv", "aria-label": `Download as CSV: ${title}`, onclick: () => download(`${file}.csv`, csvOf(csv, list)) }, "CSV ↓")),
      made("div", { class: `box ${tall ? "tall" : ""}`, role: "region", tabindex: 0, "aria-label": title }, made("table", {}, made("thead", {}, ...heads(columns, order, sortBy)), made("tbody", {}, ...shown.map((row) => bodyRow(row, columns))))),
    );
    if (shown.length < list.length) home.append(made("button", { type: "button", class: "more", onclick: () => { all = true; show(); } }, `Show all ${list.length.toLocaleString("en")}`));
    home.querySelector(".box").scrollTop = scrolled;
    mark();
  };
  show();
  return mark;
}

function sorted(rows, column, down) {
  if (!column) return [...rows];
  return [...rows].sort((one, other) => {
    const [a, b] = [one[column.key], other[column.key]];
    if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1; // undefined comes last
    if (b === null || b === undefined) return -1;
    const compared = typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
    return down ? -compared : compared;
  });
}

// One line of names, or two where columns stand in groups.
function heads(columns, order, sortBy) {
  const grouped = columns.some((one) => one.group);
  const head = (one) => made("th", {
    scope: "col", rowspan: grouped && !one.group ? 2 : null, class: one.first || one.text ? "name" : one.start ? "first" : null,
    "aria-sort": one.key === order.column ? (order.down ? "descending" : "ascending") : "none",
  }, made("button", { type: "button", onclick: () => sortBy(one) }, one.name));
  if (!grouped) return [made("tr", {}, ...columns.map(head))];
  const spans = [];
  for (const one of columns.filter((column) => column.group)) {
    if (spans.at(-1)?.group !== one.group) spans.push({ group: one.group, count: 0 });
    spans.at(-1).count += 1;
  }
  const groups = spans.map(({ group, count }) => made("th", { scope: "colgroup", colspan: count, class: "first" }, group));
  return [made("tr", {}, ...columns.filter((one) => !one.group).map(head), ...groups), made("tr", {}, ...columns.filter((one) => one.group).map(head))];
}

function bodyRow(row, columns) {
  return made("tr", {}, ...columns.map((one, place) => {
    const value = one.shown ? one.shown(row) : row[one.key];
    const words = value === null || value === undefined ? "–" : one.digits ? number(value, one.digits) : String(value);
    const inside = one.act && row[one.key] !== null ? made("button", { type: "button", "aria-label": `${one.name} ${words}`, onclick: () => one.act(row) }, ...broken(words)) : words;
    return place === 0 ? made("th", { scope: "row" }, made("span", {}, ...(inside === words ? broken(words) : [inside]))) : made("td", { class: one.text ? "name" : one.start ? "first" : null }, inside);
  }));
}

function csvOf(columns, rows) {
  const cell = (value) => {
    const words = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(words) ? `"${words.replace(/"/g, '""')}"` : words;
  };
  return [columns.map((one) => cell(one.csv ?? one.name)), ...rows.map((row) => columns.map((one) => cell(row[one.key])))].map((cells) => cells.join(",")).join("\r\n") + "\r\n";
}

function download(file, content) {
  const address = URL.createObjectURL(new Blob([content], { type: "text/csv" }));
  made("a", { href: address, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  say(`${file} downloaded.`);
}

const fileName = (...words) => [result().name, ...words].join("-").replace(/[^\w.-]+/g, "-").replace(/^[-.]+/, "");
const VALUES = ["score", "low", "high", "in_sample", "chance", "ceiling", "explained", "explained_low", "explained_high", "explained_ceiling", "held_out", "undefined"];
const SHOWN = { score: ["score", "interval", "chance", "ceiling", "explained"], explained: ["explained", "interval", "explained_ceiling", "held_out"], in_sample: ["in_sample", "score"] };

const shownMeasures = (by) => measures().map((measure) => [measure, series(result(), by, measure, state.transformation)]).filter(([, of]) => of);

// What is said of each measure by the estimate chosen; what no row has is left out.
function scoreColumns(by) {
  const { low, high } = estimate();
  return shownMeasures(by).flatMap(([measure, of]) => {
    const there = SHOWN[state.estimate].filter((key) => (key === "interval" ? low && defined(of[low]) : key === "score" || defined(of[key])));
    return there.filter((key) => (key !== "held_out" || measure === "linear") && (!key.endsWith("ceiling") || costs(of[key]))).map((key, place) => {
      const column = { key: `${measure} ${key}`, name: inWords(key), group: inWords(measure), start: place === 0, digits: 3 };
      if (key !== "interval") return column;
      const ends = (row) => [row[`${measure} ${low}`], row[`${measure} ${high}`]];
      return { ...column, key: `${measure} ${low}`, name: "95 % interval", digits: 0, shown: (row) => (ends(row)[0] === null ? null : ends(row).map((end) => number(end)).join(" to ")) };
    });
  });
}

const csvColumns = (by) => shownMeasures(by).flatMap(([measure]) => VALUES.map((key) => ({ key: `${measure} ${key}`, csv: key === "score" ? measure : `${measure}_${key}` })));

function scoreRows(by, names) {
  return names.map((row, place) => {
    for (const [measure, of] of shownMeasures(by)) for (const key of VALUES) row[`${measure} ${key}`] = of[key][place];
    return row;
  });
}

let markLayer = () => {};
function drawTables() {
  const shown = `${state.transformation}, ${scopeInWords()}`;
  const layers = result().layers.map((layer, place) => ({ place, layer: layer.layer, part: layer.part, channels: layer.channels, positions: layer.height * layer.width, dimension: layer.dimension }));
  const about = [{ key: "layer", name: "layer", first: true, act: (row) => goToLayer(row.place) }, { key: "part", name: "part", text: true }, { key: "channels", name: "channels" }, { key: "positions", name: "positions" }];
  markLayer = table(el("layers-table"), {
    title: `Scores by layer: ${shown}`, file: fileName("layers", state.transformation, state.scope), tall: true, chosen: (row) => row.place === state.layer,
    columns: [...about, ...scoreColumns("by_layer")], csv: [...about, { key: "dimension", csv: "dimension" }, ...csvColumns("by_layer")], rows: scoreRows("by_layer", layers),
  });
  const parts = [{ key: "part", name: "part", first: true }, { key: "layers", name: "layers" }];
  table(el("parts-table"), {
    title: `Scores by part: ${shown}`, file: fileName("parts", state.transformation, state.scope), columns: [...parts, ...scoreColumns("by_part")], csv: [...parts, ...csvColumns("by_part")],
    rows: scoreRows("by_part", result().parts.map((part) => ({ part, layers: result().layers.filter((layer) => layer.part === part).length }))),
  });
}

// Tables that stand in the page get what the others have.
function enhance() {
  document.querySelectorAll("#about .box").forEach((box) => {
    const lines = [...box.querySelectorAll("tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
    if (!lines.length) return;
    const home = made("div");
    box.replaceWith(home);
    const title = box.getAttribute("aria-label");
    table(home, {
      title: title[0].toUpperCase() + title.slice(1), file: title.replace(/\W+/g, "-"), tall: true, columns: lines[0].map((name, place) => ({ key: place, name, first: place === 0, text: true })), rows: lines.slice(1).map((cells) => Object.fromEntries(cells.entries())),
    });
  });
}
