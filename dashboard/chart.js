/**
 * Charts of the last hour in SVG: stacked bars, or lines. The pointer or the arrow keys select a minute, whose values are
 * written below the chart. All values are also available as a table.
 *
 * @typedef {import('./server.js').Minute} Minute
 * @typedef {object} Series
 * @property {string} name in the legend and in the text
 * @property {string} kind the class of its colour in the stylesheet
 * @property {(minute: Minute) => number | null} value null if there is none
 * @typedef {object} ChartOptions
 * @property {string} title
 * @property {'bars' | 'lines'} shape
 * @property {readonly Series[]} series bars from bottom to top
 * @property {(value: number) => string} format
 */

import { drawn, element, show } from './element.js';
import { minute as timeOf } from './format.js';

const minuteMs = 60_000;
const slots = 60;
const height = 168;
/** The smallest height of a bar, in pixels, so that small values stay visible. */
const minBar = 2.5;
/** The radius of a round point and the side of a square one, in pixels; larger without neighbours. */
const radius = { alone: 4, joined: 2.75 };
const side = { alone: 9.5, joined: 5 };
const margin = { top: 8, right: 6, bottom: 20, left: 48 };

/**
 * Creates a chart in an empty figure.
 *
 * @param {HTMLElement} figure
 * @param {ChartOptions} options
 */
export function createChart(figure, options) {
  const { title, series, format } = options;
  const plot = element('div', {
    ...{ class: 'plot', role: 'slider', tabindex: 0, 'aria-label': `${title}: a minute of the last hour` },
    ...{ 'aria-valuemin': 0, 'aria-valuemax': slots - 1, 'aria-orientation': 'horizontal' },
  });
  const readout = element('p', { class: 'readout' });
  const body = element('tbody');
  const table = element(
    'details',
    { 'data-key': 'table' },
    element('summary', {}, 'As a table'),
    element(
      'div',
      { class: 'scroll short', tabindex: 0, role: 'region', 'aria-label': `${title}, as a table` },
      element('table', {}, element('thead', {}, headRow(series)), body),
    ),
  );
  figure.append(element('figcaption', {}, element('h2', {}, title), legend(series)), plot, readout, table);

  /** @type {(Minute | undefined)[]} a slot for each minute of the hour; the last is the current one */
  let hour = Array.from({ length: slots }, () => undefined);
  /** The start of the current minute; undefined before the first data. @type {number | undefined} */
  let newest;
  let picked = slots - 1;
  /** Whether the user has selected a minute. Otherwise the text describes the current one. */
  let picking = false;
  let width = 0;

  /** @param {number} slot */
  function words(slot) {
    if (newest === undefined) return 'No data yet.';
    const minute = hour[slot];
    const at = timeOf(new Date(newest - (slots - 1 - slot) * minuteMs));
    if (minute === undefined) return `${at}  no data yet`;
    const parts = series.map(({ name, value }) => {
      const found = value(minute);
      return found === null ? null : `${format(found)} ${name}`;
    });
    const there = parts.filter((part) => part !== null);
    return `${at}  ${there.length === 0 ? 'no jobs' : there.join(', ')}`;
  }

  function draw() {
    plot.setAttribute('aria-valuenow', String(picked));
    plot.setAttribute('aria-valuetext', words(picked));
    readout.textContent = words(picked);
    if (newest === undefined || width < margin.left + margin.right + slots) return;
    const mark = picking ? picked : null;
    const parts = { hour, newest, width, mark };
    show(plot, parts, () => [picture({ ...options, ...parts })]);
  }

  /** @param {number} slot */
  function pick(slot) {
    picking = true;
    picked = Math.min(slots - 1, Math.max(0, slot));
    draw();
  }

  function leave() {
    picking = false;
    picked = slots - 1;
    draw();
  }

  plot.addEventListener('pointermove', (event) => {
    const x = event.clientX - plot.getBoundingClientRect().left - margin.left;
    pick(Math.floor((x / (width - margin.left - margin.right)) * slots));
  });
  plot.addEventListener('pointerleave', leave);
  plot.addEventListener('blur', leave);
  plot.addEventListener('keydown', (event) => {
    const step = new Map([
      ['ArrowLeft', picked - 1],
      ['ArrowDown', picked - 1],
      ['ArrowRight', picked + 1],
      ['ArrowUp', picked + 1],
      ['PageDown', picked - 10],
      ['PageUp', picked + 10],
      ['Home', 0],
      ['End', slots - 1],
    ]).get(event.key);
    if (step === undefined) return;
    event.preventDefault();
    pick(step);
  });
  new ResizeObserver(() => {
    width = plot.clientWidth;
    draw();
  }).observe(plot);
  const tabulate = () => {
    if (table.open) show(body, [hour, newest], () => rows(hour, series, format));
  };
  table.addEventListener('toggle', tabulate);

  return {
    /**
     * Shows new data.
     *
     * @param {readonly Minute[]} minutes
     * @param {number} now milliseconds since 1970
     */
    update(minutes, now) {
      const current = Math.floor(now / minuteMs) * minuteMs;
      newest = current;
      hour = Array.from({ length: slots }, () => undefined);
      for (const minute of minutes) {
        const slot = slots - 1 - (current - Date.parse(minute.start)) / minuteMs;
        if (slot >= 0 && slot < slots) hour[slot] = minute;
      }
      draw();
      tabulate();
    },
  };
}

/** @param {readonly Series[]} series */
function legend(series) {
  return element(
    'ul',
    { class: 'legend' },
    ...series.map(({ name, kind }) => element('li', { class: kind }, name)),
  );
}

