/** Checks manifests against the schemas of Kubernetes, of the Prometheus operator and of KEDA. */

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly [field: string]: unknown;
}

/** The package of each group that is not one of Kubernetes itself. */
const packages: Readonly<Record<string, string>> = {
  'keda.sh': '@kubernetes-models/keda',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
};

/**
 * Resolves with the errors of a manifest: values of a wrong type, missing fields, and fields that the schema does not know.
 * The schemas accept unknown fields, as a server does that ignores them, so this records which fields the check reads: it
 * never reads one whose name is misspelt.
 */
export async function findManifestErrors(manifest: Manifest): Promise<string[]> {
  const { apiVersion, kind } = manifest;
  const [group = ''] = apiVersion.split('/');
  const module: Record<string, unknown> = await import(
    `${packages[group] ?? 'kubernetes-models'}/${apiVersion}/${kind}`
  ).catch(() => ({}));
  const model = module[kind];
  if (typeof model !== 'function') return [`${apiVersion} has no kind ${kind}.`];
  const unread = new Set<string>();
  const watched = watch(manifest, '', unread);
  try {
    // The constructor would copy the manifest, and read every field.
    model.prototype.validate.call(watched);
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
  return Array.from(unread, (path) => `${path} is no field of ${kind}.`);
}

/** Returns a view of the value that removes the path of each field from `unread` when it is read. */
function watch(value: unknown, path: string, unread: Set<string>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const isList = Array.isArray(value);
  const view: object = isList ? [] : {};
  for (const [key, member] of Object.entries(value)) {
    const at = `${path}/${key}`;
    const watched = watch(member, at, unread);
    if (!isList) unread.add(at);
    Object.defineProperty(view, key, {
      enumerable: true,
      get() {
        unread.delete(at);
        return watched;
      },
    });
  }
  return view;
}
