/** A part of a form as a client writes it: a file has a file name. */
export interface FormPart {
  readonly name: string;
  readonly content: string | Uint8Array;
  readonly filename?: string;
  /** Header lines of the part, beside its Content-Disposition. */
  readonly headers?: readonly string[];
}

export const boundary = 'a-boundary-of-the-test';
export const formType = `multipart/form-data; boundary=${boundary}`;

/** The bytes of a form, as RFC 7578 has them. */
export function formBody(...parts: readonly FormPart[]): Buffer {
  return Buffer.concat([...parts.map(formPart), Buffer.from(`--${boundary}--\r\n`)]);
}

/** One part with the boundary before it. */
export function formPart({ name, content, filename, headers = [] }: FormPart): Buffer {
  const disposition = `Content-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}`;
  const head = [`--${boundary}`, disposition, ...headers, '', ''].join('\r\n');
  return Buffer.concat([Buffer.from(head), Buffer.from(content), Buffer.from('\r\n')]);
}
