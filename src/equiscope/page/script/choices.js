// What is chosen: layers, channels, results and the controls; and what is drawn again for it.

function chooseLayer(place) {
  state.layer = Math.min(result().layers.length - 1, Math.max(0, place));
  state.channel = null;
  const focused = el("strip").contains(document.activeElement);
  drawStrip();
  if (focused) el("strip").querySelector("[aria-pressed=true]").focus();
  el("member").value = state.member;
  drawShares();
  drawLayers();
  markLayer();
  say(`Layer ${result().layers[state.layer].layer}, ${counted(result().layers[state.layer].channels, "channel")}.`);
  return drawLayer();
}

// From a figure or a table: to the layer's box and channels.
function goToLayer(place) {
  chooseLayer(place);
  el("strip").querySelector("[aria-pressed=true]").focus({ preventScroll: true });
  el("layer").scrollIntoView({ block: "start" });
}

function chooseChannel(channel) {
  if (channel === null || !current.channels || !(channel >= 0 && channel < current.channels.partner.length)) return;
  state.channel = channel;
  markChannel();
  drawChannelChart();
  el("pairs").querySelectorAll("button").forEach((pair) => pair.setAttribute("aria-pressed", String(Number(pair.dataset.channel) === channel)));
  if (!el("partners-shown").hidden) drawChannel();
  const first = channelMain();
  const scored = first ? `, ${inWords(first)} ${number(channelValue(first, channel))}` : "";
  say(`Channel ${channel}${scored}, partner ${current.channels.partner[channel] ?? "none"}.`);
}

function chooseMember() {
  const members = result().families[state.transformation] ?? [state.transformation];
  state.member = result().maps?.transformations[state.transformation] ?? members[0];
  el("member").value = state.member;
}

const option = (value, words = value) => made("option", { value }, words);
const grouped = (families) => Object.entries(families).map(([group, members]) => made("optgroup", { label: group }, option(group), ...members.filter((name) => name !== group).map((name) => option(name))));

// Checks a control's button, and shows the control where there is more than one thing to choose from.
function choose(name, value, choices = [value]) {
  state[name] = value;
  el(`field-${name}`).hidden = choices.length < 2;
  el("controls").querySelectorAll(`[name=${name}]`).forEach((input) => {
    input.checked = input.value === value;
    input.disabled = choices.length > 1 && !choices.includes(input.value);
  });
}

function chooseResult(place) {
  state.result = place;
  const its = result();
  for (const id of ["result", "pictured-result"]) el(id).value = place;
  fill(el("transformation"), ...grouped(its.families));
  fill(el("member"), ...membersOf(its).map((name) => option(name)));
  fill(el("pictured"), option("", Object.keys(its.families).length > 1 ? "all families" : Object.keys(its.families)[0]), ...Object.values(its.families).flat().length > 1 ? grouped(its.families) : []);
  const names = [...Object.keys(its.families), ...membersOf(its)];
  if (!names.includes(state.transformation)) state.transformation = names[0];
  if (!names.includes(state.pictured)) state.pictured = "";
  el("transformation").value = state.transformation;
  el("pictured").value = state.pictured;
  choose("alignment", its.alignments.includes(state.alignment) ? state.alignment : its.alignments[0], its.alignments);
  choose("scope", its.scopes.includes(state.scope) ? state.scope : its.scopes[0], its.scopes);
  chooseEstimates();
  const whole = Object.values(its.by_layer.whole).some((of) => Object.keys(of).length);
  choose("shifts", whole ? state.shifts : "all", whole ? ["all", "whole"] : ["all"]);
  state.layer = 0;
  state.channel = null;
  state.image = 0;
  fill(el("image"));
  document.querySelectorAll(".result").forEach((node, other) => { node.hidden = other !== place; });
  chooseMember();
}

// Within images no variance is explained: the shares are those of all images together.
function chooseEstimates() {
  const choices = Object.keys(ESTIMATES).filter((name) => name !== "explained" || state.scope === "dataset");
  choose("estimate", choices.includes(state.estimate) ? state.estimate : "score", choices);
}

function drawCharts() {
  drawStrip();
  drawShares();
  drawLayers();
  drawHeat();
  drawParts();
}

