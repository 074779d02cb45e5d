/**
 * Checks when the certificates of the services that the program connects to expire. The certificate is only read here; the
 * connections of the program verify it.
 */

import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { readConnectionUrl } from '../../db/driver/connection-url.ts';
import { reasonOf } from '../../errors.ts';
import { readRedisUrl } from '../../redis/redis-url.ts';
import type { Settings } from '../../settings/load.ts';
import { createFindings, type Finding } from './finding.ts';

/** How the TLS handshake of a protocol begins: at once, after PostgreSQL's SSLRequest, or after SMTP's STARTTLS. */
type Start = 'direct' | 'postgres' | 'smtp';

export interface CertificateSource {
  readonly subject: string;
  readonly host: string;
  readonly port: number;
  readonly start: Start;
}

const timeoutMs = 5_000;
const dayMs = 86_400_000;
const advisedDays = 21;

/** Returns the services of the settings that are reached over TLS. */
export function certificateSources({ application, security }: Settings): CertificateSource[] {
  const sources: CertificateSource[] = [];
  if (application.databaseKind !== 'none' && application.databaseKind !== 'embedded') {
    const { hosts, tls } = readConnectionUrl(application.databaseUrl);
    const start = tls.isDirect ? 'direct' : 'postgres';
    if (tls.mode !== 'disable') {
      for (const { host, port } of hosts)
        if (!host.startsWith('/'))
          sources.push({ subject: 'certificate of the database', host, port, start });
    }
  }
  if (security.redisEnabled) {
    const { tls, hosts } = readRedisUrl(security.redisUrl);
    if (tls)
      for (const each of hosts) sources.push({ subject: 'certificate of Redis', ...each, start: 'direct' });
  }
  if (application.smtpUrl !== '') {
    const { protocol, hostname, port } = new URL(application.smtpUrl);
    const isDirect = protocol === 'smtps:';
    sources.push({
      subject: 'certificate of the mail server',
      host: hostname,
      port: Number(port || (isDirect ? 465 : 587)),
      start: isDirect ? 'direct' : 'smtp',
    });
  }
  return sources;
}

/** Reads the certificate of one service, and returns when it expires. Never rejects. */
export async function checkCertificate(source: CertificateSource, now: number): Promise<readonly Finding[]> {
  const found = createFindings(source.subject);
  const place = `${source.host}:${source.port}`;
  try {
    const end = await readEnd(source);
    if (end === undefined) {
      found.fine(`${place} offers no TLS.`);
      return found.list;
    }
    const days = Math.floor((end - now) / dayMs);
    const date = new Date(end).toISOString().slice(0, 10);
    if (days < 0) found.fault(`The certificate of ${place} expired on ${date}: renew it.`);
    else if (days < advisedDays)
      found.advise(`The certificate of ${place} expires in ${days} days, on ${date}: renew it.`);
    else found.fine(`The certificate of ${place} is valid until ${date}.`);
  } catch (error) {
    found.advise(`The certificate of ${place} could not be read: ${reasonOf(error)}.`);
  }
  return found.list;
}

/** Resolves with the end of the certificate in milliseconds since 1970; undefined for a service without TLS. */
async function readEnd({ host, port, start }: CertificateSource): Promise<number | undefined> {
  const socket = connectTcp({ host, port });
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    await once(socket, 'connect', { signal });
    if (start === 'postgres' && !(await requestPostgresTls(socket, signal))) return undefined;
    if (start === 'smtp' && !(await requestSmtpTls(socket, signal))) return undefined;
    const secure = connectTls({ socket, servername: host, rejectUnauthorized: false });
    await once(secure, 'secureConnect', { signal });
    return Date.parse(secure.getPeerCertificate().valid_to);
  } finally {
    socket.destroy();
  }
}

/** Sends SSLRequest (PostgreSQL, "Message Formats"). The server answers with one byte, `S` if it supports TLS. */
async function requestPostgresTls(socket: Socket, signal: AbortSignal): Promise<boolean> {
  const request = Buffer.alloc(8);
  request.writeInt32BE(8, 0);
  request.writeInt32BE(80_877_103, 4);
  socket.write(request);
  const [answer]: Buffer[] = await once(socket, 'data', { signal });
  return answer?.toString('latin1') === 'S';
}

/** Asks for TLS by STARTTLS (RFC 3207), and resolves with whether the server agreed. */
async function requestSmtpTls(socket: Socket, signal: AbortSignal): Promise<boolean> {
  await readReply(socket, signal);
  for (const command of ['EHLO doctor.invalid', 'STARTTLS']) {
    socket.write(`${command}\r\n`);
    if (!(await readReply(socket, signal)).startsWith('2')) return false;
  }
  return true;
}

/** Reads one reply (RFC 5321, section 4.2): its last line has a space after the code. */
async function readReply(socket: Socket, signal: AbortSignal): Promise<string> {
  let reply = '';
  while (!/^\d{3}(?: .*)?\r?\n$/m.test(reply.slice(reply.lastIndexOf('\n', reply.length - 2) + 1))) {
    const [chunk]: Buffer[] = await once(socket, 'data', { signal });
    reply += chunk?.toString('latin1') ?? '';
  }
  return reply;
}
