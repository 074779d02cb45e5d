// Runs before the page is drawn, so that it never flashes in the other colours: no module, for those run later.
// The choice is kept in this browser; `auto` is what the system says.
{
  const kept = localStorage.getItem('strata-theme');
  if (kept === 'light' || kept === 'dark') document.documentElement.dataset.theme = kept;
}
