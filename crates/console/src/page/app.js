"use strict";
// Shows EVE lines of findings and sessions. Text from the wire is only ever set as text.

const SVG = "http://www.w3.org/2000/svg";

function node(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  for (const child of children) made.append(child);
  return made;
}

function span(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
  const at = units.findIndex(([size]) => seconds >= size);
  if (at < 0) return "0 s";
  const [size, name] = units[at];
  const whole = Math.floor(seconds / size);
  const next = units[at + 1];
  const rest = next ? Math.floor((seconds % size) / next[0]) : 0;
  return rest ? `${whole} ${name} ${rest} ${next[1]}` : `${whole} ${name}`;
}

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (count >= 1000 && at < units.length - 1) { count /= 1000; at += 1; }
  return `${at ? count.toFixed(1) : count} ${units[at]}`;
}

const bits = (value) => (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(1);
const host = (session) => session.host.name || session.host.key;
const destination = (session) => session.dest.name || session.dest.group;

function timeline(slots) {
  const box = document.createElementNS(SVG, "svg");
  box.setAttribute("class", "timeline");
  box.setAttribute("viewBox", `0 0 ${slots.length * 4} 20`);
  box.setAttribute("preserveAspectRatio", "none");
  box.setAttribute("role", "img");
  const active = slots.filter(Boolean).length;
  box.setAttribute("aria-label", `payload in ${active} of ${slots.length} ten-minute slots`);
  slots.forEach((on, at) => {
    const bar = document.createElementNS(SVG, "rect");
    bar.setAttribute("x", at * 4);
    bar.setAttribute("width", 3);
    bar.setAttribute("y", on ? 2 : 17);
    bar.setAttribute("height", on ? 18 : 3);
    bar.setAttribute("class", on ? "on" : "off");
    box.append(bar);
  });
  return box;
}

function facts(pairs) {
  const list = node("dl", { class: "facts" });
  for (const [name, value] of pairs) {
    if (value === undefined || value === null || value === "") continue;
    list.append(node("dt", {}, name), node("dd", {}, String(value)));
  }
  return list;
}

function card(line) {
  const found = line.dwell, session = found.session, meta = line.alert.metadata;
  const made = node("article", { class: `finding ${found.level}` });
  made.append(node("div", { class: "head" },
    node("span", { class: "level" }, found.level),
    node("span", {}, `${found.score.toFixed(1)} bits${found.provisional ? ", provisional" : ""}`),
    node("span", {}, [].concat(meta.mitre_analytic, meta.mitre_detection_strategy, meta.mitre_technique_id).join(" · ")),
    node("span", {}, `${found.record}, opened ${found.opened.replace("+0000", "Z")}`)));
  made.append(node("p", { class: "sentence" }, line.alert.signature));
  const parts = node("div", { class: "parts" });
  const most = Math.max(1, ...Object.values(found.parts));
  for (const [name, weight] of Object.entries(found.parts)) {
    const meter = node("span", { class: "meter" });
    meter.style.width = `${Math.max(0, weight) / most * 100}%`;
    parts.append(node("span", {}, name.replace("_", "-")), node("span", { class: "weight" }, bits(weight)), meter);
  }
  made.append(parts);
  const slots = [...(session.slots || "")].map((mark) => mark === "1");
  if (slots.length) {
    made.append(timeline(slots));
    made.append(node("p", { class: "note" }, `payload in ${slots.filter(Boolean).length} of ${slots.length} ten-minute slots`));
  }
  const reasons = node("ul", { class: "reasons" });
  for (const reason of found.reasons) {
    const item = node("li", {});
    if (reason.weight) item.append(node("b", {}, bits(reason.weight)), " ");
    item.append(reason.text);
    reasons.append(item);
  }
  made.append(node("details", { open: "" }, node("summary", {}, "Why"), reasons));
  const unseen = (session.visibility || []).join(", ");
  made.append(node("details", {}, node("summary", {}, "Evidence"), facts([
    ["host", `${host(session)} (${session.host.ip}${session.host.mac ? ", " + session.host.mac : ""})`],
    ["system", session.host.os],
    ["application", `${session.app.name} (${session.app.outcome} by ${session.app.source}, confidence ${session.app.confidence})`],
    ["rule", session.app.rule],
    ["destination", `${destination(session)}, ${line.dest_ip} port ${line.dest_port}`],
    ["held", `${span(session.effective_s)} over ${session.parts} connections, ${session.open_parts} open, longest ${span(session.longest_connection_s)}`],
    ["bytes", `${bytes(session.bytes_out)} out, ${bytes(session.bytes_in)} in, ${session.bursts} bursts`],
    ["policy", `${found.policy.verdict}${found.policy.rule ? " by " + found.policy.rule : ""}`],
    ["what limits it", unseen],
    ["finding", found.finding_id],
    ["campaign", found.group_id],
    ["community ID", line.community_id],
  ])));
  return made;
}

const COLUMNS = [
  ["Host", (s) => host(s)], ["Application", (s) => s.app.name], ["Destination", (s) => destination(s)],
  ["Held", (s) => s.effective_s, span], ["Conns", (s) => s.parts, String], ["Out", (s) => s.bytes_out, bytes],
  ["In", (s) => s.bytes_in, bytes], ["Bursts", (s) => s.bursts, String],
  ["Bits", (s) => (s.score === undefined ? -Infinity : s.score), (v) => (v === -Infinity ? "–" : v.toFixed(1))],
  ["Policy", (s) => s.policy || "–"],
];
let order = { column: 3, down: true };
let shown = { findings: [], sessions: [] };
const MOST_ROWS = 500;

function sessionTable() {
  const wanted = document.getElementById("filter").value.trim().toLowerCase();
  let rows = shown.sessions.map((line) => line.dwell);
  if (wanted) rows = rows.filter((s) => `${host(s)} ${s.app.name} ${destination(s)}`.toLowerCase().includes(wanted));
  const value = COLUMNS[order.column][1];
  rows.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    const way = typeof x === "string" ? x.localeCompare(y) : x - y;
    return order.down ? -way : way;
  });
  if (!rows.length) return node("p", { class: "empty" }, "none");
  const head = node("tr", {});
  COLUMNS.forEach(([name, , show], at) => {
    const button = node("button", { type: "button" }, at === order.column ? `${name} ${order.down ? "↓" : "↑"}` : name);
    button.addEventListener("click", () => {
      order = { column: at, down: at === order.column ? !order.down : Boolean(show) };
      drawSessions();
    });
    const cell = node("th", show ? { class: "number" } : {}, button);
    if (at === order.column) cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    head.append(cell);
  });
  const body = node("tbody", {});
  for (const session of rows.slice(0, MOST_ROWS)) {
    const row = node("tr", {});
    for (const [, of, show] of COLUMNS) {
      row.append(node("td", show ? { class: "number" } : {}, show ? show(of(session)) : String(of(session))));
    }
    body.append(row);
  }
  const made = node("div", { class: "scroll" }, node("table", {}, node("thead", {}, head), body));
  if (rows.length > MOST_ROWS) made.append(node("p", { class: "note" }, `${MOST_ROWS} of ${rows.length} shown`));
  return made;
}

