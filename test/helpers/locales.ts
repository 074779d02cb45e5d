/** Locales that compare text differently, for `mustCreateDatabase`. */
export const locales = {
  'ICU tr-TR': "locale 'C' locale_provider icu icu_locale 'tr-TR'",
  'ICU en-US': "locale 'C' locale_provider icu icu_locale 'en-US'",
  'ICU sv-SE, without accents': "locale 'C' locale_provider icu icu_locale 'sv-SE-u-ks-level1'",
  'libc C': "locale 'C' locale_provider libc",
  'builtin C.UTF-8': "locale 'C' locale_provider builtin builtin_locale 'C.UTF-8'",
};
