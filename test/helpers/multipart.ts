/** A part of a form. A file has a file name. */
export interface FormPart {
  readonly name: string;
  readonly content: string | Uint8Array;
  readonly filename?: string;
  /** Header lines of the part, beyond its Content-Disposition. */
  readonly headers?: readonly string[];
}

export const boundary = 'a-boundary-of-the-test';
export const formType = `multipart/form-data; boundary=${boundary}`;

/** Returns the bytes of a form (RFC 7578). */
export function formBody(...parts: readonly FormPart[]): Buffer {
  return Buffer.concat([...parts.map(formPart), Buffer.from(`--${boundary}--\r\n`)]);
}

/** Returns one part with the boundary before it. */
export function formPart({ name, content, filename, headers = [] }: FormPart): Buffer {
  const disposition = `Content-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}`;
  const head = [`--${boundary}`, disposition, ...headers, '', ''].join('\r\n');
  return Buffer.concat([Buffer.from(head), Buffer.from(content), Buffer.from('\r\n')]);
}
