/* Draws the figures of a linbench report with D3 and lets tables be sorted.
   Every number and every text comes from linbench/report/interactive.py; only positions are
   worked out here. Names from run files are set as text, never as HTML. */
"use strict";

const SYMBOLS = {
  o: d3.symbolCircle, s: d3.symbolSquare, "^": d3.symbolTriangle, v: d3.symbolTriangle,
  D: d3.symbolDiamond, P: d3.symbolCross, X: d3.symbolCross, "*": d3.symbolStar,
};
const TURNS = { v: 180, X: 45 };
const BOTTOM = 40, TOP = 12, RIGHT = 16, CAP = 4;
const PAPER_WIDTH = 680;

/* ---- theme ---- */

function stored(theme) {
  try { // a file:// page may have no storage
    if (theme) localStorage.setItem("linbench-theme", theme);
    return localStorage.getItem("linbench-theme");
  } catch { return theme; }
}

function setUpTheme() {
  const root = document.documentElement, button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const name = () => { button.textContent = isDark() ? "Light theme" : "Dark theme"; };
  const before = stored();
  if (before === "dark" || before === "light") root.dataset.theme = before;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    stored(root.dataset.theme);
    name();
  });
  system.addEventListener("change", name);
  name();
}

/* ---- tables ---- */

const collator = new Intl.Collator("en", { numeric: true });

function compareCells(a, b) {
  const [x, y] = [a.dataset.key, b.dataset.key];
  return x !== undefined && y !== undefined ? x - y : collator.compare(a.textContent, b.textContent);
}

function isBlank(cell) { return /^\s*\u2013?\s*$/.test(cell.textContent); }

function sortTable(head) {
  const descending = head.getAttribute("aria-sort") === "ascending";
  const body = head.closest("table").tBodies[0];
  const rows = [...body.rows].sort((one, other) => {
    const [a, b] = [one.cells[head.cellIndex], other.cells[head.cellIndex]];
    if (isBlank(a) || isBlank(b)) return isBlank(a) - isBlank(b); // what is missing comes last
    return descending ? compareCells(b, a) : compareCells(a, b);
  });
  for (const cell of head.parentElement.cells) cell.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  body.append(...rows);
}

function setUpTables() {
  for (const button of document.querySelectorAll("thead button")) {
    button.addEventListener("click", () => sortTable(button.closest("th")));
  }
}

/* ---- axes ---- */

/* As `limits` of linbench/report/scales.py, for the lines that are on. */
function rangeOf(plot, lines) {
  if (plot.places.length) return plot.range;
  const linear = plot.scale === "linear";
  const points = lines.flatMap((line) => line.points), values = points.map((point) => point[1]);
  const ends = points.flatMap((point) => [point[2], point[3]]).filter((end) => (linear ? end !== null : end));
  const told = [...ends, ...values], [least, most] = d3.extent(values);
  const span = most - least || Math.abs(most) / 10 || 1;
  const [floor, ceiling] = linear ? [least - span, most + span] : [least / 3, most * 3];
  let [low, high] = [Math.max(d3.min(told), floor), Math.min(d3.max(told), ceiling)];
  if (plot.atOne) [low, high] = [Math.min(low, 0.97), Math.max(high, 1.03)];
  const edge = 0.06 * (high - low) || 0.5 * span, margin = Math.max((high / low) ** 0.06, 1.02);
  return linear ? [low - edge, high + edge] : [low / margin, high * margin];
}

function domainOf(plot, lines) {
  if (plot.places.length) {
    const last = plot.places.length - 1, margin = Math.max(0.5, 0.02 * last);
    return [-margin, last + margin];
  }
  const [low, high] = d3.extent(lines.flatMap((line) => line.points), (point) => point[0]);
  return [low / 1.18, high * 1.18];
}

/* The finest ladder of round values that fits, else the coarsest. */
function chosen(ladders, [low, high], most) {
  const within = ladders.map((ladder) => ladder.filter(([value]) => low <= value && value <= high));
  const some = within.filter((ladder) => ladder.length);
  return some.find((ladder) => ladder.length <= most) ?? some.at(-1) ?? [];
}

function thinned(ticks, most) {
  const step = Math.ceil(ticks.length / Math.max(1, most));
  return ticks.filter((_, i) => (ticks.length - 1 - i) % step === 0);
}

function longest(ticks) { return d3.max(ticks, ([, label]) => label.length) ?? 0; }

