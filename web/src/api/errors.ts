import { t } from '../strings';

/** The daemon's error envelope: what happened, what exists now, and what helps. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: string,
    readonly remediation: string,
    readonly data: Readonly<Record<string, unknown>>,
  ) {
    super(message);
    this.name = 'ApiError';
  }

  /** The fields that a request got wrong, by name. */
  get fields(): ReadonlyMap<string, string> {
    const given = this.data['fields'];
    const fields = new Map<string, string>();
    if (!Array.isArray(given)) return fields;
    for (const it of given as unknown[]) {
      if (isRecord(it) && typeof it['field'] === 'string' && typeof it['why'] === 'string') {
        fields.set(it['field'], it['why']);
      }
    }
    return fields;
  }
}

/** Nobody answered: the daemon is away. */
export class Unreachable extends Error {
  constructor() {
    super(t.errors.unreachable);
    this.name = 'Unreachable';
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The error in a refused answer; one without an envelope says its status. */
export function errorOf(status: number, body: unknown): ApiError {
  const fault = isRecord(body) && isRecord(body['error']) ? body['error'] : {};
  const text = (name: string) => (typeof fault[name] === 'string' ? fault[name] : '');
  const data = isRecord(fault['data']) ? fault['data'] : {};
  const message = text('message') || t.errors.status(status);
  return new ApiError(status, text('code'), message, text('details'), text('remediation'), data);
}
