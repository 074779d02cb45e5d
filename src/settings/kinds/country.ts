import { countryCodes, mistakenCodes } from '../../geoip/country-codes.ts';
import { list, rejectItem } from './kind.ts';

/** Countries by their code, in upper case. */
export const countries = () =>
  list('country codes of ISO 3166-1 alpha-2, such as DE or US', (text) => {
    const code = text.toUpperCase();
    if (countryCodes.has(code)) return code;
    const meant = mistakenCodes.get(code);
    return rejectItem(
      text,
      meant === undefined ? 'is not a country code' : `is not a country code; write ${meant}`,
    );
  });