/* Everything that says where things of a plot stand: scales, ticks, edges. */
function layOut(plot, lines, width, height) {
  const range = rangeOf(plot, lines), xDomain = domainOf(plot, lines);
  const yTicks = chosen(plot.ladders, range, Math.floor(height / 42));
  const edges = {
    left: 18 + 7.2 * longest(yTicks), right: width - RIGHT, top: TOP, bottom: height - BOTTOM,
  };
  const scale = plot.scale === "linear" ? d3.scaleLinear : d3.scaleLog;
  const y = scale(range, [edges.bottom, edges.top]);
  const x = (plot.places.length ? d3.scaleLinear : d3.scaleLog)(xDomain, [edges.left, edges.right]);
  const places = plot.places.map((label, i) => [i, label]);
  const xs = places.length ? places : plot.xs.filter(([at]) => at >= xDomain[0] && at <= xDomain[1]);
  const room = (edges.right - edges.left) / (7 * longest(xs) + 9);
  const inside = (value) => Math.min(edges.bottom, Math.max(edges.top, y(value)));
  return { x, y: inside, yScale: y, range, edges, width, height, yTicks, xTicks: thinned(xs, room) };
}

function drawAxes(svg, plot, at) {
  const { x, y, edges } = at;
  const axis = (make, ticks, scale) => make(scale).tickValues(ticks.map(([value]) => value))
    .tickFormat((_, i) => ticks[i][1]).tickSizeOuter(0);
  const grid = svg.append("g").attr("class", "grid");
  grid.selectAll(null).data(at.yTicks).join("line")
    .attr("x1", edges.left).attr("x2", edges.right).attr("y1", ([v]) => y(v)).attr("y2", ([v]) => y(v));
  grid.selectAll(null).data(at.xTicks).join("line")
    .attr("y1", edges.top).attr("y2", edges.bottom).attr("x1", ([v]) => x(v)).attr("x2", ([v]) => x(v));
  svg.append("g").attr("class", "axis").attr("transform", `translate(0,${edges.bottom})`)
    .call(axis(d3.axisBottom, at.xTicks, x));
  svg.append("g").attr("class", "axis").attr("transform", `translate(${edges.left},0)`)
    .call(axis(d3.axisLeft, at.yTicks, at.yScale));
  svg.append("text").attr("class", "aside").attr("x", (edges.left + edges.right) / 2)
    .attr("y", at.height - 4).attr("text-anchor", "middle").text(plot.xLabel);
}

/* Short faint lines of given slopes in the lower right corner, where curves are not. */
function drawGuides(svg, plot, { edges, x, range }) {
  const [left, right] = x.domain(), [low, high] = range.map(Math.log);
  const wide = edges.right - edges.left, tall = edges.bottom - edges.top;
  const unit = (tall / (high - low)) * (Math.log(right / left) / wide); // px up a px, at slope 1
  for (const slope of plot.guides) {
    const run = Math.min(0.19 * wide, (0.41 * tall) / (slope * unit));
    const [x0, y0] = [edges.left + 0.68 * wide, edges.bottom - 0.04 * tall];
    const [x1, y1] = [x0 + run, y0 - run * slope * unit];
    svg.append("path").attr("class", "guide").attr("d", `M${x0},${y0}L${x1},${y1}`);
    svg.append("text").attr("class", "aside").attr("x", x1 + 4).attr("y", y1 + 4).text(`slope ${slope}`);
  }
}

function drawUnity(svg, at, basis) {
  const { edges } = at, y = at.y(1);
  svg.append("path").attr("class", "unity").attr("d", `M${edges.left},${y}H${edges.right}`);
  if (basis) {
    svg.append("text").attr("class", "aside").attr("x", edges.right).attr("y", y - 5)
      .attr("text-anchor", "end").text(basis);
  }
}

function drawMarks(svg, plot, { x, edges }) {
  for (const [place, label] of plot.marks) {
    const left = x(place - 0.5);
    svg.append("path").attr("class", "mark").attr("d", `M${left},${edges.top}V${edges.bottom}`);
    svg.append("text").attr("class", "aside").attr("transform", `translate(${left - 4},${edges.top})rotate(-90)`)
      .attr("text-anchor", "end").text(label);
  }
}

/* ---- series ---- */

function paint(selection, style) {
  return selection.style("--light", style.light).style("--dark", style.dark);
}

function dot(parent, marker, size, { x, y, kind }) {
  return parent.append("path").attr("class", `dot ${kind}`)
    .attr("d", d3.symbol(SYMBOLS[marker], size)())
    .attr("transform", `translate(${x},${y})rotate(${TURNS[marker] ?? 0})`);
}

