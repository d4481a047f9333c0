// What an expression comes to now: where the link of a page or of Alertmanager leads
// (/graph?g0.expr=…, as at Prometheus). Text from outside becomes textContent, never markup.

/** Rows beyond these would not be read. */
const MAX_ROWS = 500;

const byId = (id) => document.getElementById(id);

function cell(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function nameOf(metric) {
  const { __name__: name = "", ...labels } = metric;
  const pairs = Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
  return `${name}{${pairs.join(", ")}}`;
}

/** Pairs of a series and what it has, whatever the kind of the answer. */
function rowsOf({ resultType, result }) {
  if (resultType === "scalar" || resultType === "string") return [[resultType, result[1]]];
  const text = (series) => series.value?.[1] ?? series.values.map(([, value]) => value).join(" ");
  return result.map((series) => [nameOf(series.metric), text(series)]);
}

/** When an answer holds, in milliseconds: its values say it; where there are none, its server does. */
function timeOf({ resultType, result }, response) {
  const value = resultType === "scalar" || resultType === "string" ? result : result[0]?.value;
  return value ? value[0] * 1000 : Date.parse(response.headers.get("Date"));
}

async function ask(expression) {
  const body = new URLSearchParams({ query: expression });
  const response = await fetch("api/v1/query", { method: "POST", body });
  const answer = await response.json();
  if (answer.status !== "success") throw new Error(answer.error);
  return { rows: rowsOf(answer.data), time: timeOf(answer.data, response) };
}

function say({ rows, time }) {
  const at = Number.isNaN(time) ? "" : `${new Date(time).toISOString().slice(0, 19).replace("T", " ")} UTC: `;
  const count = rows.length === 1 ? "1 series" : `${rows.length} series`;
  const more = rows.length > MAX_ROWS ? `, of which ${MAX_ROWS} are shown` : "";
  byId("said").textContent = rows.length === 0
    ? `${at}nothing. No series has such a value now, or none is there.`
    : `${at}${count}${more}`;
  byId("rows").replaceChildren(...rows.slice(0, MAX_ROWS).map(([series, value]) => {
    const row = document.createElement("tr");
    row.append(cell("td", series), cell("td", value));
    return row;
  }));
  byId("results").hidden = rows.length === 0;
}

/** How often something was asked: an answer counts only while nothing was asked after it. */
let asked = 0;

async function show(expression) {
  asked += 1;
  const own = asked;
  byId("results").hidden = true;
  document.title = `${expression || "Expression"} – Hallwatch`;
  byId("said").textContent = expression ? "Asking …" : "Nothing is asked.";
  if (!expression) return;
  try {
    const answer = await ask(expression);
    if (own === asked) say(answer);
  } catch (error) {
    if (own === asked) byId("said").textContent = `It cannot be answered: ${error.message}`;
  }
}

byId("expression").value = new URLSearchParams(location.search).get("g0.expr") ?? "";
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const expression = byId("expression").value.trim();
  history.replaceState(null, "", `?${new URLSearchParams({ "g0.expr": expression })}`);
  show(expression);
});
show(byId("expression").value.trim());
