// Draws the inspection that is embedded in the page, and walks its pairs.
"use strict";

/** Width of a byte, and of the margin with byte offsets, in pixels. */
const BYTE = 9.5;
const MARGIN = 48;
/** Side of a matrix cell. */
const CELL = { width: 28, height: 24 };

const data = JSON.parse(document.getElementById("inspection").textContent);
const state = { source: 0, pair: 0, method: firstTransport() };
const characters = charactersOf(data.text);
let lines = [];

const escape = (text) =>
  String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const visible = (text) =>
  text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥")
    .replaceAll("\r", "␍");
const decimals = (value, digits = 3) => value.toFixed(digits);
const percent = (value) => `${(100 * value).toFixed(1)} %`;
const source = () => data.sources[state.source];
const pair = () => source().pairs[state.pair];
const sum = (values) => values.reduce((total, value) => total + value, 0);

function firstTransport() {
  const results = data.sources[0]?.pairs[0]?.rewritten ?? [];
  const all = results.findLastIndex(({ transport }) => transport);
  const preferred = data.methods.findIndex(({ name }) =>
    name === "optimal-transport"
  );
  return Math.max(0, preferred >= 0 ? preferred : all);
}

/** Every character with the bytes it takes: [offset, length, character]. */
function charactersOf(text) {
  const encoder = new TextEncoder();
  let offset = 0;
  return Array.from(text, (character) => {
    const { length } = encoder.encode(character);
    const entry = { offset, length, character };
    offset += length;
    return entry;
  });
}

/** Lines of the ribbon: they end after newlines, else where a token of the target does. */
function breakLines(most) {
  const starts = data.target.tokens.map(({ start }) => start);
  const newlines = characters.filter(({ character }, index) =>
    character === "\n" && characters[index + 1]?.character !== "\n"
  ).map(({ offset }) => offset + 1);
  const broken = [];
  for (let start = 0; start < data.bytes;) {
    const limit = start + most;
    const newline = newlines.find((end) => end > start && end <= limit);
    const token = starts.findLast((at) => at > start && at <= limit);
    const end = newline ??
      (limit >= data.bytes ? data.bytes : token ?? limit);
    broken.push({ start, end });
    start = end;
  }
  return broken.length > 0 ? broken : [{ start: 0, end: 0 }];
}

function lineOf(offset) {
  const at = lines.findIndex(({ end }) => offset < end);
  return at < 0 ? lines.length - 1 : at;
}