function dashes(style, width) { return style.dashes.map((length) => length * width).join(" ") || null; }

function drawLine(svg, line, style, at, shift) {
  const group = paint(svg.append("g").attr("class", "series"), style).attr("data-label", line.label);
  const left = (point) => at.x(point[0]) + shift;
  const path = d3.line(left, (point) => at.y(point[1]));
  group.append("path").attr("stroke-width", line.width).attr("stroke-dasharray", dashes(style, line.width))
    .attr("d", path(line.points));
  const spread = line.points.filter(([, , low, high]) => low !== null && high > low);
  group.append("path").attr("class", "whisker").attr("d", spread.map((point) => {
    const [from, to] = [at.y(point[2]), at.y(point[3])], x = left(point);
    return `M${x - CAP},${from}h${2 * CAP}m${-CAP},0V${to}m${-CAP},0h${2 * CAP}`;
  }).join(""));
  for (const point of line.points) {
    dot(group, style.marker, 46 + 8 * line.width, {
      x: left(point), y: at.y(point[1]), kind: style.hollow ? "hollow" : "",
    });
  }
}

/* A history: levels as a staircase, runs as loose points, those beyond the axes at their edge. */
function drawLevels(svg, line, style, at, width) {
  const group = paint(svg.append("g").attr("class", "series"), style).attr("data-label", line.label);
  const levels = line.points.map(([x], i) => [at.x(x), at.y(line.fit[i])]);
  group.append("path").attr("stroke-width", width).attr("d", d3.line().curve(d3.curveStep)(levels));
  for (const [x, value] of line.points) {
    const marker = value > at.range[1] ? "^" : value < at.range[0] ? "v" : style.marker;
    dot(group, marker, 22, { x: at.x(x), y: at.y(value), kind: "loose" });
  }
}

function drawLines(svg, plot, lines, styles, at) {
  const ours = lines.filter((line) => !line.published), count = Math.max(1, ours.length);
  // intervals of several lines at the same x are told apart only beside each other
  const step = plot.apart ? Math.min(0.008, 0.08 / count) * (at.edges.right - at.edges.left) : 0;
  const shift = (line) => (line.published ? 0 : step * (ours.indexOf(line) - (count - 1) / 2));
  lines.forEach((line, i) => {
    const style = styles[line.label];
    // levels that coincide must all be seen: the first ones are wider
    if (line.fit.length) drawLevels(svg, line, style, at, 1.4 + 2.4 * (1 - (i + 1) / count));
    else drawLine(svg, line, style, at, shift(line));
  });
}

/* Return the picture of a plot with the lines that are on, and where things stand in it. */
function picture(plot, lines, styles, { width, height, basis }) {
  const svg = d3.create("svg").attr("viewBox", [0, 0, width, height]).attr("width", width)
    .attr("height", height).attr("role", "img")
    .attr("aria-label", `${plot.title}: ${lines.map((line) => line.label).join(", ")}`);
  if (!lines.length) {
    svg.append("text").attr("class", "empty").attr("x", width / 2).attr("y", height / 2)
      .attr("text-anchor", "middle").text("Every series is switched off.");
    return { svg, at: null };
  }
  const at = layOut(plot, lines, width, height);
  drawAxes(svg, plot, at);
  if (plot.atOne) drawUnity(svg, at, basis);
  if (plot.scale === "log") drawGuides(svg, plot, at);
  drawMarks(svg, plot, at);
  drawLines(svg, plot, lines, styles, at);
  return { svg, at };
}

function swatch(style) {
  const svg = paint(d3.create("svg").attr("class", "swatch"), style)
    .attr("width", 30).attr("height", 12).attr("aria-hidden", "true");
  svg.append("path").attr("d", "M0,6H30").attr("stroke-width", 1.8).attr("stroke-dasharray", dashes(style, 1.8));
  dot(svg, style.marker, 50, { x: 15, y: 6, kind: style.hollow ? "hollow" : "" });
  return svg.node();
}

/* ---- one plot on the screen, with what is read off it ---- */

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

function readings(plot, lines, x) {
  return lines.map((line) => ({ line, point: line.points.find((point) => point[0] === x) }))
    .filter(({ point }) => point).sort((a, b) => b.point[1] - a.point[1]);
}

function fillReadout(readout, plot, lines, styles, x) {
  const list = make("dl", "");
  for (const { line, point } of readings(plot, lines, x)) {
    const [name, value] = [make("dd", "", line.label), make("dd", "", point[4])];
    list.append(swatch(styles[line.label]), name, value);
  }
  const title = plot.xs.find(([at]) => at === x)[2];
  readout.replaceChildren(make("strong", "", title), list);
}

