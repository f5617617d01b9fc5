// Replays a recorded race: every lane on one clock. Runs as the `js_on_load` of a gr.HTML, whose `props.value` is the
// record that demo/board/race.py makes. All text goes in as text, never as markup.
const SVG = "http://www.w3.org/2000/svg";
let timer = 0;

function node(name, attributes = {}, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function buildLane(record, lane) {
  const card = node("section", { class: "lane", "aria-label": lane.label });
  card.style.borderTopColor = lane.colour;
  const head = node("header");
  const clock = node("span", { class: "clock" }, "0.00 s");
  head.append(node("b", {}, lane.label), node("span", { class: "muted" }, lane.paradigm), clock);
  const stage = shape("svg", { viewBox: `0 0 ${record.width} ${record.height}`, role: "img" });
  stage.append(shape("image", { href: record.image, width: record.width, height: record.height }));
  const drawn = shape("g", {});
  stage.append(drawn);
  const said = node("p", { class: "said", tabindex: "0" });
  const note = node("p", { class: "lane-note" });
  card.append(head, stage, said, note);
  return { lane, card, clock, drawn, said, note };
}

function contours(lane, now) {
  const found = new Map();
  for (const [at, contour, x, y] of lane.vertices) {
    if (at > now) break;
    if (!found.has(contour)) found.set(contour, []);
    found.get(contour).push([x, y]);
  }
  return [...found.values()];
}

function draw(record, view, now) {
  const { lane, drawn } = view;
  const { width, height, grid } = record;
  const parts = [];
  for (const mask of lane.masks) {
    if (mask.at_s <= now) parts.push(shape("image", { href: mask.image, width, height, class: "landed" }));
  }
  for (const [at, row, column] of lane.cells) {
    if (at > now) break;
    const [w, h] = [width / grid, height / grid];
    parts.push(shape("rect", { x: column * w, y: row * h, width: w, height: h, fill: lane.colour, opacity: 0.55 }));
  }
  for (const points of contours(lane, now)) {
    const at = points.map(([x, y]) => [x * width, y * height]);
    const line = at.map((pair) => pair.join(",")).join(" ");
    parts.push(shape("polygon", { points: line, fill: lane.colour, "fill-opacity": 0.3, stroke: lane.colour, "stroke-width": 2 }));
    for (const [cx, cy] of at) parts.push(shape("circle", { cx, cy, r: Math.max(2.5, width / 130), fill: lane.colour }));
  }
  const key = parts.length;
  if (Number(drawn.dataset.key || 0) !== key || now === 0) {
    drawn.replaceChildren(...parts);
    drawn.dataset.key = key;
  }
}

function show(record, views, now) {
  for (const view of views) {
    const { lane } = view;
    const isOver = lane.total_s === null || now >= lane.total_s;
    let characters = 0;
    for (const [at, count] of lane.written) {
      if (at > now) break;
      characters = count;
    }
    view.said.textContent = lane.text.slice(0, characters);
    view.said.scrollTop = view.said.scrollHeight;
    const time = lane.total_s === null ? "–" : `${Math.min(now, lane.total_s).toFixed(2)} s`;
    // A clock that was cut off is no finish.
    view.clock.textContent = isOver && !lane.is_finished && lane.total_s !== null ? `${time}, not ranked` : time;
    view.card.classList.toggle("over", isOver && lane.is_finished);
    view.card.classList.toggle("unfinished", isOver && !lane.is_finished);
    view.note.textContent = isOver ? lane.note : "";
    draw(record, view, now);
  }
}

function play(record, views, summary, pace) {
  cancelAnimationFrame(timer);
  const end = Math.max(0, ...record.lanes.map((lane) => lane.total_s ?? 0));
  const began = performance.now();
  summary.textContent = "";
  show(record, views, 0);
  const step = () => {
    const now = ((performance.now() - began) / 1000) * pace;
    show(record, views, now);
    if (now < end) timer = requestAnimationFrame(step);
    else summary.textContent = record.summary;
  };
  timer = requestAnimationFrame(step);
}

function build() {
  cancelAnimationFrame(timer);
  const place = element.querySelector(".race");
  const record = props.value;
  if (!place) return;
  place.replaceChildren();
  if (!record || !record.lanes || !record.lanes.length) return;
  const views = record.lanes.map((lane) => buildLane(record, lane));
  const lanes = node("div", { class: "lanes" });
  lanes.append(...views.map((view) => view.card));
  const summary = node("p", { class: "race-summary", role: "status" });
  const bar = node("div", { class: "race-bar" });
  for (const [words, pace] of [["Replay", 1], ["1/4 speed", 0.25], ["1/20 speed", 0.05]]) {
    const button = node("button", { type: "button" }, words);
    button.addEventListener("click", () => play(record, views, summary, pace));
    bar.append(button);
  }
  place.append(lanes, summary, bar);
  place.scrollIntoView({ block: "start", behavior: "smooth" });
  play(record, views, summary, 1);
}

watch("value", build);
build();
