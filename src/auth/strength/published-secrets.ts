/**
 * Published secrets from the documentation of tools, popular tutorials and standards, and the words from which people make
 * up others. Lists for guessing JWT secrets start with these.
 */

/** Published secrets that look random. Secrets made of words are detected by their words. */
export const publishedSecrets: readonly string[] = [
  // RFC 7515, appendix A.1, and RFC 7517, appendix A.3.
  'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
  // The security chapter of the FastAPI tutorial.
  '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7',
  // Tutorials about Spring Security.
  '404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970',
  '404E635266556A586E3272357538782F413F4428472B4B6250655368566D5971',
  '413F4428472B4B6250655368566D5970337336763979244226452948404D6351',
  '586E3272357538782F413F4428472B4B6250655368566B597033733676397924',
  '586E3272357538782F413F4428472B4B6250655368566D597033733676397924',
  '614E645267556B58703273357638792F413F4428472B4B6250655368566D5971',
  '792F413F4428472B4B6250655368566D597133743677397A244326452948404D',
  // The documentation of Hasura.
  '3EK6FD+o0+c7tzBNVfjpMkNDi2yARAAKzQlk8O2IKoxQu4nF7EdAh8s3TwpHwrdWT6R',
];

/**
 * The words of placeholders and made-up secrets, in lower case. The list has no compound words and no plurals: "secrets"
 * would hide the second word of "secretsecret".
 */
export const placeholderWords: readonly string[] = `
  access admin algorithm any api app application asdfghjkl at auth authentication backend bar base64 baz
  bit byte cat change character code complex compliance config create custom default demo dev development
  django do docker dummy enough env environment example express fastapi fill flask foo for from generate
  goes hash hello here hex hmac hs256 hs384 hs512 in insecure insert instead integration is it java json
  jsonwebtoken jwt keep key keyboard laravel least length letmein local long longer me min minimum must my
  needs nest new node not of on only openssl our outside own pass passphrase passw0rd password please
  private prod production project put qwerty qwertyuiop rand random randomly real really refresh replace
  requirement s3cr3t safe sample secret secure security server service session set sha sha256 sha384 sha512
  shared should sign signature signing some something source spring staging strata string strong super
  symmetric temp temporary test testing text than that the this to todo token unit unsafe use user valid
  value very web which with word world xxx you your zxcvbnm
  128 256 384 512 1024 2020 2021 2022 2023 2024 2025 2026 2027 2028 2029 2030
`
  .trim()
  .split(/\s+/);
