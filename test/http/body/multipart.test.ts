import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import * as z from 'zod';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import { AppError } from '../../../src/errors.ts';
import type { Upload } from '../../../src/http/body/uploaded-file.ts';
import { type UploadedFile, uploadedFile } from '../../../src/http/body/uploaded-file.ts';
import type { Layer } from '../../../src/http/context.ts';
import { prepareRoute } from '../../../src/http/dispatch.ts';
import { contentValidation } from '../../../src/middleware/content/content-validation.ts';
import { deadline } from '../../../src/middleware/deadline.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustStartServer, type TestServerOptions } from '../../helpers/http-server.ts';
import { sendThenRead } from '../../helpers/late-reader.ts';
import { boundary, type FormPart, formBody, formPart, formType } from '../../helpers/multipart.ts';
import { mustMakeFolder } from '../../helpers/program.ts';
import { parseResponses } from '../../helpers/raw-responses.ts';
import { testRoute } from '../../helpers/test-route.ts';

const layer: Layer = { name: 'content-validation', run: contentValidation() };
const formSchema = z.strictObject({ file: uploadedFile(1_000_000), title: z.string().optional() });

interface ServerOptions extends Partial<TestServerOptions> {
  readonly upload?: Partial<Upload>;
  readonly handler?: (form: z.output<typeof formSchema>) => unknown;
  readonly maxBody?: number;
}

/** A server that stores forms of up to 100,000 bytes and responds with the properties of the file. */
async function start(t: TestContext, { upload, handler, maxBody = 100_000, ...options }: ServerOptions = {}) {
  const folder = join(await mustMakeFolder(t), 'made', 'by-it');
  const server = await mustStartServer(t, {
    routes: [
      testRoute(
        'POST',
        '/',
        ({ body }) => {
          const form = formSchema.parse(body);
          if (handler !== undefined) return handler(form);
          const { id, bytes, sha256 } = form.file;
          return { id, bytes, sha256, title: form.title };
        },
        {
          body: formSchema,
          accepts: ['multipart/form-data'],
          maxBody,
          upload: { field: 'file', folder, ...upload },
        },
      ),
      testRoute('GET', '/', () => 'alive'),
    ],
    layers: [layer],
    ...options,
  });
  const files = async () => readdir(upload?.folder ?? folder).catch(() => []);
  const send = (body: string | Uint8Array, type = formType) =>
    server.request({ method: 'POST', headers: { 'content-type': type }, body });
  return { ...server, folder, files, send, sendForm: (...parts: FormPart[]) => send(formBody(...parts)) };
}

const head = (fields: string) =>
  `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${formType}\r\n${fields}\r\n\r\n`;
const chunk = (content: Buffer) =>
  Buffer.concat([Buffer.from(`${content.length.toString(16)}\r\n`), content, Buffer.from('\r\n')]);
const aFile = (content: string | Uint8Array): FormPart => ({ name: 'file', filename: 'a.csv', content });

/** Returns the status, the code and the connection header of the only response. */
function onlyResponse(received: string) {
  const [response, ...more] = parseResponses(received);
  assert.deepEqual(more, []);
  assert.ok(response !== undefined);
  return {
    status: response.status,
    code: JSON.parse(response.body).code,
    connection: response.headers.connection,
  };
}

/** Waits until the server has started to write a file. */
async function mustHaveStarted(files: () => Promise<string[]>): Promise<void> {
  await eventually('a file is there', async () => (await files()).length === 1);
}

