/**
 * The environment variables from the harness to a server. Everything in this folder is plain JavaScript, so that nothing
 * but Node and what is measured is loaded into the measured process.
 */

export const host = '127.0.0.1';
export const port = Number(process.env.PORT);

/** The origin that the requests name, the one that CORS lets in. */
export const origin = process.env.BENCH_ORIGIN;

/** Requests that one client may send in a minute, and in an hour. */
export const limit = Number(process.env.BENCH_LIMIT);

/** Connections to the database, the same number for every variant that has one. */
export const poolSize = Number(process.env.BENCH_POOL_SIZE);

export const databaseUrl = process.env.BENCH_DATABASE_URL;

/** The secret of access tokens. */
export const jwtSecret = process.env.BENCH_JWT_SECRET;

/** The required issuer and audience of an access token. */
export const jwtIssuer = process.env.BENCH_JWT_ISSUER;
export const jwtAudience = process.env.BENCH_JWT_AUDIENCE;

/** The layers that Strata is to run without, for the price of each; in every other measurement there are none. */
export const disabledLayers = process.env.BENCH_DISABLED_LAYERS?.split(',').filter((name) => name !== '');
