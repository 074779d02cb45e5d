/**
 * Returns the text between the braces of a key, which selects the server of a cluster. It must not be empty, and ends at the
 * first closing brace. Different texts have different tags.
 */
export function hashTag(text: string): string {
  return text === '' || /[%}]/.test(text) ? `%:${encodeURIComponent(text)}` : text;
}