function drawAll() {
  drawCharts();
  drawTables();
  return drawLayer();
}

// On paper all charts are as wide as the paper, and its colours are those of day.
function print(begins) {
  state.printing = begins;
  drawCharts();
  if (current.channels) drawChannelChart();
}

function sayAll() {
  const whole = state.shifts === "whole" ? ", whole shifts alone" : "";
  say(`Showing ${measuresInWords()}, ${scopeInWords()}, ${estimate().name}, under ${state.transformation}${whole}.`);
}

function listen() {
  el("controls").addEventListener("submit", (event) => event.preventDefault());
  el("controls").addEventListener("change", (event) => {
    const { id, name, value } = event.target;
    if (id === "result") chooseResult(Number(value));
    else if (id === "transformation") { state.transformation = value; chooseMember(); }
    else state[name] = value;
    chooseEstimates();
    drawAll();
    sayAll();
  });
  el("pictured-result").addEventListener("change", (event) => { chooseResult(Number(event.target.value)); drawAll(); say(`${result().name}.`); });
  el("pictured").addEventListener("change", (event) => { state.pictured = event.target.value; drawShares(); });
  el("member").addEventListener("change", (event) => { state.member = event.target.value; drawLayer(); say(`Channels under ${state.member}.`); });
  el("layer-before").addEventListener("click", () => chooseLayer(state.layer - 1));
  el("layer-after").addEventListener("click", () => chooseLayer(state.layer + 1));
  el("channel-number").addEventListener("change", (event) => chooseChannel(Math.round(Number(event.target.value))));
  el("channel-partner").addEventListener("click", () => chooseChannel(current.matched.partner[state.channel]));
  el("strip").addEventListener("keydown", walkStrip);
  el("theme").addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; themed(); say(`${isDark() ? "Dark" : "Light"} colours.`); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themed);
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  let [width, waiting] = [innerWidth, 0];
  addEventListener("resize", () => {
    if (width === innerWidth || state.printing) return; // a phone's bar comes and goes
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(() => { drawCharts(); if (current.channels) drawChannelChart(); }, 150);
  });
}

function themed() {
  el("theme").textContent = isDark() ? "Light" : "Dark";
  el("theme").setAttribute("aria-pressed", String(isDark()));
}

function measureChoices() {
  const choice = (value, words) => made("label", {}, made("input", { type: "radio", name: "measure", value, checked: value === state.measure }), made("span", {}, words));
  fill(el("measures"), choice("all", "All"), ...MEASURES.map((measure) => choice(measure, inWords(measure)[0].toUpperCase() + inWords(measure).slice(1))));
  el("field-measure").hidden = MEASURES.length < 2;
}

function resultChoices() {
  for (const id of ["field-result", "field-pictured-result", "compared", "depth-figure"]) el(id).hidden = !several();
  for (const id of ["result", "pictured-result"]) fill(el(id), ...data.results.map((one, place) => option(place, one.name)));
  fill(el("compared").querySelector(".checks"), ...data.results.map((one, place) => made("label", {}, made("input", {
    type: "checkbox", checked: true, value: place, onchange: (event) => {
      if (event.target.checked) state.compared.add(place);
      else state.compared.delete(place);
      drawParts();
      say(`${counted(state.compared.size, "result")} compared.`);
    },
  }), one.name)));
}

async function start() {
  data = await unpackedJson("data");
  const measured = new Set(data.results.flatMap((one) => one.measures));
  MEASURES = [...new Set([...LADDER, ...measured])].filter((measure) => measured.has(measure));
  state.compared = new Set(data.results.map((_, place) => place));
  root.classList.add("runs");
  resultChoices();
  measureChoices();
  chooseResult(0);
  themed();
  listen();
  drawShares();
  // What lies further down is drawn once the top of the page can be seen.
  setTimeout(() => { enhance(); drawStrip(); drawLayers(); drawHeat(); drawParts(); drawTables(); drawLayer().then(() => { root.dataset.ready = "yes"; }); });
}

// An old browser, or a page cut short: the answer stands, and this says why there is no more.
function failed(error) {
  document.querySelector("main").append(made("p", {}, `The figures cannot be shown in this browser (${error.message}).`));
}