function drawHead() {
  const { target } = data;
  const one = source();
  const tabs = data.sources.map(({ name }, index) =>
    `<button data-source="${index}" aria-pressed="${index === state.source}">${
      escape(name)
    }</button>`
  ).join("");
  const taught = one.pairs.length / Math.max(1, target.rows.length - 1);
  const lost = one.pairs.map(({ rewritten }) => rewritten[state.method].lost);
  const figure = (name, value, more) =>
    `<div><dt>${name}</dt><dd><b>${value}</b> <span class="soft">${more}</span></dd></div>`;
  const cut = data.cut > 0 ? `, ${data.cut} more do not fit` : "";
  return `<header>
    <h1><span class="is-target">${escape(target.name)}</span> ← <span
      class="is-source">${escape(one.name)}</span></h1>
    <nav class="tabs" aria-label="Source">${tabs}</nav>
    <p class="keys"><kbd>←</kbd> <kbd>→</kbd> pair &ensp; <kbd>↑</kbd> <kbd>↓</kbd> line
      &ensp; <kbd>1</kbd>…<kbd>9</kbd> source &ensp; <kbd>m</kbd> method</p>
  </header>
  <dl class="figures">
    ${figure("text", data.bytes, `bytes${cut}`)}
    ${
    figure(
      `<span class="is-target">${escape(target.name)}</span>`,
      target.tokens.length,
      `tokens, ${decimals(target.bitsPerByte, 2)} bits per byte`,
    )
  }
    ${
    figure(
      `<span class="is-source">${escape(one.name)}</span>`,
      one.tokens.length,
      `tokens, ${decimals(one.bitsPerByte, 2)} bits per byte`,
    )
  }
    ${
    figure(
      "position pairs",
      one.pairs.length,
      `${percent(taught)} of the target's rows`,
    )
  }
    ${
    figure(
      `mass lost by ${escape(data.methods[state.method].name)}`,
      percent(sum(lost) / Math.max(1, lost.length)),
      "mean over the pairs",
    )
  }
  </dl>`;
}

/** The tokens of one side within a line. */
function drawTokens(side, reading, line) {
  const paired = new Set(source().pairs.map((each) => each[side] + 1));
  const next = pair() ? pair()[side] + 1 : -1;
  return reading.tokens.map(({ start, end }, t) => {
    const [from, to] = [Math.max(start, line.start), Math.min(end, line.end)];
    if (from >= to) return "";
    const classes = ["token", side];
    if (!paired.has(t)) classes.push("alone");
    if (t === next) classes.push("next");
    if (from > start) classes.push("opens");
    if (to < end) classes.push("closes");
    const left = MARGIN + (from - line.start) * BYTE + 1;
    const width = (to - from) * BYTE - 2;
    return `<span class="${classes.join(" ")}" data-${side}="${t}"
      style="left:${left}px;width:${width}px">${letters(from, to)}</span>`;
  }).join("");
}

/** The characters of a span of bytes, each as wide as its bytes. */
function letters(from, to) {
  let out = "";
  for (const { offset, length, character } of characters) {
    if (offset + length <= from || offset >= to) continue;
    const bytes = Math.min(offset + length, to) - Math.max(offset, from);
    const blank = /\s/.test(character) || offset < from;
    const shown = offset < from
      ? "‥"
      : character === " "
      ? "·"
      : visible(character);
    out += `<span class="${blank ? "blank" : ""}" style="width:${
      bytes * BYTE
    }px;margin-left:${from === Math.max(offset, from) ? -1 : 0}px">${
      escape(shown)
    }</span>`;
  }
  return out;
}

function drawRibbon() {
  const width = document.body.clientWidth - 90;
  lines = breakLines(Math.max(24, Math.floor((width - MARGIN) / BYTE) - 1));
  const { pairs } = source();
  const rows = lines.map((line, index) => {
    const dots = pairs.map(({ offset, rewritten }, p) => {
      if (lineOf(offset) !== index) return "";
      const { lost } = rewritten[state.method];
      const left = MARGIN + (offset - line.start) * BYTE - 5;
      const chosen = p === state.pair ? " chosen" : "";
      return `<button class="dot${chosen}" tabindex="-1" data-pair="${p}"
        title="byte ${offset}, ${percent(lost)} lost"
        style="left:${left}px;--loss:${
        Math.min(100, 250 * lost)
      }%" aria-label="pair at byte ${offset}"></button>`;
    }).join("");
    return `<div class="text-line"><span class="offset">${line.start}</span>${
      drawTokens("target", data.target, line)
    }${drawTokens("source", source(), line)}${dots}</div>`;
  });
  return rows.join("");
}

function drawLegend() {
  const swatch = (style, words) =>
    `<span><i class="swatch" style="${style}"></i>${words}</span>`;
  const gradient = "linear-gradient(90deg in oklab,var(--kept),var(--lost))";
  return `<p class="legend">
    ${
    swatch(
      "background:var(--target-wash)",
      `${escape(data.target.name)}, above`,
    )
  }
    ${
    swatch("background:var(--source-wash)", `${escape(source().name)}, below`)
  }
    ${
    swatch(
      "box-shadow:inset 0 0 0 1px var(--faint)",
      "begins where the other has no boundary: no pair",
    )
  }
    ${swatch(`background:${gradient}`, "pair; mass lost, from 0 to 40 %")}</p>`;
}