describe('a form with a file', () => {
  it('an uploaded file is on disk under a generated name, readable by this user only, and the handler gets its path', async (t) => {
    const { sendForm, folder, files } = await start(t);
    const content = randomBytes(70_000);
    const { status, json } = await sendForm({ name: 'title', content: 'Größe' }, aFile(content));
    assert.equal(status, 200);
    const sha256 = createHash('sha256').update(content).digest('hex');
    assert.deepEqual(json, { id: json.id, bytes: 70_000, sha256, title: 'Größe' });
    assert.match(json.id, /^[0-9a-f-]{36}$/);
    assert.deepEqual(await files(), [json.id]);
    assert.deepEqual(await readFile(join(folder, json.id)), content);
    assert.equal((await stat(join(folder, json.id))).mode & 0o777, 0o600);
    assert.equal((await stat(folder)).mode & 0o777, 0o700);
  });

  it('a form is parsed the same in chunks of any size, with the file before or after the fields', async (t) => {
    const { raw } = await start(t);
    const parts = [aFile('a,b\r\n1,2\r\n'), { name: 'title', content: 'x' }];
    for (const body of [formBody(...parts), formBody(...parts.toReversed())]) {
      for (const size of [1, 7, body.length]) {
        const chunks: Buffer[] = [];
        for (let at = 0; at < body.length; at += size) chunks.push(chunk(body.subarray(at, at + size)));
        const request = [
          Buffer.from(head('Connection: close\r\nTransfer-Encoding: chunked')),
          ...chunks,
          Buffer.from('0\r\n\r\n'),
        ];
        const [response] = parseResponses(await raw(Buffer.concat(request)));
        assert.equal(response?.status, 200);
        const { bytes, title } = JSON.parse(response.body);
        assert.deepEqual({ bytes, title }, { bytes: 10, title: 'x' });
      }
    }
  });

  for (const filename of [
    '../../../../tmp/evil',
    '/etc/passwd',
    '..\\\\..\\\\evil',
    '%2e%2e%2fevil',
    'a\0b',
    '.',
    '',
  ]) {
    it(`the file name ${JSON.stringify(filename)} is ignored`, async (t) => {
      const { sendForm, folder, files } = await start(t);
      const { status, json } = await sendForm({ name: 'file', filename, content: 'x' });
      assert.equal(status, 200);
      assert.deepEqual(await files(), [json.id]);
      assert.deepEqual(await readdir(join(folder, '..')), ['by-it']);
    });
  }

  it('the part with the name of the file field is the file, without a file name and with any type', async (t) => {
    const { sendForm } = await start(t);
    const headers = ['Content-Type: text/plain; charset=utf-16', 'X-Other: y'];
    const { status, json } = await sendForm({ name: 'file', content: 'abc', headers });
    assert.deepEqual([status, json.bytes], [200, 3]);
  });

  it('a form may have an empty file if the route accepts it', async (t) => {
    const { sendForm } = await start(t);
    assert.equal((await sendForm(aFile(''))).json.bytes, 0);
  });

  it('many forms that arrive at the same time are all received', async (t) => {
    const { sendForm, folder } = await start(t);
    const contents = Array.from({ length: 8 }, (_, at) => randomBytes(50_000 + at));
    const responses = await Promise.all(contents.map((content) => sendForm(aFile(content))));
    for (const [at, { json }] of responses.entries()) {
      assert.deepEqual(await readFile(join(folder, json.id)), contents[at]);
    }
  });

  it('a form with 100-continue gets 100 Continue, or is rejected by its length without it', async (t) => {
    const { port, raw } = await start(t);
    const body = formBody(aFile('abc'));
    const expecting = (length: number) =>
      head(`Connection: close\r\nExpect: 100-continue\r\nContent-Length: ${length}`);
    const socket = connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    const received = await new Promise<string>((resolve) => {
      let text = '';
      socket.setEncoding('latin1').on('data', (data: string) => {
        text += data;
        if (text === 'HTTP/1.1 100 Continue\r\n\r\n') socket.write(body);
      });
      socket.on('end', () => resolve(text));
      socket.write(expecting(body.length));
    });
    assert.deepEqual(
      parseResponses(received).map(({ status }) => status),
      [100, 200],
    );
    assert.equal(onlyResponse(await raw(expecting(100_001))).status, 413);
  });
});