/** @param {readonly Series[]} series */
function headRow(series) {
  const names = series.map(({ name }) => element('th', { scope: 'col', class: 'number' }, name));
  return element('tr', {}, element('th', { scope: 'col' }, 'Minute'), ...names);
}

/**
 * @param {readonly (Minute | undefined)[]} hour
 * @param {readonly Series[]} series
 * @param {(value: number) => string} format
 */
function rows(hour, series, format) {
  const known = hour.filter((minute) => minute !== undefined).reverse();
  return known.map((minute) => {
    const cells = series.map(({ value }) => {
      const found = value(minute);
      return element('td', { class: 'number' }, found === null ? '–' : format(found));
    });
    return element('tr', {}, element('th', { scope: 'row' }, timeOf(minute.start)), ...cells);
  });
}

/**
 * @param {ChartOptions & { hour: readonly (Minute | undefined)[], newest: number, width: number, mark: number | null }} parts
 */
function picture({ shape, series, format, hour, newest, width, mark }) {
  const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
  const step = inner.width / slots;
  const top = niceTop(Math.max(0, ...hour.map((minute) => highest(minute, series, shape))));
  /** @param {number} slot */
  const x = (slot) => margin.left + (slot + 0.5) * step;
  /** @param {number} value */
  const y = (value) => margin.top + inner.height * (1 - value / top);
  const marks = shape === 'bars' ? bars(hour, series, { x, y, step }) : lines(hour, series, { x, y });
  return drawn(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, width, height, 'aria-hidden': 'true' },
    ...[0, top / 2, top].map((value) =>
      drawn(
        'g',
        { class: 'grid' },
        drawn('line', { x1: margin.left, x2: width - margin.right, y1: y(value), y2: y(value) }),
        drawn('text', { x: margin.left - 6, y: y(value), dy: '0.32em', 'text-anchor': 'end' }, format(value)),
      ),
    ),
    ...quarters(newest).map(({ slot, at }) =>
      drawn('text', { class: 'time', x: x(slot), y: height - 5, 'text-anchor': 'middle' }, timeOf(at)),
    ),
    mark !== null &&
      drawn('rect', {
        ...{ class: 'picked', x: x(mark) - step / 2, y: margin.top, width: step, height: inner.height },
      }),
    ...marks,
  );
}

/**
 * @param {Minute | undefined} minute
 * @param {readonly Series[]} series
 * @param {'bars' | 'lines'} shape
 */
function highest(minute, series, shape) {
  if (minute === undefined) return 0;
  const values = series.map(({ value }) => value(minute) ?? 0);
  return shape === 'bars' ? values.reduce((sum, value) => sum + value, 0) : Math.max(...values);
}

/** Returns the next of 2, 4, 10, 20, 40, 100 and so on, whose half is a round number too. @param {number} value */
function niceTop(value) {
  if (value <= 2) return 2;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 6, 8, 10].find((factor) => factor * power >= value) ?? 10) * power;
}

/** Returns the quarter hours of the axis, except at its edges. @param {number} newest */
function quarters(newest) {
  const found = [];
  for (let slot = 3; slot < slots - 2; slot += 1) {
    const at = new Date(newest - (slots - 1 - slot) * minuteMs);
    if (at.getMinutes() % 15 === 0) found.push({ slot, at });
  }
  return found;
}

/**
 * @param {readonly (Minute | undefined)[]} hour
 * @param {readonly Series[]} series
 * @param {{ x(slot: number): number, y(value: number): number, step: number }} scale
 */
function bars(hour, series, { x, y, step }) {
  const gap = Math.min(2, step / 4);
  return hour.flatMap((minute, slot) => {
    if (minute === undefined) return [];
    let below = 0;
    return series.flatMap(({ kind, value }) => {
      const found = value(minute) ?? 0;
      if (found === 0) return [];
      const high = Math.max(minBar, y(below) - y(below + found));
      const bar = drawn('rect', {
        ...{
          class: kind,
          x: x(slot) - step / 2 + gap / 2,
          width: step - gap,
          y: y(below) - high,
          height: high,
        },
      });
      below += found;
      return [bar];
    });
  });
}

/**
 * Draws a line for each series, with a point for each minute: round ones for the first series, larger square ones for the
 * second, so that they differ without colours too, and both are visible where their values are equal.
 *
 * @param {readonly (Minute | undefined)[]} hour
 * @param {readonly Series[]} series
 * @param {{ x(slot: number): number, y(value: number): number }} scale
 */
function lines(hour, series, { x, y }) {
  const drawnLines = series.map(({ kind, value }, index) => {
    const values = hour.map((minute) => (minute === undefined ? null : value(minute)));
    const known = (/** @type {number} */ slot) => (values[slot] ?? null) !== null;
    let path = '';
    const points = values.flatMap((found, slot) => {
      if (found === null) return [];
      path += `${known(slot - 1) ? 'L' : 'M'}${x(slot).toFixed(1)} ${y(found).toFixed(1)}`;
      const size = known(slot - 1) || known(slot + 1) ? 'joined' : 'alone';
      return [point({ kind, isRound: index === 0, at: [x(slot), y(found)], size })];
    });
    return [drawn('path', { class: `line ${kind}`, d: path }), ...points];
  });
  // The first series is on top.
  return drawnLines.reverse().flat();
}

/** @param {{ kind: string, isRound: boolean, at: [number, number], size: 'alone' | 'joined' }} parts */
function point({ kind, isRound, at: [x, y], size }) {
  if (isRound) return drawn('circle', { class: `dot ${kind}`, cx: x, cy: y, r: radius[size] });
  const width = side[size];
  return drawn('rect', { class: `dot ${kind}`, x: x - width / 2, y: y - width / 2, width, height: width });
}
