// Tables that are sorted by a click and downloaded as CSV.

// Draws a table, and returns what marks its chosen row anew: order, focus and all that is shown stay.
function table(home, { title, file, columns, rows, sort, tall, chosen, sorted }) {
  let order = sort ?? { column: null, down: true };
  let all = false;
  let list = [];
  const mark = () => {
    sorted?.(list);
    home.querySelectorAll("tbody tr").forEach((line, place) => line.classList.toggle("chosen", Boolean(chosen?.(list[place]))));
  };
  const show = () => {
    const column = columns.find((one) => one.key === order.column);
    list = [...rows];
    if (column) {
      list.sort((one, other) => {
        const [a, b] = [one[column.key], other[column.key]];
        if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1; // undefined comes last
        if (b === null || b === undefined) return -1;
        const compared = typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
        return order.down ? -compared : compared;
      });
    }
    const shown = all ? list : list.slice(0, FIRST_ROWS);
    const head = columns.map((one) => made("th", {
      scope: "col", class: one.first || one.text ? "name" : null, "aria-sort": one.key === order.column ? (order.down ? "descending" : "ascending") : "none",
    }, made("button", {
      type: "button", onclick: (event) => {
        order = { column: one.key, down: order.column === one.key ? !order.down : !one.first && !one.text };
        const place = columns.indexOf(one);
        show();
        home.querySelectorAll("thead button")[place].focus();
        say(`${title}, sorted by ${one.name}, ${order.down ? "highest" : "lowest"} first.`);
      },
    }, one.name)));
    const body = shown.map((row) => made("tr", {}, ...columns.map((one, place) => {
      const text = row[one.key] === null || row[one.key] === undefined ? "–" : one.digits ? number(row[one.key], one.digits) : String(row[one.key]);
      const inside = one.act && row[one.key] !== null ? made("button", { type: "button", "aria-label": `${one.name} ${text}`, onclick: () => one.act(row) }, text) : text;
      return place === 0 ? made("th", { scope: "row" }, made("span", {}, inside)) : made("td", { class: one.text ? "name" : null }, inside);
    })));
    const scrolled = home.querySelector(".box")?.scrollTop ?? 0;
    fill(home,
      made("div", { class: "table-head" }, made("strong", {}, title), made("button", { type: "button", class: "csv", "aria-label": `Download as CSV: ${title}`, onclick: () => download(`${file}.csv`, csv(columns, list)) }, "CSV ↓")),
      made("div", { class: `box ${tall ? "tall" : ""}`, role: "region", tabindex: 0, "aria-label": title }, made("table", {}, made("thead", {}, made("tr", {}, ...head)), made("tbody", {}, ...body))),
    );
    if (shown.length < list.length) home.append(made("button", { type: "button", class: "more", onclick: () => { all = true; show(); } }, `Show all ${list.length.toLocaleString("en")}`));
    home.querySelector(".box").scrollTop = scrolled;
    mark();
  };
  show();
  return mark;
}

function csv(columns, rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  return [columns.map((one) => cell(one.csv ?? one.name)), ...rows.map((row) => columns.map((one) => cell(row[one.key])))].map((line) => line.join(",")).join("\r\n") + "\r\n";
}

function download(file, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  made("a", { href: address, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  say(`${file} downloaded.`);
}

const fileName = (...words) => [result().name, ...words].join("-").replace(/[^\w.-]+/g, "-").replace(/^[-.]+/, "");
const SHORT = { invariance: "inv.", equivariance: "equiv.", linear: "linear", strict_invariance: "strict" };
// What is said of each measure: its score and what it explains side by side, then all else measure by measure.
const BESIDE = ["score", "explained"];
const BEHIND = ["low", "high", "in_sample", "chance", "explained_low", "explained_high", "held_out", "undefined"];

function scoreColumns(by) {
  const shown = measures().map((measure) => [measure, series(result(), by, measure, state.transformation)]).filter(([, of]) => of);
  const column = (measure, key) => ({
    key: `${measure} ${key}`, name: key === "score" ? inWords(measure) : `${SHORT[measure]} ${inWords(key)}`, csv: key === "score" ? measure : `${measure}_${key}`, digits: key === "undefined" ? 0 : 3,
  });
  const there = (of, key) => key === "score" || key === "undefined" || defined(of[key]);
  return [
    ...BESIDE.flatMap((key) => shown.filter(([, of]) => there(of, key)).map(([measure]) => column(measure, key))),
    ...shown.flatMap(([measure, of]) => BEHIND.filter((key) => there(of, key)).map((key) => column(measure, key))),
  ];
}

function scoreRows(by, names) {
  return names.map((row, place) => {
    for (const measure of measures()) {
      const of = series(result(), by, measure, state.transformation);
      for (const key of [...BESIDE, ...BEHIND]) row[`${measure} ${key}`] = of?.[key][place] ?? null;
    }
    return row;
  });
}

let markLayer = () => {};
function drawTables() {
  const shown = `${state.transformation}, ${scopeInWords()}`;
  const layers = result().layers.map((layer, place) => ({ place, layer: layer.layer, part: layer.part, channels: layer.channels, positions: layer.height * layer.width, dimension: layer.dimension }));
  const about = [{ key: "part", name: "part", text: true }, { key: "channels", name: "channels" }, { key: "positions", name: "positions" }];
  if (layers.some((layer) => layer.dimension !== null)) about.push({ key: "dimension", name: "dimension", digits: 1 });
  markLayer = table(el("layers-table"), {
    title: `Scores by layer: ${shown}`, file: fileName("layers", state.transformation, state.scope), tall: true, chosen: (row) => row.place === state.layer,
    columns: [{ key: "layer", name: "layer", first: true, act: (row) => chooseLayer(row.place, true) }, ...about, ...scoreColumns("by_layer")],
    rows: scoreRows("by_layer", layers),
  });
  table(el("parts-table"), {
    title: `Scores by part: ${shown}`, file: fileName("parts", state.transformation, state.scope),
    columns: [{ key: "part", name: "part", first: true }, { key: "layers", name: "layers" }, ...scoreColumns("by_part")],
    rows: scoreRows("by_part", result().parts.map((part) => ({ part, layers: result().layers.filter((layer) => layer.part === part).length }))),
  });
}

// Tables that stand in the page get what the others have.
function enhance() {
  document.querySelectorAll("#about .box").forEach((box) => {
    const lines = [...box.querySelectorAll("tr")].map((line) => [...line.cells].map((cell) => cell.textContent));
    if (!lines.length) return;
    const home = made("div");
    box.replaceWith(home);
    const title = box.getAttribute("aria-label");
    table(home, {
      title: title[0].toUpperCase() + title.slice(1), file: title.replace(/\W+/g, "-"), tall: true, columns: lines[0].map((name, place) => ({ key: place, name, first: place === 0, text: true })), rows: lines.slice(1).map((line) => Object.fromEntries(line.entries())),
    });
  });
}