describe('a form that is refused', () => {
  const rejections: [what: string, parts: readonly FormPart[], status: number, message: RegExp][] = [
    [
      'has no file',
      [{ name: 'title', content: 'x' }],
      422,
      /"pointer":"\/file","detail":"Send the file in this field\."/,
    ],
    ['has its file under another name', [{ ...aFile('x'), name: 'data' }], 422, /"pointer":"\/data"/],
    ['has two files', [aFile('x'), aFile('y')], 400, /more than one \\"file\\"/],
    [
      'has a field twice',
      [aFile('x'), ...Array(2).fill({ name: 'title', content: 'x' })],
      422,
      /"pointer":"\/title"/,
    ],
    [
      'has an unknown field',
      [aFile('x'), { name: '__proto__', content: 'x' }],
      422,
      /"pointer":"\/__proto__"/,
    ],
    [
      'has a field that is too long',
      [aFile('x'), { name: 'title', content: 'x'.repeat(10_001) }],
      422,
      /at most 10000/,
    ],
    [
      'has too many fields',
      [aFile('x'), ...Array(21).fill({ name: 'title', content: '' })],
      400,
      /more than 20 fields/,
    ],
    [
      'has a file name that is too long',
      [{ ...aFile('x'), filename: 'x'.repeat(20_000) }],
      400,
      /name of at most 1000 characters/,
    ],
    [
      'has a path for a file name that is too long',
      [{ ...aFile('x'), filename: `${'x/'.repeat(3_000)}a.csv` }],
      400,
      /name of at most 1000 characters/,
    ],
    [
      'has a field whose name is too long',
      [aFile('x'), { name: 'x'.repeat(1_001), content: 'y' }],
      400,
      /name of at most 1000 characters/,
    ],
    ['has too many parts', Array(31).fill({ name: '"; x="', content: '' }), 400, /more than/],
  ];
  for (const [what, parts, status, message] of rejections) {
    it(`a form that ${what} is rejected and leaves no file`, async (t) => {
      const { sendForm, files, log } = await start(t);
      const response = await sendForm(...parts);
      assert.equal(response.status, status, response.text);
      assert.match(response.text, message);
      assert.deepEqual(await files(), []);
      assert.deepEqual(log.of('http.request.failed'), []);
    });
  }

  const whole = formBody(aFile('x'), { name: 'title', content: 'y' });
  const malformed: [what: string, body: string | Buffer, type?: string][] = [
    ['breaks off in its file', whole.subarray(0, whole.indexOf('x\r\n') + 1)],
    ['breaks off in a field behind its file', whole.subarray(0, whole.length - 30)],
    ['breaks off in the head of a part', whole.subarray(0, 40)],
    ['has no boundary in it', 'no form at all'],
    ['has another boundary', whole, 'multipart/form-data; boundary=another'],
    ['declares no boundary', whole, 'multipart/form-data'],
    ['declares a boundary without end', whole, `multipart/form-data; boundary=${'x'.repeat(1000)}`],
  ];
  for (const [what, body, type] of malformed) {
    it(`a form that ${what} is 400, leaves no file, and the server keeps running`, async (t) => {
      const { send, request, files, log } = await start(t);
      const { status, json } = await send(body, type);
      assert.deepEqual([status, json.code], [400, 'malformed_body']);
      assert.deepEqual(await files(), []);
      assert.equal((await request()).json, 'alive');
      assert.deepEqual(log.of('http.request.failed'), []);
    });
  }

  it('a body that is not a form is 415, with or without the layer', async (t) => {
    for (const layers of [[layer], []]) {
      const { send } = await start(t, { layers });
      for (const type of ['application/x-www-form-urlencoded', 'text/csv', 'multipart/mixed; boundary=x']) {
        const { status, json } = await send('a=b', type);
        assert.deepEqual([status, json.code], [415, 'unsupported_media_type'], type);
      }
    }
  });

  it('a compressed form is 415', async (t) => {
    const { request } = await start(t);
    const headers = { 'content-type': formType, 'content-encoding': 'gzip' };
    const { status, json } = await request({ method: 'POST', headers, body: formBody(aFile('x')) });
    assert.deepEqual([status, json.code], [415, 'unsupported_encoding']);
  });
});

