/**
 * The script that starts Swagger UI on the docs page. It is a file of its own for the browser, because the policy of the page
 * allows no inline script.
 *
 * - The class `dark-mode` selects the dark colours of Swagger UI. The script follows the colour scheme of the browser.
 * - Swagger UI lists OAuth 2 last in the dialog of the Authorize button. A user has a password, so `PasswordFirst` renders
 *   that form first and puts the focus into it. It extends the component for OpenAPI 3.1, which reads `children[0]`: the form
 *   of tokens and keys, `children[1]`: the forms of OAuth 2.
 */
export const docsScript = `const root = document.getElementById('swagger-ui');
const dark = matchMedia('(prefers-color-scheme: dark)');
const followScheme = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', followScheme);
followScheme();

const PasswordFirst = ({ React }) => ({
  wrapComponents: {
    OAS31Auths: (Auths) => class extends Auths {
      componentDidMount() {
        super.componentDidMount?.();
        const username = document.getElementById('oauth_username');
        username?.focus({ preventScroll: true });
        username?.closest('.modal-ux-content')?.scrollTo(0, 0);
      }
      render() {
        const box = super.render();
        return React.cloneElement(box, {}, ...React.Children.toArray(box.props.children).reverse());
      }
    },
  },
});

SwaggerUIBundle({
  url: root.dataset.document,
  domNode: root,
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
  plugins: [PasswordFirst],
});
`;
