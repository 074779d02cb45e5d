// Runs before the page is rendered, so that it never flashes in the wrong theme. It is no module, since modules run later.
// The browser stores the choice; `auto` follows the system.
{
  const stored = localStorage.getItem('strata-theme');
  if (stored === 'light' || stored === 'dark') document.documentElement.dataset.theme = stored;
}