describe('the boundary of a form (RFC 2046, section 5.1.1)', () => {
  const longest = 'x'.repeat(70);
  const table: [parameters: string, boundary: string, status: number][] = [
    ['; boundary=a', 'a', 200],
    [`; boundary=${longest}`, longest, 200],
    [`; boundary="${longest}"`, longest, 200],
    [`;Boundary=${longest};charset=utf-8`, longest, 200],
    [`; x="; boundary=b"; boundary=${longest}`, longest, 200],
    ['; boundary="a\'()+_,-./:=? z"', "a'()+_,-./:=? z", 200],
    ['; boundary="\\a\\b"', 'ab', 200],
    [`; boundary=${longest}y`, `${longest}y`, 400],
    [`; boundary="${longest}y"`, `${longest}y`, 400],
    [`; x="; boundary=b"; boundary=${longest}y`, `${longest}y`, 400],
    ['; boundary=a; boundary=b', 'a', 400],
    ['; boundary=', '', 400],
    ['; boundary=""', '', 400],
    ['; boundary="a "', 'a ', 400],
    ['; boundary="a', 'a', 400],
    ['; boundary = a', 'a', 400],
    ['; boundary=a b', 'a', 400],
  ];
  for (const [parameters, chosen, status] of table) {
    it(`the boundary in ${parameters.replaceAll(longest, '<70 characters>')} is ${status === 200 ? 'accepted' : 'rejected with 400'}`, async (t) => {
      const { send } = await start(t);
      const body = formBody(aFile('x')).toString().replaceAll(boundary, chosen);
      assert.equal((await send(body, `multipart/form-data${parameters}`)).status, status);
    });
  }
});

it('an upload with an empty chunked body has no body', async (t) => {
  for (const layers of [[layer], []]) {
    const { raw } = await start(t, { layers });
    for (const type of [formType, 'text/plain']) {
      const fields = `Content-Type: ${type}\r\nTransfer-Encoding: chunked\r\nConnection: close`;
      const [response] = parseResponses(
        await raw(`POST / HTTP/1.1\r\nHost: x\r\n${fields}\r\n\r\n0\r\n\r\n`),
      );
      assert.equal(response?.status, 422);
      assert.match(response.body, /This route needs a body/);
    }
  }
});

describe('a form that is too large', () => {
  it('a form with a declared length over the limit is 413 before it arrives, and creates no file', async (t) => {
    const { raw, files } = await start(t);
    const received = await raw(head('Content-Length: 100001'), /"code".*\}$/);
    assert.deepEqual(onlyResponse(received), { status: 413, code: 'body_too_large', connection: 'close' });
    assert.deepEqual(await files(), []);
  });

  it('a chunked form over the limit is 413 at once, its file is removed, and the client can read the response', async (t) => {
    const { port, files } = await start(t);
    const first = Buffer.concat([
      Buffer.from(head('Transfer-Encoding: chunked')),
      chunk(formPart(aFile(Buffer.alloc(60_000, 'x')))),
    ]);
    const more = chunk(Buffer.alloc(1_000_000, 'x'));
    const texts = [first, more, more, more].map((bytes) => bytes.toString('latin1'));
    const received = await sendThenRead(port, texts);
    assert.deepEqual(onlyResponse(received), { status: 413, code: 'body_too_large', connection: 'close' });
    assert.deepEqual(await files(), []);
  });

  it('a form that exceeds the limit after its final boundary is 413', async (t) => {
    const { port, files } = await start(t);
    const parts = [
      Buffer.from(head('Transfer-Encoding: chunked')),
      chunk(formBody(aFile('x'))),
      chunk(Buffer.alloc(100_000, 'x')),
    ];
    const received = await sendThenRead(port, [Buffer.concat(parts).toString('latin1')]);
    assert.deepEqual(onlyResponse(received), { status: 413, code: 'body_too_large', connection: 'close' });
    assert.deepEqual(await files(), []);
  });

  it('a form with a field that is too long after the file is rejected, and the file is removed', async (t) => {
    const { port, folder, files } = await start(t);
    const socket = connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    const body = formBody(aFile('x'.repeat(500)), { name: 'title', content: 'x'.repeat(20_000) });
    const split = body.length - 15_000;
    socket.write(Buffer.concat([Buffer.from(head('Content-Length: 90000')), body.subarray(0, split)]));
    await eventually('the file is written', async () => {
      const [file] = await files();
      return file !== undefined && (await stat(join(folder, file))).size === 500;
    });
    const responded = once(socket.setEncoding('latin1'), 'data');
    socket.write(body.subarray(split));
    assert.match(String(await responded), /^HTTP\/1\.1 422 /);
    assert.deepEqual(await files(), []);
  });
});