/** One distribution as bars. */
function drawShares(top, reading, options) {
  const { label, wash, labelProbability } = options;
  const row = ([id, p], more = "") => {
    const name = visible(reading.spellings[id] ?? `#${id}`);
    const isLabel = id === label ? "label" : "";
    return `<li class="${isLabel} ${more}" data-key="${escape(name)}" title="${
      escape(name)
    } · id ${id} · ${p}"><i class="bar" style="width:${100 * p}%"></i>
      <span class="name">${escape(name)}</span><span class="number">${
      decimals(p)
    }</span></li>`;
  };
  const below = labelProbability !== undefined &&
      !top.some(([id]) => id === label)
    ? row([label, labelProbability], "below")
    : "";
  return `<ol class="shares" style="--wash:var(${wash})">${
    top.map((share) => row(share)).join("") + below
  }</ol>`;
}

/** What became of the mass of the source's whole distribution. */
function drawMasses(kept, lost, words) {
  const tail = Math.max(0, 1 - kept - lost);
  const part = (kind, value) =>
    `<span class="${kind}" style="width:${100 * value}%"></span>`;
  const gone = lost >= 0.0005 ? `<b>lost ${decimals(lost)}</b> · ` : "";
  return `<span class="masses">${part("kept", kept)}${part("lost", lost)}</span>
    <span class="mass-words">${words} ${decimals(kept)} · ${gone}tail ${
    decimals(tail)
  }</span>`;
}

function drawPair() {
  const { target, source: row, offset, rewritten } = pair();
  const one = source();
  const labels = {
    target: data.target.tokens[target + 1].id,
    source: one.tokens[row + 1].id,
  };
  const own = (reading, t, side) => {
    const { top, label } = reading.rows[t];
    return `<div class="card"><h3 class="is-${side}">${
      escape(reading.name)
    } says</h3><span class="soft">over its own vocabulary</span>${
      drawShares(top, reading, {
        label: labels[side],
        labelProbability: label,
        wash: `--${side}-wash`,
      })
    }${drawMasses(sum(top.map(([, p]) => p)), 0, "top")}</div>`;
  };
  const cards = rewritten.map(({ top, lost, marginalError }, index) => {
    const { name, description, corrected } = data.methods[index];
    const error = marginalError > 0
      ? `, marginal error ${marginalError.toExponential(0)}`
      : "";
    const sign = corrected
      ? ""
      : ` <i class="sign" title="its own tokenizer's distribution does not come out as it went in">breaks the law</i>`;
    return `<button class="card" data-method="${index}" aria-pressed="${
      index === state.method
    }"><h3>${escape(name)}${sign}</h3><span class="soft">${
      escape(description)
    }${error}</span>${
      drawShares(top, data.target, {
        label: labels.target,
        wash: "--source-wash",
      })
    }${drawMasses(sum(top.map(([, p]) => p)), lost, "kept")}</button>`;
  }).join("");
  return `<section class="panel" id="pair"><h2>Pair ${
    state.pair + 1
  } of ${one.pairs.length} <span class="soft">· byte ${offset} · row ${target} of ${
    escape(data.target.name)
  }, row ${row} of ${escape(one.name)}</span></h2>
  <p class="context">${drawContext(offset)}</p>
  <div class="cards">${own(one, row, "source")}${
    own(data.target, target, "target")
  }${cards}</div></section>${drawTransport(labels)}`;
}

function drawContext(offset) {
  const text = (from, to) =>
    escape(
      characters.filter((c) => c.offset >= from && c.offset < to)
        .map(({ character }) => character).join("").replaceAll("\n", "↵"),
    );
  const before = text(offset - 90, offset);
  const after = text(offset, offset + 40);
  return `${offset > 90 ? "…" : ""}${before}<span class="caret"></span><span
    class="soft">${after}${offset + 40 < data.bytes ? "…" : ""}</span>`;
}

