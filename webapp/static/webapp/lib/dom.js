/** Finds and fills elements of a page. */

/**
 * @template {Element} [T=HTMLElement]
 * @param {ParentNode} root @param {string} selector @returns {T}
 */
export function find(root, selector) {
  const element = root.querySelector(selector);
  if (!element) throw new Error(`The template has no ${selector}.`);
  return /** @type {T} */ (element);
}

/** @param {string} selector of a template with one element @returns {HTMLElement} */
export function fromTemplate(selector) {
  const template = /** @type {HTMLTemplateElement} */ (find(document, selector));
  const content = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
  return /** @type {HTMLElement} */ (content.firstElementChild);
}

/**
 * Leaves equal text untouched, so that screen readers do not announce it again.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {HTMLProgressElement} bar
 * @param {number | null | undefined} fraction null: unknown; undefined: hides the bar
 */
export function showFraction(bar, fraction) {
  bar.hidden = fraction === undefined;
  if (typeof fraction === "number") bar.value = fraction;
  else bar.removeAttribute("value");
}