/* Keep the readout beside the cursor, on the side and the end that lines leave free. */
function placeReadout(readout, left, lines, at) {
  const beside = left > at.width / 2 ? { left: "auto", right: `${at.width - left + 12}px` }
    : { left: `${left + 12}px`, right: "auto" };
  const near = lines.flatMap((line) => line.points)
    .filter((point) => (at.x(point[0]) > left) === (left <= at.width / 2));
  const low = d3.mean(near, (point) => at.y(point[1])) > at.height / 2;
  const end = low ? { top: "2rem", bottom: "auto" } : { top: "auto", bottom: `${BOTTOM + 8}px` };
  Object.assign(readout.style, beside, end);
}

/* Return an element with one plot, and how to draw it anew. */
function plotBox(plot, styles, isOn, { tall, basis }) {
  const canvas = make("div", "canvas"), readout = make("div", "readout");
  Object.assign(readout, { role: "status", hidden: true });
  Object.assign(canvas, { tabIndex: 0, role: "group", ariaLabel: plot.title });
  canvas.setAttribute("aria-describedby", "chart-help");
  const node = make("div", "plot", make("h4", "", plot.title), canvas, readout);
  let lines = [], at = null, cursor = null, x = null;

  const draw = () => {
    const width = Math.max(240, canvas.clientWidth);
    const height = Math.max(tall ? 320 : 290, Math.min(440, Math.round(width * (tall ? 0.42 : 0.6))));
    lines = plot.lines.filter((line) => isOn(line.label));
    const drawn = picture(plot, lines, styles, { width, height, basis });
    at = drawn.at;
    cursor = drawn.svg.append("path").attr("class", "cursor");
    canvas.replaceChildren(drawn.svg.node());
    hide();
  };
  const known = () => plot.xs.map(([value]) => value)
    .filter((value) => lines.some((line) => line.points.some((point) => point[0] === value)));
  const show = (value) => {
    x = value;
    cursor.attr("d", `M${at.x(x)},${at.edges.top}V${at.edges.bottom}`);
    fillReadout(readout, plot, lines, styles, x);
    placeReadout(readout, at.x(x), lines, at);
    readout.hidden = false;
  };
  const hide = () => {
    x = null;
    readout.hidden = true;
    cursor.attr("d", null);
  };
  const point = (event) => {
    if (!at) return;
    const [left] = d3.pointer(event, canvas);
    show(d3.least(known(), (value) => Math.abs(at.x(value) - left)));
  };
  const key = (event) => {
    if (event.key === "Escape") hide();
    if (!at || !["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    const all = known(), here = all.indexOf(x);
    const next = { ArrowLeft: here < 0 ? all.length - 1 : here - 1, ArrowRight: here + 1, Home: 0, End: all.length - 1 };
    show(all[Math.max(0, Math.min(all.length - 1, next[event.key]))]);
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
  canvas.addEventListener("keydown", key);
  canvas.addEventListener("blur", hide);
  return { node, draw };
}

/* Call back when the width changes; the height does with what is read off. */
function onWidth(element, callback) {
  let width = element.clientWidth;
  new ResizeObserver(() => {
    if (element.clientWidth === width) return;
    width = element.clientWidth;
    callback();
  }).observe(element);
}

/* ---- one figure ---- */

function segments(name, options, onPick) {
  const set = make("fieldset", "segments", make("legend", "hidden", "Metric"));
  options.forEach((option, i) => {
    const input = Object.assign(make("input", ""), { type: "radio", name, value: option, checked: !i });
    input.addEventListener("change", () => onPick(option));
    set.append(make("label", "", input, option));
  });
  return set;
}

function picker(options, onPick) {
  const select = make("select", "");
  for (const option of options) {
    const text = option === options[0] ? option : `relative to ${option}`;
    select.append(new Option(text, option));
  }
  select.addEventListener("change", () => onPick(select.value));
  return select;
}

function legendOf(styles, off, onChange) {
  const list = make("ul", "legend"), buttons = new Map();
  const sync = () => buttons.forEach((button, label) => button.setAttribute("aria-pressed", !off.has(label)));
  const toggle = (label) => { if (!off.delete(label)) off.add(label); };
  const add = (button, act) => {
    button.type = "button";
    button.addEventListener("click", () => { act(); sync(); onChange(); });
    list.append(make("li", "", button));
  };
  for (const [label, style] of Object.entries(styles)) {
    buttons.set(label, make("button", "", swatch(style), label));
    add(buttons.get(label), () => toggle(label));
  }
  if (buttons.size > 4) {
    add(make("button", "all", "all"), () => off.clear());
    add(make("button", "all", "none"), () => buttons.forEach((_, label) => off.add(label)));
  }
  const markAbsent = (labels) => buttons.forEach((button, label) => {
    button.classList.toggle("absent", !labels.has(label));
    button.title = labels.has(label) ? "" : "not in this view";
  });
  sync();
  return { node: list, markAbsent };
}

function setUpFigure(element, figure) {
  const off = new Set(figure.shown.length ? Object.keys(figure.styles).filter((label) => !figure.shown.includes(label)) : []);
  const [controls, plots] = [".controls", ".plots"].map((name) => element.querySelector(name));
  const pick = { metric: figure.views[0]?.metric, basis: figure.views[0]?.basis };
  const isOn = (label) => !off.has(label);
  let boxes = [];
  const redraw = () => boxes.forEach((box) => box.draw());
  const legend = legendOf(figure.styles, off, redraw);
  const row = (some, how) => {
    const made = some.map((plot) => plotBox(plot, figure.styles, isOn, how));
    boxes.push(...made);
    return make("div", "row", ...made.map((box) => box.node));
  };
  const labels = (some) => new Set(some.flatMap((plot) => plot.lines.map((line) => line.label)));

  const showView = () => {
    const of = figure.views.filter((view) => view.metric === pick.metric);
    const view = of.find((one) => one.basis === pick.basis) ?? of[0];
    const basis = view === of[0] ? null : view.basis;
    boxes = [];
    plots.replaceChildren(row([view.plot], { tall: true, basis }), ...(view.note ? [make("p", "note", view.note)] : []));
    legend.markAbsent(labels([view.plot]));
    redraw();
    return { of, view };
  };
  const addPickers = () => {
    const metrics = [...new Set(figure.views.map((view) => view.metric))];
    const bases = [...new Set(figure.views.map((view) => view.basis))];
    const select = picker(bases, (basis) => { pick.basis = basis; showView(); });
    const sync = ({ of, view }) => {
      select.value = view.basis;
      for (const option of select.options) option.disabled = !of.some((one) => one.basis === option.value);
    };
    const onMetric = (metric) => { pick.metric = metric; sync(showView()); };
    controls.append(segments(`metric-${figure.name}`, metrics, onMetric));
    if (bases.length > 1) controls.append(make("label", "basis", "Show", select));
    controls.append(legend.node);
    sync(showView());
  };
  if (figure.views.length) addPickers();
  else {
    controls.append(legend.node);
    plots.append(...figure.rows.map((some) => row(some, { tall: some.length === 1, basis: null })));
    redraw();
  }
  onWidth(plots, redraw);
}

/* ---- paper: every plot of every figure, all series on, all tables open ---- */

function paperRow(figure, row) {
  const width = Math.floor(PAPER_WIDTH / row.length) - 8;
  const boxes = row.map((plot) => {
    const { svg } = picture(plot, plot.lines, figure.styles, { width, height: 270, basis: null });
    return make("div", "", make("h4", "", plot.title), svg.node());
  });
  return make("div", "row", ...boxes);
}

function paperLegend(figure) {
  const labels = new Set(figure.rows.flat().flatMap((plot) => plot.lines.map((line) => line.label)));
  const items = [...labels].map((label) => make("li", "", swatch(figure.styles[label]), label));
  return make("ul", "legend", ...items);
}

function setUpPaper(figures) {
  const opened = [];
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      opened.push(details);
    }
    for (const [element, figure] of figures) {
      element.querySelector(".paper").replaceChildren(paperLegend(figure), ...figure.rows.map((row) => paperRow(figure, row)));
    }
  });
  addEventListener("afterprint", () => {
    for (const details of opened.splice(0)) details.open = false;
    for (const [element] of figures) element.querySelector(".paper").replaceChildren();
  });
}

function setUp() {
  const data = JSON.parse(document.getElementById("figures").textContent);
  const elements = [...document.querySelectorAll("figure[data-figure]")];
  const figures = elements.map((element, i) => [element, data[i]]);
  setUpTheme();
  setUpTables();
  for (const [element, figure] of figures) {
    if (!element.classList.contains("covered")) setUpFigure(element, figure);
  }
  setUpPaper(figures);
}

setUp();