function drawTransport(labels) {
  const { rewritten } = pair();
  const shown = rewritten[state.method].transport
    ? state.method
    : rewritten.findLastIndex(({ transport }) => transport);
  const transport = rewritten[shown]?.transport;
  if (!transport) {
    return `<section class="panel"><p class="soft">No method transports here.</p></section>`;
  }
  const { cost, plan } = transport;
  const highest = Math.max(1, ...cost);
  const heaviest = Math.max(1e-4, ...plan);
  const costs = {
    title: "Cost C, in edits: dark is near",
    level: (value) =>
      0.9 * Math.max(0, 1 - value / Math.min(highest, 6)) ** 1.5,
    write: (value) => String(Math.round(value * 10) / 10),
  };
  const plans = {
    title: "Transport plan P, in percent of the mass",
    level: (value) => Math.sqrt(value / heaviest),
    write: (value) =>
      value < 0.0005 ? "" : (100 * value).toFixed(value < 0.0995 ? 1 : 0),
  };
  return `<section class="panel" id="transport"><h2>Transport by ${
    escape(data.methods[shown].name)
  } <span class="soft">· rows are the source's tokens with their mass a, columns the target's with b</span></h2>
    <div class="matrices">${drawMatrix(transport, cost, costs, labels)}${
    drawMatrix(transport, plan, plans, labels)
  }</div></section>`;
}

function drawMatrix({ sourceIds, targetIds, a, b }, values, look, labels) {
  const name = (spellings, id) => {
    const text = visible(spellings[id] ?? `#${id}`);
    return text.length > 14 ? text.slice(0, 13) + "…" : text;
  };
  const rows = sourceIds.map((id) => name(source().spellings, id));
  const cols = targetIds.map((id) => name(data.target.spellings, id));
  const longest = (names) => Math.max(1, ...names.map(({ length }) => length));
  const left = 62 + 7.4 * longest(rows);
  const top = 38 + 5.8 * longest(cols);
  const width = left + CELL.width * cols.length + 36;
  const height = top + CELL.height * rows.length + 4;
  const most = Math.max(...a, ...b, 1e-4);
  let out = "";
  cols.forEach((text, j) => {
    const x = left + (j + 0.5) * CELL.width;
    const bar = 26 * b[j] / most;
    const weight = targetIds[j] === labels.target ? 700 : 400;
    out += `<rect class="column-mass" x="${x - 8}" y="${
      top - 4 - bar
    }" width="16" height="${bar}"><title>b = ${b[j]}</title></rect>
      <text transform="translate(${x - 2} ${
      top - 33
    }) rotate(-48)" font-weight="${weight}" data-key="${escape(text)}">${
      escape(text)
    }</text>`;
  });
  rows.forEach((text, i) => {
    const y = top + i * CELL.height;
    const bar = 46 * a[i] / most;
    const weight = sourceIds[i] === labels.source ? 700 : 400;
    out += `<rect class="row-mass" x="${left - 5 - bar}" y="${
      y + 5
    }" width="${bar}" height="${CELL.height - 10}"><title>a = ${
      a[i]
    }</title></rect><text x="${left - 56}" y="${
      y + 16
    }" text-anchor="end" font-weight="${weight}" data-key="${escape(text)}">${
      escape(text)
    }</text>`;
    cols.forEach((column, j) => {
      const value = values[i * cols.length + j];
      const level = look.level(value);
      const x = left + j * CELL.width;
      out += `<g><title>${escape(text)} → ${escape(column)}: ${value}</title>
        <rect x="${x + 0.5}" y="${y + 0.5}" width="${CELL.width - 1}" height="${
        CELL.height - 1
      }" fill="rgb(var(--heat) / ${0.04 + 0.92 * level})"/>
        <text class="number${level > 0.5 ? " on-dark" : ""}" x="${
        x + CELL.width / 2
      }" y="${y + 16}">${look.write(value)}</text></g>`;
    });
  });
  return `<div class="matrix"><h3>${look.title}</h3><svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">${out}</svg></div>`;
}

