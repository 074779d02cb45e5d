/**
 * The section of the path `/` in which operators see and change bans. It contains no data; its script (`dashboard/bans.js`)
 * asks `/bans`, which checks the token.
 */
export const bansSection = `
  <section class="panel" aria-labelledby="bans-title">
    <h2 id="bans-title">Bans</h2>
    <p id="bans-status" class="quiet" role="status">Loading</p>
    <form id="bans-token" class="filters" aria-label="Token">
      <label class="grow">Management token
        <input id="bans-token-value" type="password" autocomplete="off" spellcheck="false"></label>
      <button type="submit">Use token</button>
    </form>
    <form id="bans-add" class="filters" aria-label="Ban a client">
      <label class="grow">Address <input id="bans-address" required maxlength="100" autocomplete="off" spellcheck="false"></label>
      <label>Minutes <input id="bans-minutes" type="number" required min="1" max="525600" value="60"></label>
      <label class="grow">Reason <input id="bans-reason" required maxlength="200"></label>
      <button type="submit">Ban</button>
    </form>
    <div class="scroll">
      <table>
        <thead><tr>
          <th scope="col">Client</th>
          <th scope="col">Cause</th>
          <th scope="col">Reason</th>
          <th scope="col" class="number">Bans</th>
          <th scope="col" class="number">Ends</th>
          <th scope="col" class="actions"><span class="hidden">Action</span></th>
        </tr></thead>
        <tbody id="bans"></tbody>
      </table>
    </div>
    <nav class="pager" aria-label="Pages of bans">
      <button type="button" id="bans-newest" hidden>Newest</button>
      <button type="button" id="bans-older" hidden>Older</button>
    </nav>
  </section>
  <noscript><p class="notice">The bans require JavaScript; programs use /bans.</p></noscript>`;