describe('a form that does not arrive whole', () => {
  it('a form that does not arrive in time is 408, and its file is removed', async (t) => {
    const { raw, files } = await start(t, { bodyTimeoutMs: 100 });
    const started = formPart(aFile('slow'));
    const received = await raw(
      Buffer.concat([Buffer.from(head('Content-Length: 5000')), started]),
      /"code".*\}$/,
    );
    assert.deepEqual(onlyResponse(received), { status: 408, code: 'request_timeout', connection: 'close' });
    assert.deepEqual(await files(), []);
  });

  it('a form that does not arrive before the deadline of the request is 503, and its file is removed at once', async (t) => {
    const { port, files } = await start(t, {
      layers: [{ name: 'deadline', run: deadline({ timeoutMs: 300 }) }, layer],
    });
    const socket = connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    const responded = once(socket.setEncoding('latin1'), 'data');
    socket.write(
      Buffer.concat([Buffer.from(head('Content-Length: 5000')), formPart(aFile('slow'.repeat(50)))]),
    );
    await mustHaveStarted(files);
    assert.match(String(await responded), /^HTTP\/1\.1 503 /);
    const respondedAt = performance.now();
    await eventually('the file is gone', async () => (await files()).length === 0);
    assert.ok(performance.now() - respondedAt < 1000, 'it waited for the connection to end');
  });

  for (const [how, leave] of [
    ['goes away', (socket: Socket) => socket.destroy()],
    ['resets the connection', (socket: Socket) => socket.resetAndDestroy()],
  ] as const) {
    it(`a client that ${how} leaves no file, and the server keeps running`, async (t) => {
      const { port, files, request } = await start(t);
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      socket.write(
        Buffer.concat([Buffer.from(head('Content-Length: 50000')), formPart(aFile('x'.repeat(500)))]),
      );
      await mustHaveStarted(files);
      leave(socket);
      await eventually('the file is gone', async () => (await files()).length === 0);
      assert.equal((await request()).json, 'alive');
    });
  }
});

describe('the content of a file', () => {
  const rejectX = () => ({
    write: (bytes: Uint8Array) => {
      if (bytes.includes(0x58)) throw new AppError('unsupported_media_type', 'There is an X in it.');
    },
    end: () => {},
  });

  it('content that the check rejects gets a response before the rest arrives, and is removed', async (t) => {
    const { raw, files } = await start(t, { upload: { createCheck: rejectX } });
    const started = Buffer.concat([Buffer.from(head('Content-Length: 70000')), formPart(aFile('abX'))]);
    const received = await raw(started, /"code".*\}$/);
    assert.deepEqual(onlyResponse(received), {
      status: 415,
      code: 'unsupported_media_type',
      connection: 'close',
    });
    assert.deepEqual(await files(), []);
  });

  it('content that the check rejects at its end is removed', async (t) => {
    const end = () => {
      throw new AppError('unsupported_media_type', 'It ends.');
    };
    const { sendForm, files } = await start(t, { upload: { createCheck: () => ({ ...rejectX(), end }) } });
    assert.equal((await sendForm(aFile('ab'))).status, 415);
    assert.deepEqual(await files(), []);
  });

  it('a file of 40 MB waits in the client while the disk is busy, not in memory', async (t) => {
    const megabyte = randomBytes(1_000_000);
    const { port, files, folder } = await start(t, { maxBody: 50_000_000, bodyTimeoutMs: 30_000 });
    const socket = connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    const responded = new Promise<string>((resolve) => {
      let text = '';
      socket.setEncoding('latin1').on('data', (data: string) => {
        text += data;
        if (text.endsWith('}')) resolve(text);
      });
    });
    const before = formPart(aFile(megabyte)).subarray(0, -2);
    const behind = `\r\n--${boundary}--\r\n`;
    socket.write(head(`Content-Length: ${before.length + 39_000_000 + behind.length}`));
    socket.write(before);
    await mustHaveStarted(files);

    const release = mustBlockDisk(await mustMakeFolder(t));
    let sent = 0;
    for (let count = 0; count < 39; count += 1) socket.write(megabyte, () => (sent += 1));
    socket.write(behind);
    let last = -1;
    let unchanged = 0;
    try {
      await eventually('the client is held back', () => {
        unchanged = sent === last ? unchanged + 1 : 0;
        last = sent;
        return unchanged === 40;
      });
      // The bytes that have left the client are in the buffers of two sockets.
      assert.ok(sent < 20, `${sent} MB were taken`);
    } finally {
      release();
    }
    assert.match(await responded, /^HTTP\/1\.1 200 .*"bytes":40000000/s);
    const [file = ''] = await files();
    assert.equal((await stat(join(folder, file))).size, 40_000_000);
  });

  it('a file for which the disk has no space is 507, and the server keeps running', async (t) => {
    const disk = await mustFillDisk(t);
    const { sendForm, files, request } = await start(t, { upload: disk, maxBody: 5_000_000 });
    const { status, json } = await sendForm(aFile(Buffer.alloc(3_000_000, 'x')));
    assert.deepEqual([status, json.code], [507, 'storage_full']);
    assert.deepEqual(await files(), []);
    assert.equal((await request()).json, 'alive');
  });
});