function draw() {
  const ribbon = document.querySelector(".ribbon");
  const scroll = ribbon?.scrollTop ?? 0;
  main.innerHTML =
    `${drawHead()}<section class="panel"><div class="ribbon">${drawRibbon()}</div>${drawLegend()}</section>${
      pair()
        ? drawPair()
        : `<section class="panel">The two tokenizations never meet.</section>`
    }`;
  const view = document.querySelector(".ribbon");
  view.scrollTop = scroll;
  const chosen = document.querySelector(".dot.chosen")?.parentElement;
  if (chosen) {
    const top = chosen.offsetTop - view.offsetTop;
    if (top < view.scrollTop) view.scrollTop = top;
    const overhang = top + chosen.offsetHeight - view.clientHeight;
    if (overhang > view.scrollTop) view.scrollTop = overhang;
  }
  history.replaceState(
    null,
    "",
    `#s=${state.source}&p=${state.pair}&m=${data.methods[state.method].name}`,
  );
}

function choose(change) {
  const offset = pair()?.offset ?? 0;
  Object.assign(state, change);
  if ("source" in change && !("pair" in change)) state.pair = nearest(offset);
  const last = Math.max(0, source().pairs.length - 1);
  state.pair = Math.min(last, Math.max(0, state.pair));
  draw();
}

/** The last pair at or before an offset. */
function nearest(offset) {
  return Math.max(
    0,
    source().pairs.findLastIndex((each) => each.offset <= offset),
  );
}

function moveLine(by) {
  const { offset } = pair();
  const from = lineOf(offset);
  const to = from + by;
  if (to < 0 || to >= lines.length) return;
  const column = offset - lines[from].start;
  choose({
    pair: nearest(Math.min(lines[to].start + column, lines[to].end - 1)),
  });
}

const keys = {
  ArrowLeft: () => choose({ pair: state.pair - 1 }),
  ArrowRight: () => choose({ pair: state.pair + 1 }),
  ArrowUp: () => moveLine(-1),
  ArrowDown: () => moveLine(1),
  Home: () => choose({ pair: 0 }),
  End: () => choose({ pair: source().pairs.length - 1 }),
  m: () => choose({ method: (state.method + 1) % data.methods.length }),
};

function readHash() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const index = (key, length) =>
    Math.min(Math.max(0, Number(hash.get(key)) || 0), Math.max(0, length - 1));
  state.source = index("s", data.sources.length);
  state.pair = index("p", source().pairs.length);
  const method = data.methods.findIndex(({ name }) => name === hash.get("m"));
  if (method >= 0) state.method = method;
}

const main = document.createElement("main");
document.body.prepend(main);

main.addEventListener("click", ({ target }) => {
  const { dataset } = target.closest(
    "[data-pair],[data-source],[data-target],[data-method]",
  ) ?? { dataset: {} };
  if (target.closest(".tabs")) choose({ source: Number(dataset.source) });
  else if (dataset.pair) choose({ pair: Number(dataset.pair) });
  else if (dataset.method) choose({ method: Number(dataset.method) });
  else if (dataset.target) {
    choose({ pair: nearest(data.target.tokens[dataset.target].start) });
  } else if (dataset.source) {
    choose({ pair: nearest(source().tokens[dataset.source].start) });
  }
});
main.addEventListener("mouseover", ({ target }) => {
  const key = target.closest("[data-key]")?.dataset.key;
  for (const each of main.querySelectorAll("[data-key]")) {
    each.classList.toggle("same", each.dataset.key === key);
  }
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const number = Number(event.key);
  if (number >= 1 && number <= data.sources.length) {
    return choose({ source: number - 1 });
  }
  if (!(event.key in keys) || !pair()) return;
  event.preventDefault();
  keys[event.key]();
});
addEventListener("resize", draw);

readHash();
draw();
