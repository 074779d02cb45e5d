import type { Page } from 'playwright-core';

/**
 * Accessibility errors of a page that a program can detect: text with a contrast below 4.5 (WCAG 2.2, 1.4.3), controls
 * without a name (4.1.2), duplicate ids, and content wider than the screen (1.4.10).
 */
export async function pageErrors(page: Page): Promise<string[]> {
  // As text, because it runs in the browser, whose types are not those of this program.
  const errors: unknown = await page.evaluate(`(() => {
    const errors = [];
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) errors.push('The page is wider than the screen.');
    const ids = Array.from(document.querySelectorAll('[id]'), (each) => each.id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) errors.push('Twice: #' + id);
    const seen = (each) => each.checkVisibility() && each.closest('.hidden, .skip') === null;
    for (const each of document.querySelectorAll('a, button, input, select, [tabindex="0"], progress')) {
      if (!seen(each)) continue;
      const name = each.getAttribute('aria-label') || each.textContent.trim() || (each.labels?.length ?? 0) > 0;
      if (!name) errors.push('Without a name: ' + each.outerHTML.slice(0, 80));
    }
    const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
      const [r, g, b] = parse(colour).map((part) => {
        const share = part / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const groundOf = (each) => {
      for (let at = each; at !== null; at = at.parentElement) {
        const colour = getComputedStyle(at).backgroundColor;
        if ((parse(colour)[3] ?? 1) > 0) return colour;
      }
      return 'rgb(255, 255, 255)';
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const each = texts.currentNode.parentElement;
      if (texts.currentNode.data.trim() === '' || !seen(each)) continue;
      const style = getComputedStyle(each);
      const [a, b] = [light(each instanceof SVGElement ? style.fill : style.color), light(groundOf(each))];
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (contrast < 4.5) errors.push(contrast.toFixed(2) + ': ' + texts.currentNode.data.trim().slice(0, 40));
    }
    return errors;
  })()`);
  return Array.isArray(errors) ? errors.map(String) : [`The page gave ${String(errors)}.`];
}