function drawSessions() {
  document.getElementById("sessions").replaceChildren(sessionTable());
}

function drawFindings() {
  const place = document.getElementById("findings");
  const cards = shown.findings.map(card);
  place.replaceChildren(...(cards.length ? cards : [node("p", { class: "empty" }, "none")]));
}

function latest(lines, key) {
  const last = new Map();
  for (const line of lines) last.set(key(line), line);
  return [...last.values()];
}

function fromRecords(lines) {
  const of = (type) => lines.filter((line) => line.event_type === type);
  shown.findings = latest(of("alert"), (line) => line.dwell.finding_id).sort((a, b) => b.dwell.score - a.dwell.score);
  shown.sessions = latest(of("session"), (line) => line.dwell.session_id);
  document.getElementById("status").textContent =
    `${document.title}: ${shown.findings.length} findings, ${shown.sessions.length} sessions`;
  drawFindings();
  drawSessions();
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

let drawn = "";
async function refresh() {
  const status = document.getElementById("status");
  try {
    const [state, findings, sessions] = await Promise.all([
      ask("api/v1/status"), ask("api/v1/findings"), ask("api/v1/sessions?limit=5000")]);
    status.textContent = `${state.sensor || "sensor"} · ${state.interfaces.map((i) => `${i.name} ${i.up ? "up" : "down"}, ${i.packets} packets, ${i.drops} lost`).join(" · ")} · ${state.open_flows} flows open`;
    const now = JSON.stringify(findings.findings);
    shown = { findings: findings.findings, sessions: sessions.sessions };
    // Findings that did not change keep what the reader opened or closed.
    if (now !== drawn) { drawn = now; drawFindings(); }
    drawSessions();
  } catch (error) {
    status.textContent = `the sensor does not answer (${error.message})`;
  }
}

document.getElementById("filter").addEventListener("input", drawSessions);
const records = document.getElementById("records");
if (records) {
  fromRecords(JSON.parse(records.textContent));
} else {
  refresh();
  setInterval(refresh, 5000);
}
