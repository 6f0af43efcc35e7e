// The capacity page: polls api/capacity and shows it. Text goes in as text, never as markup.
"use strict";

const EVERY = 2000;
const $ = (id) => document.getElementById(id);

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const cores = (milli) => `${(milli / 1000).toLocaleString(undefined, { maximumFractionDigits: 2 })}`;
const GIB = 1024 ** 3;
const gib = (bytes) => `${(bytes / GIB).toLocaleString(undefined, { maximumFractionDigits: 1 })} Gi`;
const plain = (n) => n.toLocaleString();

function bar(use, format, label) {
  const text = `${format(use.requested)} of ${format(use.allocatable)}`;
  const meter = make("meter", { min: 0, max: Math.max(use.allocatable, 1), value: Math.min(use.requested, use.allocatable), "aria-label": `${label}: ${text}` });
  return [text, meter];
}

function card(kind, title, c) {
  const row = (label, use, format) => {
    const [text, meter] = bar(use, format, `${title}, ${label}`);
    const share = use.allocatable > 0 ? ` (${Math.round((100 * use.requested) / use.allocatable)} %)` : "";
    return make("div", { class: "row" }, make("div", { class: "what" }, make("span", {}, label), make("span", {}, text + share)), meter);
  };
  return make("article", { class: `card ${kind}` },
    make("h3", {}, title),
    make("div", { class: "note" }, c.nodes === 0 ? "no nodes" : `${plain(c.nodes)} node${c.nodes === 1 ? "" : "s"}, ${plain(c.usable)} usable`),
    row("CPU, cores", c.cpuMilli, cores), row("Memory", c.memoryBytes, gib), row("Pods", c.pods, plain));
}

function fill(table, rows, emptyText) {
  const body = $(table).tBodies[0];
  const labels = [...$(table).tHead.rows[0].cells].map((cell) => cell.textContent);
  if (rows.length === 0) {
    body.replaceChildren(make("tr", {}, make("td", { class: "empty", colspan: labels.length }, emptyText)));
    return;
  }
  body.replaceChildren(...rows.map((cells) => make("tr", {}, ...cells.map((cell, at) => {
    const { content, className } = cell && cell.content !== undefined ? cell : { content: cell };
    return make("td", { "data-label": labels[at], class: className }, ...[content].flat());
  }))));
}

const number = (text) => ({ content: text, className: "n" });
const kind = (name, provider) => make("span", { class: `kind ${name}` }, provider ? `${name} · ${provider}` : name);
const omitted = (n, what) => (n > 0 ? `${plain(n)} more ${what} not shown` : "");

function nodeRow(node) {
  const state = !node.ready ? "not ready" : node.unschedulable ? "unschedulable" : "ready";
  const cell = (use, format, label) => ({ content: bar(use, format, `${node.name} ${label}`), className: node.class });
  return [node.name, kind(node.class, node.provider), { content: state, className: state === "ready" ? "" : "bad" },
    cell(node.cpuMilli, cores, "CPU"), cell(node.memoryBytes, gib, "memory"), cell(node.pods, plain, "pods")];
}

function podRow(pod) {
  return [`${pod.namespace}/${pod.name}`, pod.node || "–", pod.deleting ? "Terminating" : pod.phase, pod.policy || "–", pod.source || "–",
    number(cores(pod.requests.cpuMilli)), number(gib(pod.requests.memoryBytes)), pod.sentence || pod.reason || "–"];
}

const time = (at) => (at ? make("time", { datetime: at }, new Date(at).toLocaleTimeString()) : "–");
const share = (permille) => `${Math.round(permille / 10)} %`;

// A bar with its numbers beside it: full or overfull is told in words too, not by colour alone.
function gauge(label, text, permille, mark) {
  const full = permille >= 1000;
  const meter = make("meter", { min: 0, max: 1000, value: Math.min(permille, 1000), "aria-label": `${label}: ${text}`, class: full ? "full" : null });
  const what = make("div", { class: "what" }, make("span", {}, label), make("span", {}, `${text} (${share(permille)})${full ? " full" : ""}`));
  return make("div", { class: "row" }, what, meter, mark ? make("div", { class: "note" }, mark) : null);
}

const PER = { hour: "this hour", day: "today", month: "this month" };

