/**
 * The stylesheet of the docs page, which is loaded after that of Swagger UI.
 *
 * - Without a background of its own, the page would be white until Swagger UI has started, also in the dark scheme.
 * - Some dark colours of Swagger UI have a contrast below 4.5:1. The numbers in its code blocks have an inline style, hence
 *   the attribute selector.
 * - On a narrow screen, wide parts scroll inside of themselves, so that the page never scrolls sideways. The column of links
 *   between operations is left out there: this API declares none.
 */
export const docsStyle = `html { overflow-y: scroll; color-scheme: light dark; }
body { margin: 0; background: light-dark(#fafafa, #1c2022); }
.notice { max-width: 40rem; margin: 4rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif; }

.dark-mode .swagger-ui .header-col, .dark-mode .swagger-ui .headers-wrapper { color: #e4e6e6; }
html.dark-mode .swagger-ui .opblock .opblock-section-header .try-out__btn.cancel { border-color: #ff8f8f; color: #ff8f8f; }
.swagger-ui .highlight-code span[style*="rgb(211, 99, 99)"] { color: #ee8f8f !important; }

@media (max-width: 48rem) {
  .swagger-ui .response-col_links { display: none; }
  .swagger-ui .responses-inner, .swagger-ui .table-container, .swagger-ui .models, .swagger-ui .model-container {
    overflow-x: auto;
  }
}
`;