/** Occupies the threads with which Node writes files, until the returned function is called. */
function mustBlockDisk(folder: string): () => void {
  const fifo = join(folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const threads = Number(process.env.UV_THREADPOOL_SIZE ?? 4);
  const opened = Array.from({ length: threads }, () => open(fifo, 'r'));
  return () => {
    closeSync(openSync(fifo, 'w'));
    for (const each of opened) void each.then((file) => file.close());
  };
}

/** A file system of 1 MB. If this machine does not allow mounting one, a check that fails with the same error. */
async function mustFillDisk(t: TestContext): Promise<Partial<Upload>> {
  const folder = await mkdtemp(join(tmpdir(), 'strata-disk-'));
  let mounted = false;
  t.after(async () => {
    if (mounted) execFileSync('umount', [folder]);
    await rm(folder, { recursive: true });
  });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' });
    mounted = true;
    return { folder };
  } catch {
    const write = () => {
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    };
    return { folder, createCheck: () => ({ write, end: () => {} }) };
  }
}

describe('the file of a request', () => {
  it('the file is removed if the handler fails', async (t) => {
    const { sendForm, files } = await start(t, {
      handler: async () => {
        throw new AppError('database_unavailable', 'Not now.');
      },
    });
    assert.equal((await sendForm(aFile('x'))).status, 503);
    assert.deepEqual(await files(), []);
  });

  it('the file exists while the handler runs, and stays after its reply', async (t) => {
    const seen = createDeferred<UploadedFile>();
    const { sendForm, files } = await start(t, {
      handler: ({ file }) => {
        seen.resolve(file);
        return 'kept';
      },
    });
    assert.equal((await sendForm(aFile('x'))).json, 'kept');
    const { id, path } = await seen.promise;
    assert.deepEqual([await files(), await readFile(path, 'utf8')], [[id], 'x']);
  });

  it('a folder that is a file makes the upload a 500 without details', async (t) => {
    const { sendForm } = await start(t, { upload: { folder: '/dev/null/folder' } });
    const { status, text } = await sendForm(aFile('x'));
    assert.deepEqual([status, text.includes('/dev/null')], [500, false]);
  });
});

it('a route that is both idempotent and an upload stops the start', () => {
  const route = testRoute('POST', '/', () => 1, {
    body: formSchema,
    idempotent: true,
    upload: { field: 'file', folder: '/nowhere' },
  });
  assert.throws(
    () => prepareRoute(route, { maxBytes: 1, timeoutMs: 1 }),
    /cannot be both idempotent and an upload/,
  );
});
