// What is chosen: layers, channels, results and the controls; and what is drawn again for it.

function chooseLayer(place, scrolls = false) {
  state.layer = Math.min(result().layers.length - 1, Math.max(0, place));
  state.channel = null;
  const focused = el("strip").contains(document.activeElement);
  drawStrip();
  if (focused) el("strip").querySelector("[aria-pressed=true]").focus();
  el("member").value = state.member;
  drawShares();
  drawLayers();
  markLayer();
  if (scrolls) el("strip-title").scrollIntoView({ block: "start" });
  say(`Layer ${result().layers[state.layer].layer}, ${counted(result().layers[state.layer].channels, "channel")}.`);
  return drawLayer();
}

function chooseChannel(channel) {
  if (channel === null || !current.channels || !(channel >= 0 && channel < current.channels.partner.length)) return;
  state.channel = channel;
  markChannel();
  el("pairs").querySelectorAll("button").forEach((pair) => pair.setAttribute("aria-pressed", String(Number(pair.dataset.channel) === channel)));
  drawChannel();
  const first = channelMain();
  const scored = first ? `, ${inWords(first)} ${number(channelValue(first, channel))}` : "";
  say(`Channel ${channel}${scored}, partner ${current.channels.partner[channel] ?? "none"}.`);
}

function chooseMember() {
  const members = result().families[state.transformation] ?? [state.transformation];
  state.member = result().maps?.transformations[state.transformation] ?? members[0];
  el("member").value = state.member;
}

function options(select, names, groups) {
  const option = (name) => made("option", { value: name }, name);
  fill(select, ...(groups ? Object.entries(groups).map(([group, members]) => made("optgroup", { label: group }, option(group), ...members.filter((name) => name !== group).map(option))) : names.map(option)));
}

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
  options(el("transformation"), [], its.families);
  const members = [...new Set(Object.values(its.families).flat())];
  options(el("member"), members);
  if (![...Object.keys(its.families), ...members].includes(state.transformation)) state.transformation = Object.keys(its.families)[0];
  el("transformation").value = state.transformation;
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

function drawAll() {
  drawStrip();
  drawShares();
  drawLayers();
  drawHeat();
  drawParts();
  drawTables();
  return drawLayer();
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
  el("member").addEventListener("change", (event) => { state.member = event.target.value; drawLayer(); say(`Channels under ${state.member}.`); });
  el("layer-before").addEventListener("click", () => chooseLayer(state.layer - 1));
  el("layer-after").addEventListener("click", () => chooseLayer(state.layer + 1));
  el("channel-number").addEventListener("change", (event) => chooseChannel(Math.round(Number(event.target.value))));
  el("channel-partner").addEventListener("click", () => chooseChannel(current.channels.partner[state.channel]));
  el("strip").addEventListener("keydown", walkStrip);
  el("theme").addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; themed(); say(`${isDark() ? "Dark" : "Light"} colours.`); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themed);
  let [width, waiting] = [innerWidth, 0];
  addEventListener("resize", () => {
    if (width === innerWidth) return; // a phone's bar comes and goes
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 150);
  });
}

function themed(event) {
  el("theme").textContent = isDark() ? "Light" : "Dark";
  el("theme").setAttribute("aria-pressed", String(isDark()));
  if (event !== null) drawAll();
}

function measureChoices() {
  const choice = (value, text) => made("label", {}, made("input", { type: "radio", name: "measure", value, checked: value === state.measure }), made("span", {}, text));
  fill(el("measures"), choice("all", "All"), ...MEASURES.map((measure) => choice(measure, inWords(measure)[0].toUpperCase() + inWords(measure).slice(1))));
  el("field-measure").hidden = MEASURES.length < 2;
}

function start() {
  root.classList.add("runs");
  const several = data.results.length > 1;
  el("field-result").hidden = !several;
  el("compared").hidden = !several;
  el("depth-figure").hidden = !several;
  el("shares-about").innerHTML = data.words.shares;
  fill(el("result"), ...data.results.map((one, place) => made("option", { value: place }, one.name)));
  fill(el("compared").querySelector(".checks"), ...data.results.map((one, place) => made("label", {}, made("input", {
    type: "checkbox", checked: true, value: place, onchange: (event) => {
      if (event.target.checked) state.compared.add(place);
      else state.compared.delete(place);
      drawParts();
      say(`${counted(state.compared.size, "result")} compared.`);
    },
  }), one.name)));
  measureChoices();
  chooseResult(0);
  themed(null);
  listen();
  enhance();
  drawStrip();
  drawShares();
  drawLayers();
  // What lies further down is drawn once the top of the page can be seen.
  setTimeout(() => { drawHeat(); drawParts(); drawTables(); drawLayer().then(() => { root.dataset.ready = "yes"; }); });
}
