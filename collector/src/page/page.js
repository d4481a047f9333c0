// The wall. Each event from /events is a whole picture; what did not change is not touched.
// Text from outside becomes textContent, never markup.

/** Without a picture for so long, the page says that it is frozen. Pictures come every second. */
const FROZEN_AFTER_MS = 5000;
/** After so long, the connection is made anew: it may be half open. */
const RECONNECT_AFTER_MS = 10000;
/** Readings older than this are marked. */
const STALE_AFTER_MS = 60000;

const SEVERITIES = ["critical", "warning", "info"];
const SEVERITY_PLURAL = { critical: "critical", warning: "warnings", info: "infos" };

const byId = (id) => document.getElementById(id);

// ---- Elements

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setClass(node, className) {
  if (node.className !== className) node.className = className;
}

/**
 * Makes the children of `parent` those of `items`: kept by key, made by `make`, filled by `fill`.
 * Elements stay as long as their key does, so that nothing flickers and a selection survives.
 */
function sync(parent, items, keyOf, make, fill) {
  const kept = parent.kept ?? (parent.kept = new Map());
  const wanted = new Set();
  let next = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    if (wanted.has(key)) continue;
    wanted.add(key);
    let node = kept.get(key);
    if (!node) {
      node = make(item);
      kept.set(key, node);
    }
    fill(node, item);
    if (node === next) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
  }
  for (const [key, node] of kept) {
    if (!wanted.has(key)) {
      node.remove();
      kept.delete(key);
    }
  }
}

// ---- Words