function objectCard(p) {
  const pods = `${plain(p.pods.local)} local, ${plain(p.pods.cloud)} cloud, ${plain(p.pods.waiting)} waiting`;
  const tiers = p.tiers.map((t) => gauge(`${t.name}, ${t.what}`, `${t.used} of ${t.max}`, t.permille));
  const money = p.budgets.map((b) => gauge(`Money ${PER[b.window] || b.window}${b.namespace ? `, ${b.namespace}` : ""}`,
    `${b.spent} of ${b.max} ${b.currency}`, b.spentPermille, `${b.projected} ${b.currency} projected at the end of the window (${share(b.projectedPermille)})`));
  const none = tiers.length + money.length === 0 ? make("div", { class: "note" }, "no ceiling and no budget") : null;
  const problems = p.problems.map((text) => make("div", { class: "bad" }, `Not valid: ${text}`));
  return make("article", { class: "card policy" }, make("h3", {}, p.key), make("div", { class: "note" }, pods), ...problems, ...tiers, ...money, none);
}

const OUTCOME = { cloud: "virtual", local: "real", wait: "wait", granted: "virtual", moved: "real" };

function decisionRow(d) {
  const more = [
    d.limits.length ? `At the limit: ${d.limits.join("; ")}` : null,
    d.cost ? `Costs ${d.cost} in the cloud` : null,
    ...d.alternatives.filter((text) => !d.sentence.includes(text)).map((text) => `It ${text}`),
  ].filter(Boolean);
  const tag = make("span", { class: `kind ${OUTCOME[d.outcome] || "wait"}` }, d.provider ? `${d.outcome} · ${d.provider}` : d.outcome);
  const where = [d.node, d.tier ? `tier ${d.tier}` : null].filter(Boolean).join(", ");
  const policy = d.policyObject ? `${d.policy}, ${d.policyObject}` : d.policy;
  return [time(d.time), `${d.namespace}/${d.name}`, policy, [tag, ` ${where}`],
    [d.sentence, ...(more.length ? [make("ul", { class: "otherwise" }, ...more.map((text) => make("li", {}, text)))] : [])]];
}

function overview(o) {
  $("objects").replaceChildren(...o.policies.map(objectCard));
  const empty = o.at ? "No BurstPolicy and no ClusterBurstPolicy: nothing is limited, delayed or budgeted." : "Reading the policies…";
  $("o-objects").textContent = o.error ? `Policies and stock are from ${o.at ? new Date(o.at).toLocaleTimeString() : "never"}: ${o.error}` : o.policies.length ? "" : empty;
  $("c-objects").textContent = o.policies.length ? plain(o.policies.length) : "";
  fill("held", o.held.map((h) => [h.code, number(plain(h.pods)), h.text || "–"]), "No pod is held back.");
  $("c-held").textContent = plain(o.held.reduce((sum, h) => sum + h.pods, 0));
  const place = (s) => [[s.node, ...(s.provider ? [` (${s.provider})`] : [])], s.zone || "–", s.class, time(s.since), time(s.until), s.message || "–"];
  fill("stock", o.stockOuts.map(place), "Nothing is sold out.");
  $("c-stock").textContent = plain(o.stockOuts.length);
}

function show(data) {
  $("classes").replaceChildren(card("real", "Real nodes", data.classes.real), card("virtual", "Virtual nodes", data.classes.virtual));
  fill("policies", data.policies.map((p) => [p.policy, number(plain(p.pending)), number(plain(p.local)), number(plain(p.burst))]), "No pod has a policy yet.");
  $("pending").textContent = data.pendingPods > 0 ? `${plain(data.pendingPods)} pods wait for a node, with or without a policy.` : "";
  fill("pods", data.burstPods.map(podRow), "No burst pods: nothing runs in the cloud, nothing waits to go there.");
  fill("nodes", data.nodes.map(nodeRow), "No nodes are known.");
  overview(data.overview);
  fill("decisions", data.decisions.map(decisionRow), "No decisions since the start of this process.");
  $("c-pods").textContent = `${plain(data.burstPods.length + data.burstPodsOmitted)}`;
  $("c-nodes").textContent = `${plain(data.nodes.length + data.nodesOmitted)}`;
  $("o-pods").textContent = omitted(data.burstPodsOmitted, "pods");
  $("o-nodes").textContent = omitted(data.nodesOmitted, "real nodes");
  $("version").textContent = `· burst ${data.version}`;
}

function state(name, status, notice) {
  $("status").dataset.state = name;
  if ($("status").textContent !== status) $("status").textContent = status;
  $("main").dataset.state = name;
  $("notice").dataset.state = name;
  $("notice").hidden = !notice;
  if ($("notice").textContent !== notice) $("notice").textContent = notice;
}

async function refresh() {
  try {
    const answer = await fetch("api/capacity", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const data = await answer.json();
    show(data);
    if (data.cache.ready) state("live", "Live", "");
    else state("stale", "Stale", data.cache.reason || "The picture of the cluster is stale.");
  } catch (error) {
    state("error", "No connection", `burst-scheduler does not answer (${error.message}). What is shown is the last that was heard; trying again.`);
  } finally {
    setTimeout(refresh, EVERY);
  }
}

refresh();
