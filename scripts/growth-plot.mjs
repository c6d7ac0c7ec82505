/**
 * The plot of docs/performance.md as SVG by hand: two panels with logarithmic axes. It brings its own background, so that it is
 * readable on light and dark pages, and each line has a mark of its own beside its colour.
 */
const WIDTH = 960;
const HEIGHT = 430;
const TOP = 64;
const BOTTOM = 352;
const PANEL = 364;
const LEFTS = [76, 566];

const STYLE = `
  svg { --page: #fff; --text: #24292f; --soft: #57606a; --grid: #d8dee4; --a: #0072b2; --b: #c05000; --c: #00805c; --d: #9a4f96 }
  @media (prefers-color-scheme: dark) {
    svg { --page: #0d1117; --text: #e6edf3; --soft: #9aa4af; --grid: #30363d; --a: #56b4e9; --b: #f0a04b; --c: #3fbf95; --d: #e39bd4 }
  }
  .page { fill: var(--page) }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: var(--text) }
  .title { font-size: 15px; font-weight: 600 }
  .soft { fill: var(--soft) }
  .grid { stroke: var(--grid); stroke-width: 1 }
  .line { fill: none; stroke-width: 2 }
  .a { stroke: var(--a) } .b { stroke: var(--b) } .c { stroke: var(--c) } .d { stroke: var(--d) }
  .mark { fill: var(--page); stroke-width: 2 }`;

const COLOURS = ['a', 'b', 'c', 'd'];
const marks = [
  (x, y) => `<circle cx="${x}" cy="${y}" r="4"`,
  (x, y) => `<rect x="${x - 4}" y="${y - 4}" width="8" height="8"`,
  (x, y) => `<path d="M${x} ${y - 5}l5 9h-10z"`,
  (x, y) => `<path d="M${x} ${y - 6}l6 6-6 6-6-6z"`,
];
const mark = (line, x, y) => `${marks[line](x, y)} class="mark ${COLOURS[line]}"/>`;

const at = (value) => Math.round(value * 10) / 10;
const text = (x, y, content, { anchor = 'middle', style = '' } = {}) =>
  `<text x="${at(x)}" y="${at(y)}" text-anchor="${anchor}"${style && ` class="${style}"`}>${content}</text>`;

/** `1 ms`, `10 s`: what a power of ten of milliseconds is called. */
const duration = (ms) => (ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`);

/**
 * @param {{ title: string, about: string, ticks: string[], lines: { name: string, values: (number | undefined)[] }[] }}
 * panel - values in milliseconds, one a tick; those that were not measured are left out.
 */
function draw({ title, about, ticks, lines }, left) {
  const all = lines.flatMap(({ values }) => values).filter((ms) => ms !== undefined);
  const low = Math.floor(Math.log10(Math.min(...all)));
  const high = Math.ceil(Math.log10(Math.max(...all)));
  const x = (i) => at(left + 24 + (i * (PANEL - 48)) / (ticks.length - 1));
  const y = (ms) => at(BOTTOM - ((Math.log10(ms) - low) / (high - low)) * (BOTTOM - TOP));
  const parts = [text(left, TOP - 38, title, { anchor: 'start', style: 'title' })];
  for (let power = low; power <= high; power++) {
    const ms = 10 ** power;
    parts.push(
      `<line class="grid" x1="${left}" x2="${left + PANEL}" y1="${y(ms)}" y2="${y(ms)}"/>`,
      text(left - 8, y(ms) + 4, duration(ms), { anchor: 'end', style: 'soft' }),
    );
  }
  for (const [i, tick] of ticks.entries())
    parts.push(text(x(i), BOTTOM + 20, tick, { style: 'soft' }));
  parts.push(text(left + PANEL / 2, BOTTOM + 42, about, { style: 'soft' }));
  let legend = left;
  for (const [i, { name, values }] of lines.entries()) {
    const points = values.flatMap((ms, tick) => (ms === undefined ? [] : [[x(tick), y(ms)]]));
    parts.push(
      `<polyline class="line ${COLOURS[i]}" points="${points.map((p) => p.join(',')).join(' ')}"/>`,
      ...points.map(([px, py]) => mark(i, px, py)),
      mark(i, legend + 6, TOP - 20),
      text(legend + 17, TOP - 16, name, { anchor: 'start' }),
    );
    legend += 17 + 7.2 * name.length + 20;
  }
  return parts;
}

/** Two panels side by side; `note` stands below them, `label` is read out in the picture's place. */
export const plot = (panels, { note, label }) =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${label}">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="page" width="${WIDTH}" height="${HEIGHT}" rx="6"/>`,
    ...panels.flatMap((panel, i) => draw(panel, LEFTS[i])),
    text(WIDTH / 2, HEIGHT - 12, note, { style: 'soft' }),
    '</svg>',
    '',
  ].join('\n');