function ago(millis) {
  const seconds = Math.max(0, Math.round(millis / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function clock(millis) {
  return new Date(millis).toISOString().slice(11, 19);
}

/** A time of day; the day matters when it is not today. */
function moment(millis, now) {
  const [then, today] = [millis, now].map((at) => new Date(at).toISOString());
  return `${then.slice(0, 10) === today.slice(0, 10) ? "" : `${then.slice(0, 10)} `}${then.slice(11, 19)}`;
}

function plural(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

function severityOf(alert) {
  return SEVERITIES.includes(alert.severity) ? alert.severity : "warning";
}

// ---- Alerts

function byUrgency(a, b) {
  const firing = (alert) => (alert.state === "firing" ? 0 : 1);
  return (
    firing(a) - firing(b) ||
    // What only follows from another stands after what is to be mended.
    Number(Boolean(a.suppressed_by)) - Number(Boolean(b.suppressed_by)) ||
    SEVERITIES.indexOf(severityOf(a)) - SEVERITIES.indexOf(severityOf(b)) ||
    b.since - a.since ||
    (a.key < b.key ? -1 : 1)
  );
}

function makeAlert() {
  const node = element("li");
  const top = element("div", "alert-top");
  node.severity = top.appendChild(element("span", "severity"));
  node.state = top.appendChild(element("span", "mark state"));
  node.suppressedMark = top.appendChild(element("span", "mark held names"));
  node.heldMark = top.appendChild(element("span", "mark held", "held: input lost"));
  node.flappingMark = top.appendChild(element("span", "mark flapping"));
  node.since = top.appendChild(element("span", "since"));
  node.since.append(element("span"), element("b"));
  node.append(top);
  node.heading = node.appendChild(element("h3"));
  node.where = node.appendChild(element("p", "where"));
  node.held = node.appendChild(element("p", "lost"));
  node.action = node.appendChild(element("p", "do"));
  node.more = node.appendChild(element("details", "why"));
  node.more.append(element("summary", "", "Why, and what it means"), element("p"), element("p"));
  node.born = performance.now();
  return node;
}

/** Alerts that are not paged because they follow from this one, and what this one follows from. */
function following(alert) {
  if (alert.suppressed_by) return `not paged: follows from ${alert.follows_from}`;
  return alert.followers > 0 ? `${alert.followers} suppressed by this` : "";
}

function placeOf(alert) {
  return [alert.site, alert.room, alert.rack, alert.device].filter(Boolean).join(" › ");
}

/** `row`: what the row of its rule, in which it stands, has said already. */
function fillAlert(node, alert, now, row = null) {
  const fresh = performance.now() - node.born < 3000 && !firstPicture ? " new" : "";
  const quiet = alert.suppressed_by ? " suppressed" : "";
  setClass(node, `alert ${severityOf(alert)} ${alert.state}${quiet}${fresh}`);
  setText(node.severity, alert.severity || "no severity");
  setText(node.state, alert.state);
  node.heldMark.hidden = !alert.held;
  setText(node.flappingMark, `flapping: ${alert.flapping} changes`);
  node.flappingMark.hidden = !alert.flapping;
  setText(node.held, alert.held_since === null ? "" :
    `Not known since ${moment(alert.held_since, now)} (${ago(now - alert.held_since)}): ${alert.held_because}`);
  node.held.hidden = !alert.held;
  const follows = following(alert);
  setText(node.suppressedMark, follows);
  node.suppressedMark.hidden = !follows;
  setText(node.since.firstChild, `since ${moment(alert.since, now)}`);
  setText(node.since.lastChild, ago(now - alert.since));
  const place = placeOf(alert);
  const heading = alert.summary || (row && place) || alert.name;
  setText(node.heading, heading);
  const name = row ? "" : alert.name;
  setText(node.where, [name, heading === place ? "" : place, alert.tenant].filter(Boolean).join("  ·  "));
  setText(node.action, alert.action);
  node.action.hidden = !alert.action || alert.action === row?.action;
  const [, cause, consequence] = node.more.children;
  setText(cause, alert.cause);
  setText(consequence, alert.consequence);
  node.more.hidden = !alert.cause && !alert.consequence;
}

// ---- Alerts of one rule

/** So many places are named in the row of a rule; the rest is counted. */
const PLACES = 4;

/**
 * The rows of the list: a rule each, with its alerts. The most urgent alert of a rule decides where it
 * stands, and since when it is: so a row does not move when more of the same comes. `rules`: what is
 * to say of a rule with several, counted by the collector, for the picture may not have them all.
 */
function rows(alerts, rules) {
  const found = new Map();
  const keyOf = ({ name, severity }) => JSON.stringify([name, severity]);
  for (const alert of [...alerts].sort(byUrgency)) {
    const key = keyOf(alert);
    if (!found.has(key)) found.set(key, { key, alerts: [], since: alert.since, rule: null });
    found.get(key).alerts.push(alert);
  }
  for (const rule of rules) {
    const row = found.get(keyOf(rule));
    if (row) Object.assign(row, { rule, since: rule.since });
  }
  const like = (row) => ({ ...row.alerts[0], since: row.since, key: row.key });
  return [...found.values()].sort((a, b) => byUrgency(like(a), like(b)));
}

function makeRow(row) {
  return row.rule ? makeMany() : makeAlert();
}

/** A rule with one alert is shown as that; otherwise the row changes its kind, and is made anew. */
function keyOf(row) {
  return row.rule ? `many ${row.key}` : row.alerts[0].key;
}

function makeMany() {
  const node = element("li");
  const details = node.appendChild(element("details", "many"));
  const summary = details.appendChild(element("summary"));
  const top = summary.appendChild(element("span", "alert-top"));
  node.severity = top.appendChild(element("span", "severity"));
  node.marks = top.appendChild(element("span", "marks"));
  node.since = top.appendChild(element("span", "since"));
  node.since.append(element("span"), element("b"));
  node.heading = summary.appendChild(element("h3"));
  node.where = summary.appendChild(element("span", "where"));
  node.action = summary.appendChild(element("span", "do"));
  node.list = details.appendChild(element("ol", "instances"));
  node.rest = details.appendChild(element("p", "plain"));
  node.born = performance.now();
  return node;
}

/** How many of the alerts are what, in words. */
function marksOf(rule) {
  const follow = rule.causes === 1 ? rule.cause : `${rule.causes} others`;
  const marks = [
    ["firing", rule.firing, ""],
    ["pending", rule.total - rule.firing, ""],
    ["held: input lost", rule.held, "held"],
    ["flapping", rule.flapping, "flapping"],
    [`not paged: follow from ${follow}`, rule.suppressed, "held names"],
  ];
  return marks.filter(([, number]) => number > 0);
}

/** Some of the places, and how many more there are. */
function placesOf({ alerts, rule }) {
  const places = new Set(alerts.map((alert) => alert.device || alert.rack || alert.room || alert.site));
  const named = [...places].filter(Boolean).slice(0, PLACES);
  const rest = rule.places - named.length;
  return `${named.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

function fillMany(node, row, now) {
  const { rule } = row;
  const first = row.alerts[0];
  const fresh = performance.now() - node.born < 3000 && !firstPicture ? " new" : "";
  const quiet = rule.suppressed === rule.total ? " suppressed" : "";
  setClass(node, `alert ${severityOf(first)} ${first.state}${quiet}${fresh}`);
  setText(node.severity, first.severity || "no severity");
  sync(node.marks, marksOf(rule), ([what]) => what, ([, , kind]) => element("span", `mark ${kind}`),
    (child, [what, number]) => setText(child, `${number} ${what}`));
  setText(node.since.firstChild, `since ${moment(row.since, now)}`);
  setText(node.since.lastChild, ago(now - row.since));
  const { summary, action } = rule;
  setText(node.heading, `${rule.total} × ${summary || rule.name}`);
  setText(node.where,
    [summary ? rule.name : "", rule.sites.join(", "), placesOf(row)].filter(Boolean).join("  ·  "));
  setText(node.action, action);
  node.action.hidden = !action;
  sync(node.list, row.alerts, (alert) => alert.key, makeAlert,
    (child, alert) => fillAlert(child, alert, now, { action }));
  const hidden = rule.total - row.alerts.length;
  setText(node.rest, `${hidden} more are not shown here; all are at ${new URL("api/v1/alerts", document.baseURI).pathname}.`);
  node.rest.hidden = hidden === 0;
}

function fillRow(node, row, now) {
  if (row.rule) fillMany(node, row, now);
  else fillAlert(node, row.alerts[0], now);
}

// ---- Devices

function makeValue([tag]) {
  const node = element(tag);
  if (tag === "dd") {
    node.number = node.appendChild(document.createTextNode(""));
    node.unit = node.appendChild(element("span"));
  }
  return node;
}

function fillValue(node, [tag, value]) {
  if (tag === "dt") return setText(node, value.name);
  const text = value.missing ? value.missing : value.text;
  if (node.number.data !== text) node.number.data = text;
  setText(node.unit, value.missing ? "" : value.unit);
  node.unit.hidden = Boolean(value.missing);
  setClass(node, value.missing ? "missing" : "");
}

function makeDevice() {
  const node = element("article");
  const top = node.appendChild(element("div", "device-top"));
  node.heading = top.appendChild(element("h5"));
  node.fresh = top.appendChild(element("span", "fresh"));
  node.place = node.appendChild(element("p", "place"));
  node.flags = node.appendChild(element("div", "flags"));
  node.values = node.appendChild(element("dl", "values"));
  return node;
}

/** What asks for attention, in words: colour only repeats it. */
function warnings(device, now) {
  const found = [];
  if (device.up === false) found.push({ text: "✕ not answering", kind: "critical" });
  else if (isSilent(device, now)) found.push({ text: "⚠ no fresh value", kind: "bad" });
  if (device.severity) {
    const critical = device.severity === "critical";
    found.push({ text: `${critical ? "✕" : "⚠"} ${device.severity} alert`, kind: critical ? "critical" : "bad" });
  }
  return found;
}

function isSilent(device, now) {
  return device.up === false || device.time === null || now - device.time > STALE_AFTER_MS;
}

function fillDevice(node, device, now) {
  const silent = isSilent(device, now);
  const alerting = device.severity ? ` alerting ${device.severity}` : "";
  setClass(node, `device${alerting}${device.up === false ? " down" : silent ? " stale" : ""}`);
  setText(node.heading, device.device);
  const age = now - device.time;
  setText(node.fresh, device.time === null ? "no value" : age < 1500 ? "now" : ago(age));
  const place = [device.rack && `rack ${device.rack}`, device.feed && `feed ${device.feed.toUpperCase()}`];
  setText(node.place, place.filter(Boolean).join(" · "));
  node.place.hidden = !place.some(Boolean);
  const flags = device.flags.map(({ text, bad }) => ({ text: bad ? `⚠ ${text}` : text, kind: bad ? "bad" : "" }));
  const words = [...warnings(device, now), ...flags];
  // Such as a badge reader at night: an empty card would look like a mistake.
  if (words.length === 0 && device.values.length === 0) words.push({ text: "answers", kind: "" });
  sync(node.flags, words, (flag) => flag.text, () => element("span"),
    (child, flag) => {
      setText(child, flag.text);
      setClass(child, `flag ${flag.kind}`);
    });
  const values = device.values.flatMap((value) => [["dt", value], ["dd", value]]);
  sync(node.values, values, ([tag, value]) => `${tag}${value.name}`, makeValue, fillValue);
}

function makeGroup() {
  const node = element("section", "group");
  node.heading = node.appendChild(element("h4"));
  node.devices = node.appendChild(element("div", "devices"));
  return node;
}

function fillGroup(node, group, now) {
  setText(node.heading, group.name);
  // Those with as many values stand together, so that the cards of a row are of one height. By what a
  // device has, not by how it is: a card must not move when something happens.
  const devices = [...group.devices].sort((a, b) =>
    b.values.length - a.values.length || (a.device < b.device ? -1 : 1));
  sync(node.devices, devices, (device) => device.device, makeDevice,
    (child, device) => fillDevice(child, device, now));
}

function fillAgent(node, agent, now) {
  const state = agent.up === true ? "up" : agent.up === false ? "down" : "unknown";
  setClass(node, `agent ${state}`);
  const word = { up: "✓ connected", down: "✕ NOT CONNECTED", unknown: "? never heard" }[state];
  const seen = agent.seen === null ? "" : `, data ${ago(now - agent.seen)} ago`;
  const backlog = agent.backlog > 0 ? `, ${agent.backlog} waiting` : "";
  setText(node.firstChild, agent.id);
  setText(node.lastChild, ` ${word}${seen}${backlog}`);
}

function makeSite() {
  const node = element("section", "site");
  const top = node.appendChild(element("div", "site-top"));
  node.heading = top.appendChild(element("h3"));
  node.tenant = top.appendChild(element("span", "tenant"));
  node.agents = top.appendChild(element("ul", "agents"));
  node.racks = node.appendChild(element("ul", "racks"));
  node.empty = node.appendChild(element("p", "plain", "No device has sent anything yet."));
  node.groups = node.appendChild(element("div", "groups"));
  return node;
}

function fillSite(node, site, now) {
  setText(node.heading, site.name);
  setText(node.tenant, `${site.id} · ${site.tenant}`);
  sync(node.agents, site.agents, (agent) => agent.id, () => {
    const made = element("li");
    made.append(element("b"), element("span"));
    return made;
  }, (child, agent) => fillAgent(child, agent, now));
  // The lost ones first; what is not certain after them.
  const racks = [...(site.racks ?? [])].sort((a, b) => a.possible - b.possible || (a.rack < b.rack ? -1 : 1));
  node.racks.hidden = racks.length === 0;
  sync(node.racks, racks, (rack) => rack.rack, () => element("li"), (child, rack) => {
    const lost = rack.possible < 2;
    setClass(child, lost ? "critical" : "bad");
    const paths = `rack ${rack.rack}: ${plural(rack.healthy, "healthy power path", "healthy power paths")}`;
    setText(child, lost ? `✕ ${paths}${rack.first ? `, ${rack.first} failed first` : ""}` : `⚠ ${paths}, the rest not certain`);
  });
  node.empty.hidden = site.groups.length > 0;
  sync(node.groups, site.groups, (group) => group.name, makeGroup,
    (child, group) => fillGroup(child, group, now));
}

// ---- Gaps

function fillGap(node, gap, now) {
  setClass(node, gap.state === "filled" ? "" : "bad");
  const mark = { open: "⚠ open", filled: "✓ filled", lost: "✕ lost" }[gap.state] ?? gap.state;
  const place = [gap.site, gap.agent, gap.device].filter(Boolean).join(" › ");
  setText(node.firstChild, mark);
  const end = gap.end === null ? "now" : clock(gap.end);
  const length = ago((gap.end ?? now) - gap.start);
  setText(node.lastChild, ` ${place}: ${gap.cause.replaceAll("_", " ")}, ${clock(gap.start)} – ${end} (${length})`);
}

function showGaps(gaps, now) {
  byId("gaps-part").hidden = gaps.length === 0;
  const open = gaps.filter((gap) => gap.state === "open").length;
  setText(byId("gaps-line"), `${open} open, ${plural(gaps.length, "row", "rows")} of the last 24 h`);
  sync(byId("gaps"), gaps, (gap) => gap.key, () => {
    const node = element("li");
    node.append(element("b"), element("span"));
    return node;
  }, (node, gap) => fillGap(node, gap, now));
}

// ---- The whole

let firstPicture = true;
/** When the last picture came, by the browser's monotonic clock; null before the first. */
let lastAt = null;
/** The collector's time of the last picture. */
let lastNow = null;

function verdict(picture) {
  // Counted by the collector, for the picture may not have all.
  const { counts: of } = picture;
  const count = (severity) => of[severity];
  const firing = of.critical + of.warning + of.info;
  const blind = picture.health.some((part) => !part.ok)
    || picture.sites.some((site) => site.agents.some((agent) => agent.up !== true))
    // Its alert may wait for its time, or nobody may have a rule for it.
    || picture.sites.some((site) => site.groups.some((group) => group.devices.some((device) => device.up === false)));
  const worst = SEVERITIES.find((severity) => count(severity) > 0);
  const words = { critical: "✕ Critical", warning: "⚠ Warning", info: "ℹ Information" };
  const word = worst ? words[worst] : blind ? "⚠ Watch impaired" : "✓ All clear";
  setText(byId("verdict-word"), word);
  setClass(byId("verdict"), worst ?? (blind ? "warning" : "good"));
  const devices = picture.sites.flatMap((site) => site.groups).flatMap((group) => group.devices);
  const silent = devices.filter((device) => isSilent(device, picture.now));
  const counts = [
    ...SEVERITIES.map((severity) => [count(severity), severity === "critical" || count(severity) !== 1
      ? SEVERITY_PLURAL[severity] : severity]),
    [of.pending, "pending"],
    [of.held, "held"],
    [of.suppressed, "suppressed"],
    [of.flapping, "flapping"],
    [silent.length, silent.length === 1 ? "silent device" : "silent devices"],
  ].filter(([number]) => number > 0);
  counts.push([devices.length, devices.length === 1 ? "device" : "devices"]);
  sync(byId("counts"), counts, ([, what]) => what, ([, what]) => {
    const node = element("li");
    node.append(element("b"), document.createTextNode(what));
    return node;
  }, (node, [number]) => setText(node.firstChild, String(number)));
  document.title = `${worst ? `(${firing}) ` : ""}${word.slice(2)} – Hallwatch`;
}

/** The version that this script came with; a page that is older than its collector loads itself anew. */
let version = null;

function show(picture) {
  const { now } = picture;
  version ??= picture.version;
  if (version !== picture.version) return location.reload();
  verdict(picture);
  const sites = plural(picture.sites.length, "site", "sites");
  setText(byId("sites-line"), `${sites}: ${picture.sites.map((site) => site.name).join(", ")}`);
  setText(byId("clock-time"), clock(now));
  const alerts = rows(picture.alerts, picture.rules);
  // Without alerts the devices get the whole wall; the word above says that there are none.
  byId("alerts-part").hidden = alerts.length === 0;
  setClass(byId("main"), alerts.length === 0 ? "calm" : "");
  sync(byId("alerts"), alerts, keyOf, makeRow, (node, row) => fillRow(node, row, now));
  sync(byId("sites"), picture.sites, (site) => `${site.tenant}/${site.id}`, makeSite,
    (node, site) => fillSite(node, site, now));
  showGaps(picture.gaps ?? [], now);
  setText(byId("collector"), `${picture.collector} · ${picture.version}`);
  sync(byId("health"), picture.health, (part) => part.part, () => {
    const node = element("li");
    node.append(element("b"), element("span"));
    return node;
  }, (node, part) => {
    setClass(node, part.ok ? "" : "bad");
    setText(node.firstChild, part.ok ? "✓" : "✕");
    setText(node.lastChild, `${part.part}: ${part.text}`);
  });
  firstPicture = false;
}

function setFrozen(title, text) {
  byId("frozen").hidden = false;
  setText(byId("frozen-title"), title);
  setText(byId("frozen-text"), text);
  document.body.classList.add("frozen");
  document.title = `NO CONNECTION – Hallwatch`;
}

function watch(openedAt) {
  const age = performance.now() - (lastAt ?? openedAt);
  if (age <= FROZEN_AFTER_MS) {
    byId("frozen").hidden = true;
    document.body.classList.remove("frozen");
  } else if (lastAt === null) {
    setFrozen("No connection", "Nothing has been received from the collector. Trying again.");
  } else {
    setFrozen(`No connection for ${ago(age)}`,
      `What is shown below is of ${clock(lastNow)} UTC and does not change. Trying again.`);
  }
}

let stream = null;
let openedAt = 0;

function open() {
  stream?.close();
  openedAt = performance.now();
  stream = new EventSource("events");
  stream.addEventListener("picture", (event) => {
    let picture;
    try {
      picture = JSON.parse(event.data);
      show(picture);
    } catch (error) {
      // A picture that cannot be shown counts as none: the page freezes, and says so.
      console.error(error);
      return;
    }
    lastAt = performance.now();
    lastNow = picture.now;
    document.body.classList.remove("waiting");
    watch(openedAt);
  });
}

const startedAt = performance.now();
open();
setInterval(() => {
  watch(startedAt);
  const silence = performance.now() - Math.max(lastAt ?? 0, openedAt);
  if (silence > RECONNECT_AFTER_MS || stream.readyState === EventSource.CLOSED && silence > 2000) open();
}, 500);
