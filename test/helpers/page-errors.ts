import type { Page } from 'playwright-core';

/**
 * Accessibility errors of a page that a program can detect: text with a contrast below 4.5 (WCAG 2.2, 1.4.3), controls
 * without a name (4.1.2), duplicate ids, and content wider than the screen (1.4.10).
 */
export async function pageErrors(page: Page): Promise<string[]> {
  const errors = await evaluateList(
    page,
    `(() => {
    const errors = [];
    const ids = Array.from(document.querySelectorAll('[id]'), (each) => each.id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) errors.push('Twice: #' + id);
    const seen = (each) => each.checkVisibility() && each.closest('.hidden, .skip') === null;
    for (const each of document.querySelectorAll('a, button, input, select, [tabindex="0"], progress')) {
      if (!seen(each)) continue;
      const name = each.getAttribute('aria-label') || each.textContent.trim() || (each.labels?.length ?? 0) > 0;
      if (!name) errors.push('Without a name: ' + each.outerHTML.slice(0, 80));
    }
    return errors;
  })()`,
  );
  return [...(await widthErrors(page)), ...errors, ...(await contrastErrors(page))];
}

/** Content that makes the page scroll sideways. */
export function widthErrors(page: Page): Promise<string[]> {
  return evaluateList(
    page,
    `(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const wide = Array.from(document.querySelectorAll('body *'))
      .filter((each) => each.getBoundingClientRect().right > clientWidth + 1)
      .slice(0, 3);
    return ['The page is wider than the screen: ' + wide.map((each) => each.outerHTML.slice(0, 80)).join(' ')];
  })()`,
  );
}

/** Visible text with a contrast below 4.5. Translucent colours are mixed with what is below them. */
export function contrastErrors(page: Page): Promise<string[]> {
  return evaluateList(
    page,
    `(() => {
    const errors = new Set();
    const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const mix = (over, under) => {
      const alpha = over[3] ?? 1;
      return [0, 1, 2].map((part) => over[part] * alpha + under[part] * (1 - alpha));
    };
    const light = (colour) => {
      const [r, g, b] = colour.map((part) => {
        const share = part / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const groundOf = (each) => {
      const layers = [];
      for (let at = each; at !== null; at = at.parentElement) {
        layers.push(parse(getComputedStyle(at).backgroundColor));
        if ((layers.at(-1)[3] ?? 1) === 1) break;
      }
      return layers.reverse().reduce((under, over) => mix(over, under), [255, 255, 255]);
    };
    const seen = (each) =>
      each.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
      each.closest('.hidden, .skip, noscript') === null;
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const each = texts.currentNode.parentElement;
      const text = texts.currentNode.data.trim();
      if (text === '' || !seen(each)) continue;
      const style = getComputedStyle(each);
      const ground = groundOf(each);
      const ink = mix(parse(each instanceof SVGElement ? style.fill : style.color), ground);
      const [a, b] = [light(ink), light(ground)];
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (contrast < 4.5) errors.add(contrast.toFixed(2) + ': ' + text.slice(0, 40));
    }
    return [...errors];
  })()`,
  );
}

/** The script is text, because it runs in the browser, whose types are not those of this program. */
async function evaluateList(page: Page, script: string): Promise<string[]> {
  const list: unknown = await page.evaluate(script);
  return Array.isArray(list) ? list.map(String) : [`The page gave ${String(list)}.`];
}
